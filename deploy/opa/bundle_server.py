"""Serves the policy folder to the OPA of compose.yaml as one bundle, whose revision is a hash of its files.

The bundle is made anew for each question, so an edit is in force as soon as OPA asks again; a folder that cannot be read
whole, or that OPA would misread, is answered with 500, and OPA keeps the bundle it has. The revision is the one that a gateway
with its own OPA gives the same files; without one the gateway would not believe the sidecar.
Usage: python bundle_server.py PORT POLICIES SCHEMAS AUTHZ
"""

import io
import json
import signal
import sys
import tarfile
import tempfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from gateway.adapters.opa.findings import PolicyRejected
from gateway.adapters.opa.snapshot import Source, take

BUNDLE = "/bundle.tar.gz"
AUTHZ = "system/authz.rego"
ROOTS = ["mcp", "system/authz"]  # OPA refuses the bundle if a file of it says anything elsewhere


def bundle(source: Source, authz: Path) -> tuple[str, bytes]:
    """The revision and the bundle. Raises `PolicyRejected`."""
    with tempfile.TemporaryDirectory() as folder:
        snapshot = take(source, Path(folder))
    manifest = json.dumps({"revision": snapshot.revision, "roots": ROOTS}).encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in {".manifest": manifest, **snapshot.texts, AUTHZ: authz.read_bytes()}.items():
            entry = tarfile.TarInfo("/" + name)  # OPA's own bundles name them so
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text))
    return snapshot.revision, packed.getvalue()


class BundleServer(ThreadingHTTPServer):
    """Answers on every address of the container, to whoever is on its network: OPA."""

    daemon_threads = True

    def __init__(self, port: int, source: Source, authz: Path) -> None:
        self.source = source
        self.authz = authz
        super().__init__(("", port), Answers)


class Answers(BaseHTTPRequestHandler):
    """GET of the bundle; 304 to an OPA that has this revision."""

    server: BundleServer
    protocol_version = "HTTP/1.1"
    timeout = 60  # of an idle connection, in seconds

    def do_GET(self) -> None:
        if self.path != BUNDLE:
            self._answer(404, f"there is only {BUNDLE}\n".encode())
            return
        try:
            revision, packed = bundle(self.server.source, self.server.authz)
        except (PolicyRejected, OSError) as error:
            self._answer(500, f"{_told(error)}\n".encode())
            print(f"the policies cannot be served: {_told(error)}", file=sys.stderr, flush=True)
            return
        tag = f'"{revision}"'
        if self.headers.get("If-None-Match") == tag:
            self._answer(304, b"", tag)
            return
        self._answer(200, packed, tag)
        print(f"revision {revision} served", flush=True)

    def _answer(self, status: int, body: bytes, tag: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/gzip" if status == 200 else "text/plain; charset=utf-8")
        if tag is not None:
            self.send_header("ETag", tag)
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """OPA asks every second or two: only what is served anew, and what fails, is worth a line."""


def _told(error: PolicyRejected | OSError) -> str:
    if isinstance(error, PolicyRejected):
        return "; ".join(str(each) for each in error.findings)
    return str(error)


def main() -> int:
    if len(sys.argv) != 5 or not sys.argv[1].isdecimal():
        print("usage: python bundle_server.py PORT POLICIES SCHEMAS AUTHZ", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # process 1 has to ask for its own end
    policies, schemas, authz = map(Path, sys.argv[2:])
    with BundleServer(int(sys.argv[1]), Source(policies, schemas), authz) as server:
        print(f"port {server.server_port}", flush=True)
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
