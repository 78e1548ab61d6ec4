"""The operator's listener: /metrics, /livez and /readyz. Apart from the clients' one, loopback by default, read only.

Alive says that the event loop runs. Ready says that a call could be decided, recorded and answered right now.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.types import Receive, Scope, Send

TEXT = "text/plain; charset=utf-8"
PATHS = ("/metrics", "/livez", "/readyz")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that has to be right, and what is wrong with it otherwise."""

    name: str
    ok: bool
    detail: str = ""
    note: bool = False  # no reason not to be ready, but something to be looked at


class Operations:
    """An ASGI application. `checks` is called for each /readyz and must not wait."""

    def __init__(self, *, metrics: Callable[[], bytes], checks: Callable[[], Sequence[Check]]) -> None:
        self._metrics = metrics
        self._checks = checks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        if scope["path"] not in PATHS:
            await _answer(send, 404, TEXT, f"There is no such page; there are {', '.join(PATHS)}.\n".encode())
        elif scope["method"] not in {"GET", "HEAD"}:
            await _answer(send, 405, TEXT, b"Only GET and HEAD.\n", allow=True)
        elif scope["path"] == "/metrics":
            await _answer(send, 200, CONTENT_TYPE_LATEST, self._metrics())
        elif scope["path"] == "/livez":
            await _answer(send, 200, TEXT, b"alive\n")
        else:
            await self._ready(scope, send)

    async def _ready(self, scope: Scope, send: Send) -> None:
        checks = self._checks()
        ready = bool(checks) and all(check.ok for check in checks)  # nothing checked is nothing known
        status = 200 if ready else 503
        if b"application/json" in dict(scope["headers"]).get(b"accept", b""):
            body = msgspec.json.encode({"ready": ready, "checks": list(checks)})
            await _answer(send, status, "application/json", body + b"\n")
            return
        lines = [f"{_mark(check)} {check.name}: {_one_line(check.detail)}" for check in checks]
        await _answer(send, status, TEXT, "\n".join(["ready" if ready else "not ready", *lines, ""]).encode())


def _mark(check: Check) -> str:
    if not check.ok:
        return "FAIL"
    return "note" if check.note else "ok  "


async def _answer(send: Send, status: int, content_type: str, body: bytes, *, allow: bool = False) -> None:
    headers = [
        (b"content-type", content_type.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    if allow:
        headers.append((b"allow", b"GET, HEAD"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        event = await receive()
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return


def _one_line(text: str) -> str:
    return " ".join(text.split())
