"""A tar of plain files is read whatever wrote it; any other bytes are refused, and never cost more than reading them once."""

import gzip
import io
import os
import subprocess
import tarfile
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.policy import bundle, tarball
from gateway.policy.bundle import BadBundle
from gateway.policy.tarball import BadTar

END = b"\0" * 1024
EXTENDED = (
    "which is written in an extension of tar (PAX or GNU) that is not read: "
    "pack it with `mcp-gateway policy build`, `opa build` or `tar --format=ustar`"
)


def header(name: str, size: int, kind: bytes = b"0", *, size_field: bytes | None = None, magic: bytes | None = None) -> bytes:
    """With a checksum that is right, whatever the rest says."""
    info = tarfile.TarInfo(name)
    info.type = kind
    made = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    made[124:136] = size_field if size_field is not None else b"%011o\0" % size
    made[257:265] = magic if magic is not None else made[257:265]
    made[148:156] = b" " * 8
    made[148:156] = b"%06o\0 " % sum(made)
    return bytes(made)


def whole(content: bytes) -> bytes:
    return content + b"\0" * (-len(content) % 512)


def refusal(tar: bytes) -> str:
    with pytest.raises(BadTar) as raised:
        tarball.entries(tar)
    return str(raised.value)


def crafted() -> dict[str, bytes]:
    """Archives that ended or froze a reader of every extension of tar."""
    digits, record = b"1" * 100_000, b"10 a=bcde\n"
    chained = header("p", len(record), b"x") + whole(record)
    return {
        "a size of 2**80 in binary": header("a.rego", 0, size_field=b"\x80" + (2**80).to_bytes(11, "big")) + END,
        "3000 PAX headers in a row": chained * 3000 + header("a.rego", 0) + END,
        "100000 digits in a PAX header": header("p", len(digits), b"x") + whole(digits) + header("a.rego", 0) + END,
    }


@pytest.mark.parametrize("name", crafted())
def test_archive_that_would_end_or_freeze_a_reader_of_extensions_is_refused_at_its_first_header(name: str) -> None:
    began_s = time.process_time()
    with pytest.raises(BadBundle):
        bundle.read(gzip.compress(crafted()[name], mtime=0))
    assert time.process_time() - began_s < 1.0  # the last took 25 s


@pytest.mark.parametrize(
    ("tar", "reason"),
    [
        (b"", "is no whole tar file"),
        (header("a.rego", 0), "is no whole tar file"),
        (header("a.rego", 0) + END[:512], "is no whole tar file"),
        (header("a.rego", 0) + END[:512] + header("b.rego", 0) + END, "is no whole tar file"),
        (header("a.rego", 0) + END + header("b.rego", 0) + END, "is no whole tar file"),
        (header("a.rego", 0)[:-1] + b"x" + END, "is no whole tar file"),
        (header("a.rego", 600) + b"x" * 512, "is cut off"),
        (header("d/", 512, b"5") + END, "holds 'd/', a folder of 512 bytes"),
        (header("a.rego", 0, b"2") + END, "holds 'a.rego', which is no regular file"),
        (header("a.rego", 0, b"7") + END, "holds 'a.rego', which is no regular file"),
        *[(header("a.rego", 0, kind) + END, f"holds 'a.rego', {EXTENDED}") for kind in (b"x", b"g", b"L", b"K", b"S")],
        (
            header("a.rego", 0, size_field=b"0x1\0" + b"\0" * 8) + END,
            "holds 'a.rego', whose size is not written in octal digits: "
            "pack it with `mcp-gateway policy build`, `opa build` or `tar --format=ustar`",
        ),
        (
            header(f"{'d' * 80}/{'a' * 80}", 0, magic=b"ustar  \0") + END,
            f"holds '{'a' * 80}', whose name two readers would not read alike: "
            "pack it with `mcp-gateway policy build`, `opa build` or `tar --format=ustar`",
        ),
        (header("d/", 0, b"5") * 10_001 + END, "holds more than 10000 files and folders"),
    ],
)
def test_what_is_not_exactly_one_tar_of_plain_files_is_refused_with_its_reason(tar: bytes, reason: str) -> None:
    assert refusal(tar) == reason


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(END, mtime=0) + b"x",
        gzip.compress(END, mtime=0) * 2,
        gzip.compress(END, mtime=0)[:-1],
        b"",
        gzip.compress(END, mtime=0)[:-8] + b"\0" * 8,
    ],
)
def test_what_is_not_exactly_one_gzip_member_is_refused(packed: bytes) -> None:
    with pytest.raises(BadTar, match=r"^is no whole gzip file$"):
        tarball.unzipped(packed, 10_000)


names = st.from_regex(r"[a-z]{1,8}(/[a-z_]{1,30}){0,6}\.rego", fullmatch=True)


@settings(max_examples=60)
@given(st.dictionaries(names, st.binary(max_size=1200), max_size=6), st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT]))
def test_every_plain_file_is_read_as_the_library_writes_it(files: dict[str, bytes], form: int) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    if form == tarfile.GNU_FORMAT and any(len(name) > 100 for name in files):
        assert refusal(made.getvalue()) == f"holds '././@LongLink', {EXTENDED}"
    else:
        assert dict(tarball.entries(made.getvalue())) == files


@settings(max_examples=300)
@given(st.data())
def test_a_mutated_archive_is_read_or_refused_and_meets_no_other_error(data: st.DataObject) -> None:
    tar = bytearray(
        header("mcp/a.rego", 5) + whole(b"hello") + header("mcp/", 0, b"5") + header("mcp/data.json", 2) + whole(b"{}")
    )
    for _ in range(data.draw(st.integers(1, 4))):
        start = 512 * data.draw(st.sampled_from([0, 2, 3]))
        at = data.draw(st.integers(0, 511))
        tar[start + at : start + at + 12] = data.draw(st.binary(min_size=12, max_size=12))[: 512 - at]
        tar[start + 148 : start + 156] = b" " * 8
        tar[start + 148 : start + 156] = b"%06o\0 " % sum(tar[start : start + 512])  # or nothing behind it is ever reached
    with suppress(BadBundle):
        bundle.read(gzip.compress(bytes(tar) + END, mtime=0))


@settings(max_examples=300)
@given(st.binary(max_size=2000), st.booleans())
def test_arbitrary_bytes_are_read_or_refused_and_meet_no_other_error(text: bytes, zipped: bool) -> None:
    with suppress(BadBundle):  # two empty blocks are an archive
        bundle.read(gzip.compress(text, mtime=0) if zipped else b"\x1f\x8b" + text)


def test_time_grows_no_faster_than_the_archive() -> None:
    def spent_s(count: int) -> float:
        tar = b"".join(header(f"{at}/", 0, b"5") for at in range(count)) + END
        began_s = time.process_time()
        tarball.entries(tar)
        return time.process_time() - began_s

    assert spent_s(8000) < 40 * max(spent_s(800), 0.001)  # ten times as much: quadratic would be a hundred


def test_what_opa_build_writes_is_read(opa_binary: str, tmp_path: Path) -> None:
    folder = tmp_path / "in" / ("long_" * 15) / ("longer_" * 10)
    folder.mkdir(parents=True)
    (folder / "a.rego").write_text("package mcp.a\n")
    (tmp_path / "in" / "data.json").write_text('{"mcp": {}}')
    target = tmp_path / "b.tar.gz"
    subprocess.run(
        [opa_binary, "build", "-b", "in", "-o", str(target)], check=True, cwd=tmp_path, env={"PATH": os.environ["PATH"]}
    )
    read = bundle.read(target.read_bytes())
    assert {name: text.strip() for name, text in read.files.items()} == {
        f"in/{'long_' * 15}/{'longer_' * 10}/a.rego": b"package mcp.a",
        "data.json": b'{"mcp":{}}',
    }
