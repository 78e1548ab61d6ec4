"""One request under way: tells which of the backend's messages belong to it, and what they mean to its caller.

Pure. Progress under a foreign token, logs that nobody wanted and notifications of other kinds are dropped; a flood is not.
"""

from collections.abc import Callable
from typing import TypeAlias

from gateway.adapters.backends import rpc
from gateway.errors import BackendFailed
from gateway.model import Answer, BackendMessage, Era, Fault, Json, JsonObject, Log, Outgoing, Progress

MAX_MESSAGES = 10_000  # before a result; what sends more is not working on a request
LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
SEVERITY = {level: rank for rank, level in enumerate(LEVELS)}

Told: TypeAlias = Callable[[JsonObject], None]
"""Takes a notification that belongs to no request: something changed at the backend."""


class Call:
    """Reads the messages of one request. `id` is also its progress token: unique among all we have under way there."""

    __slots__ = ("_floor", "_last_progress", "_seen", "_told", "era", "id", "request")

    def __init__(self, id: int, request: Outgoing, era: Era, told: Told) -> None:
        self.id = id
        self.era = era
        self.request = request
        self._told = told
        self._floor = SEVERITY.get(request.log_level) if request.log_level is not None else None
        self._seen = 0
        self._last_progress: float | None = None

    def read(self, message: JsonObject, size_bytes: int) -> BackendMessage | None:
        """What `message` means; None: nothing to the caller. Raises `BackendFailed`."""
        method = message.get("method")
        if method is None:
            return self._final(message, size_bytes)
        self._seen += 1
        if self._seen > MAX_MESSAGES:
            raise BackendFailed("too_large", f"more than {MAX_MESSAGES} messages before the result", sent=True)
        if "id" in message:
            if method == "ping" and self.era == "legacy":
                return None
            raise BackendFailed("server_request", f"it asked for {str(method)[:64]}", sent=True)
        params = message.get("params", {})
        assert isinstance(params, dict)
        if method == "notifications/progress":
            return self._progress(params)
        if method == "notifications/message":
            return self._log(params)
        self._told(message)
        return None

    def _final(self, message: JsonObject, size_bytes: int) -> Answer | Fault:
        if not rpc.is_response_to(message, self.id):
            raise rpc.not_mcp("a response to a request that we did not send")
        outcome = rpc.result_or_fault(message, self.era)
        if isinstance(outcome, Fault):
            return outcome
        kind = outcome.get("resultType", "complete")
        if self.era == "modern" and kind != "complete":
            if kind == "input_required":
                raise BackendFailed("server_request", "it answered input_required", sent=True)
            raise rpc.not_mcp("a resultType that this client does not know")
        return Answer(outcome, self.era, size_bytes)

    def _progress(self, params: JsonObject) -> Progress | None:
        token = params.get("progressToken")
        if not self.request.progress or type(token) is not int or token != self.id:
            return None
        done = params.get("progress")
        if not _number(done) or not _number(params.get("total", 0)) or not isinstance(params.get("message", ""), str):
            return None
        assert isinstance(done, int | float)
        if self._last_progress is not None and done <= self._last_progress:
            return None  # progress must increase (2026-07-28, basic/patterns/progress)
        self._last_progress = done
        return Progress({name: value for name, value in params.items() if name in ("progress", "total", "message")})

    def _log(self, params: JsonObject) -> Log | None:
        level = params.get("level")
        rank = SEVERITY.get(level) if isinstance(level, str) else None
        if self._floor is None or rank is None or rank < self._floor or not isinstance(params.get("logger", ""), str):
            return None
        return Log({name: value for name, value in params.items() if name in ("level", "logger", "data")})


def _number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
