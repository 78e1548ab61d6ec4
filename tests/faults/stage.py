"""What every fault is played on: a gateway with its own OPA, backends whose behaviour a test changes while it runs, and
the three things that are looked at afterwards: what the caller was told, what the backend got, what the audit holds.
"""

import hashlib
import json
import os
import resource
import secrets
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import yaml

from examples.demo.stack import first_line, started, wait_ready
from tests.flows.running import PATIENCE_S, ROOT, TESTERS, Http, Running, granting, said, soon
from tools.binaries import find

CALLERS = ("ada", "ben")
DONE = {"resultType": "complete", "content": [{"type": "text", "text": "done"}]}
ACT = {"name": "act", "description": "Acts.", "inputSchema": {"type": "object"}}
NOTHING_DONE = "so nothing was done"

Play = Callable[["Asked"], None]


class Asked(BaseHTTPRequestHandler):
    """One request at the backend, and the ways to answer it, right and wrong."""

    server: "Server"
    protocol_version = "HTTP/1.1"
    message: dict[str, Any]

    def do_POST(self) -> None:
        self.message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.backend.play(self)

    def do_GET(self) -> None:
        self.send_error(405)

    def result(self, result: dict[str, Any], *, id: object = None) -> None:
        self.raw(json.dumps({"jsonrpc": "2.0", "id": self.message["id"] if id is None else id, "result": result}).encode())

    def raw(self, body: bytes, *, status: int = 200, kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self) -> None:
        """Begin an event stream that ends with the connection."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def event(self, message: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(message).encode() + b"\n\n")
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a test says what it needs."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    backend: "Backend"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The gateway went away in the middle, as some tests want it to."""


class Backend:
    """A modern MCP server with the tool `act`; calls are answered as `on_call` says."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.tools: list[dict[str, Any]] = [ACT]
        self.on_call: Play = done
        self.calls: list[dict[str, Any]] = []  # parameters of every tools/call that arrived
        self.release = threading.Event()  # lets those go on who wait for it
        self._server = Server(("127.0.0.1", 0), Asked)
        self._server.backend = self
        self.url = f"http://127.0.0.1:{self._server.server_port}/mcp"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def play(self, asked: Asked) -> None:
        method = asked.message["method"]
        if method == "server/discover":
            known = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "ttlMs": 0, "cacheScope": "private"}
            asked.result({"resultType": "complete", **known})
        elif method == "tools/list":
            asked.result({"resultType": "complete", "tools": self.tools, "ttlMs": 0, "cacheScope": "public"})
        elif method == "tools/call":
            self.calls.append(asked.message["params"])
            self.on_call(asked)
        else:
            problem = {"code": -32601, "message": "Method not found"}
            asked.raw(json.dumps({"jsonrpc": "2.0", "id": asked.message.get("id"), "error": problem}).encode(), status=404)

    def hold(self, asked: Asked) -> None:
        """Answer only when the test releases it."""
        assert self.release.wait(3 * PATIENCE_S)
        done(asked)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def gateway(
    folder: Path,
    backends: Mapping[str, str | dict[str, Any]],
    *,
    rules: Mapping[str, str] | None = None,
    becomes_ready: bool = True,
    **settings: Any,
) -> Iterator[Running]:
    """A gateway of its own, ready; ended with the block, however it stands by then.

    Its policies are a copy in `folder`, with `rules` (path below mcp/servers, text) added.
    """
    policies = granting(folder, *backends)
    for name, rule in (rules or {}).items():
        (policies / "mcp/servers" / name).write_text(rule)
    tokens, keys = {}, []
    for name in CALLERS:
        secret = secrets.token_urlsafe(32)
        tokens[name] = f"mgw_{name}_{secret}"
        digest = hashlib.sha256(secret.encode()).hexdigest()
        keys.append({"id": name, "sha256": digest, "subject": name, "type": "user", "groups": [*TESTERS]})
    told = {
        "listen": {"port": 0},
        "operations": {"port": 0},
        "policy": {"folder": str(policies), "schemas": str(ROOT / "schemas")},
        "backends": {name: {"url": each} if isinstance(each, str) else each for name, each in backends.items()},
        "audit": {"folder": str(folder / "audit")},
        "identity": {"api_keys": keys},
        **settings,
    }
    if "url" not in told.setdefault("opa", {}):
        told["opa"] = {"binary": find("opa"), **told["opa"]}
    path = folder / "gateway.yaml"
    path.write_text(yaml.safe_dump(told))
    log = folder / "gateway.log"
    with ExitStack() as stopping:
        process = started(["-m", "gateway.cli", "serve", "--settings", str(path)], log, stopping)
        urls = json.loads(first_line(process, log, "gateway ready").removeprefix("gateway ready "))
        running = Running(urls["mcp"], urls["operations"], folder, tokens, process)
        if becomes_ready:
            wait_ready(urls["operations"] + "/readyz", log)
        yield running


def done(asked: Asked) -> None:
    asked.result(DONE)


@contextmanager
def backend(name: str) -> Iterator[Backend]:
    one = Backend(name)
    one.start()
    try:
        yield one
    finally:
        one.end()


class Caller(Http):
    """One caller of the gateway, in the modern era."""

    def __init__(self, running: Running, who: str = "ada", surface: str = "default") -> None:
        super().__init__(running, who, surface)
        self._background = ThreadPoolExecutor(16)

    def __enter__(self) -> "Caller":
        return self

    def __exit__(self, *ended: object) -> None:
        super().__exit__(*ended)
        self._background.shutdown()

    def call(self, tool: str, **arguments: object) -> dict[str, Any]:
        return said(self.modern("tools/call", {"name": tool, "arguments": arguments}))

    def later(self, tool: str, **arguments: object) -> "Future[dict[str, Any]]":
        """The same on a thread of its own; ask it with a time-out."""
        return self._background.submit(self.call, tool, **arguments)

    def tools(self) -> dict[str, Any]:
        return said(self.modern("tools/list"))

    def names(self) -> list[str]:
        return [tool["name"] for tool in self.tools()["result"]["tools"]]


def text(answer: dict[str, Any]) -> str:
    """What the model reads of a tool's result."""
    said_text: str = answer["result"]["content"][0]["text"]
    return said_text


def works(caller: Caller, tool: str) -> bool:
    """Whether a call is carried out and answered."""
    return bool(caller.call(tool).get("result", {}).get("content") == DONE["content"])


def ready(running: Running) -> tuple[int, str]:
    answer = httpx2.get(running.operations_url + "/readyz", timeout=PATIENCE_S)
    return answer.status_code, answer.text


def metric(running: Running, sample: str) -> float:
    """The value of one sample of /metrics, named with its labels; 0 where there is none."""
    exposition = httpx2.get(running.operations_url + "/metrics", timeout=PATIENCE_S).text
    found = [line.rpartition(" ")[2] for line in exposition.splitlines() if line.rpartition(" ")[0] == sample]
    return float(found[0]) if found else 0.0


def lines(folder: Path) -> list[dict[str, Any]]:
    """Every line of the audit in `folder`; each has to parse."""
    found = []
    for file in sorted(folder.glob("audit-*.jsonl")):
        found += [json.loads(line) for line in file.read_text().splitlines()]
    return found


def forwarded(running: Running) -> list[tuple[str, str]]:
    """The audit's account of what went out: (exchange, outcome) in the order of the intents; `open` where none is told."""
    records = lines(running.folder / "audit")
    ends = {each["exchange_id"]: each["outcome"] for each in records if each["type"] == "outcome"}
    return [(each["exchange_id"], ends.get(each["exchange_id"], "open")) for each in records if each["type"] == "intent"]


def last_outcome(running: Running) -> tuple[str, str | None]:
    """Outcome and cause of the newest line about an exchange."""
    ended = [each for each in lines(running.folder / "audit") if "outcome" in each]
    return ended[-1]["outcome"], ended[-1].get("cause")


def children(pid: int) -> dict[int, str]:
    """The processes below `pid`, however deep, with their command lines."""
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (parent := _parent(entry)) is not None:
            found.setdefault(int(entry.name), f"{parent}")
    below: dict[int, str] = {}
    wanted = {pid}
    while wanted:
        wanted = {child for child, parent in found.items() if int(parent) in wanted and child not in below}
        below.update({child: _command(child) for child in wanted})
    return below


def _parent(entry: Path) -> int | None:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # it ended while we looked
        return None


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def alive(pid: int) -> bool:
    """Whether it still runs; one that ended and was not yet waited for does not."""
    try:
        return _state(Path(f"/proc/{pid}")) != "Z"
    except OSError:
        return False


def _state(entry: Path) -> str:
    return (entry / "stat").read_text().rpartition(")")[2].split()[0]


def opa_pid(running: Running) -> int:
    """The OPA in force."""
    found = [pid for pid, command in children(running.process.pid).items() if "run --server" in command]
    return max(found)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """SIGSTOP for as long as the block runs."""
    os.kill(pid, signal.SIGSTOP)
    try:
        soon(lambda: all(_state(task) == "T" for task in Path(f"/proc/{pid}/task").iterdir()))  # a busy machine takes a moment
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def full(running: Running) -> Iterator[None]:
    """Not one byte more may be written into a file, as long as the block runs."""
    file = sorted((running.folder / "audit").glob("audit-*.jsonl"))[-1]
    limits = resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (file.stat().st_size, limits[1]))
    try:
        yield
    finally:
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, limits)
