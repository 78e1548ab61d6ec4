"""Base images under the names that compose.yaml and the Dockerfile use, made where no image registry is in reach.

Debian's packages give Python and Prometheus, tools/binaries.py gives OPA. What is slow to make is kept in .tools/containers.
"""

import hashlib
import re
import shutil
import sys
from pathlib import Path

from tools.binaries import KEPT, ROOT, find
from tools.podman_home import Home, told

CACHE = KEPT / "containers"
REQUIREMENTS = ROOT / "deploy" / "gateway" / "requirements.txt"
RELEASE = "bookworm"
PACKAGES = "python3,python3-venv,prometheus,ca-certificates"
UNNEEDED = ("./dev/*", "./var/cache/apt/*", "./var/lib/apt/lists/*", "./usr/share/doc/*", "./usr/share/man/*")

PYTHON = """\
FROM {debian}
RUN ln -s /usr/bin/python3 /usr/local/bin/python
ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin
CMD ["python"]
"""
PROMETHEUS = """\
FROM {debian}
USER nobody
WORKDIR /prometheus
ENTRYPOINT ["/bin/prometheus"]
"""
OPA = """\
FROM scratch
COPY opa /opa
USER 1000:1000
ENTRYPOINT ["/opa"]
CMD ["run"]
"""


def root_file_system(folder: Path) -> Path:
    """An archive of a small Debian with our packages, from the cache or made now below `folder` (a minute)."""
    archive = CACHE / f"debian-{RELEASE}.tar.gz"
    if archive.exists():
        return archive
    CACHE.mkdir(parents=True, exist_ok=True)
    made, half = folder / "rootfs", archive.with_suffix(".half")
    told(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", RELEASE, str(made)], timeout_s=600)
    left_out = [f"--exclude={each}" for each in UNNEEDED]
    told(["tar", "-C", str(made), *left_out, "-I", "gzip -1", "-cf", str(half), "."], timeout_s=180)
    half.rename(archive)
    shutil.rmtree(made)
    return archive


def wheels() -> Path:
    """A folder with every distribution that the image installs, each checked against its hash."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16]
    folder = CACHE / f"wheels-{digest}"
    if folder.exists():
        return folder
    half = folder.with_suffix(".half")
    told(
        [
            sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "--require-hashes",
            "--only-binary=:all:", "--python-version=3.11", "-r", str(REQUIREMENTS), "-d", str(half),
        ],
        timeout_s=300,
    )  # fmt: skip
    half.rename(folder)
    return folder


def python_name() -> str:
    """The one image that the Dockerfile starts from."""
    names: set[str] = set(re.findall(r"^FROM (\S+/\S+) AS", (ROOT / "Dockerfile").read_text(), re.M))
    (name,) = names
    return name


def make(home: Home, archive: Path, *, opa: str, prometheus: str) -> None:
    """Put the three base images into `home`; the first names are those of compose.yaml."""
    debian = f"localhost/debian:{RELEASE}"
    home.podman("import", str(archive), debian, timeout_s=180)
    for name, text in ((python_name(), PYTHON), (prometheus, PROMETHEUS), (opa, OPA)):
        context = home.folder / "context"
        context.mkdir()
        (context / "Dockerfile").write_text(text.format(debian=debian))
        if text is OPA:
            shutil.copy(find("opa"), context / "opa")
        home.podman("build", "--quiet", "--network=none", "--pull=never", "--tag", name, str(context), timeout_s=120)
        shutil.rmtree(context)


def offline(folder: Path) -> list[str]:
    """Arguments of `podman build` under which pip finds the wheels, and the build finds no network at all."""
    settings = folder / "pip.conf"
    settings.write_text("[global]\nno-index = true\nfind-links = /wheels\n")
    mounts = (f"{wheels()}:/wheels:ro", f"{settings}:/etc/pip.conf:ro")
    return ["--network=none", "--pull=never", *(f"--volume={each}" for each in mounts)]
