"""The hot path to OPA: fixed questions, a bounded pool, one deadline for everything, and no answer but a whole one.

A request is sent twice only when a pooled connection ends before one byte of the answer came: OPA had closed it while it
was idle, and a decision has no effect that could happen twice.
"""

import asyncio
import ssl
from collections import deque
from dataclasses import dataclass
from functools import partial

from gateway.adapters.opa.answer import verdict
from gateway.adapters.opa.connection import Connection, Response, Unanswered
from gateway.errors import Undecided
from gateway.ports import Verdict

QUESTION = "/v1/data/mcp/authz/decision?strict-builtin-errors=true&provenance=true"
FACTS = "/v1/data/mcp/facts?provenance=true"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one decision may cost."""

    deadline_s: float = 1.0  # waiting for a connection, connecting and answering together
    connections: int = 16
    max_document_bytes: int = 4 * 1024 * 1024  # OPA's own decoding limit is set to the same
    max_answer_bytes: int = 8 * 1024 * 1024
    background: bool = False  # its OPA takes one processor at most


@dataclass(frozen=True, slots=True)
class Target:
    """Where OPA listens: a unix socket, or host and port."""

    socket_path: str | None = None
    host: str = "localhost"
    port: int = 8181
    tls: ssl.SSLContext | None = None
    token: str | None = None  # bearer token

    @property
    def authority(self) -> str:
        if self.socket_path is not None:
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def _head(path: str, target: Target) -> bytes:
    """All of a request's head but the length of what is asked."""
    bearer = f"Authorization: Bearer {target.token}\r\n" if target.token else ""
    told = f"POST {path} HTTP/1.1\r\nHost: {target.authority}\r\n{bearer}Content-Type: application/json\r\nContent-Length: "
    return told.encode("ascii")


class Client:
    """Asks one OPA. Not shared between event loops."""

    def __init__(self, target: Target, limits: Limits) -> None:
        self._target = target
        self._limits = limits
        self._idle: list[Connection] = []  # last in, first out: the busiest connections stay warm, the others age
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._open: set[Connection] = set()
        self._opening = 0
        self._closed = False
        self._head = _head(QUESTION, target)
        self._facts_head = _head(FACTS, target)

    async def ask(self, document: bytes) -> Verdict:
        """OPA's verdict on `document`. Raises `Undecided`."""
        return await self._answered(self._head, document)

    async def facts(self) -> Verdict:
        """The facts of the policy set that answers now, as a verdict's result. Raises `Undecided`."""
        return await self._answered(self._facts_head, b"{}")

    async def _answered(self, path: bytes, document: bytes) -> Verdict:
        if len(document) > self._limits.max_document_bytes:
            raise Undecided("too_large", f"the document has {len(document)} bytes, more than {self._limits.max_document_bytes}")
        head = b"%b%d\r\n\r\n" % (path, len(document))
        deadline = asyncio.get_running_loop().time() + self._limits.deadline_s
        connection = self._warm()
        if connection is None:
            connection = await self._connection_by(deadline)
        else:
            try:
                return verdict(*await self._exchange(connection, head, document, deadline))
            except Unanswered:
                connection = await self._connect_by(deadline)
        try:
            return verdict(*await self._exchange(connection, head, document, deadline))
        except Unanswered as error:
            raise Undecided("unreachable", str(error)) from error

    async def close(self) -> None:
        """Close every connection. A decision that is still under way ends undecided."""
        self._closed = True
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
        for connection in tuple(self._open):
            connection.abort()

    async def _exchange(self, connection: Connection, head: bytes, document: bytes, deadline: float) -> Response:
        try:
            return await connection.ask(head, document, deadline)
        except asyncio.CancelledError:
            connection.abort()  # the caller went: nobody will read the answer
            raise
        finally:
            if connection.reusable:
                self._hand_on(connection)

    # --- the pool ---

    def _hand_on(self, connection: Connection) -> None:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(connection)
                return
        self._idle.append(connection)

    def _lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._let_one_open()

    def _let_one_open(self) -> None:
        """There is room for one more connection: the first who waits opens it."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(None)
                return

    def _warm(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable:  # an aborted one stays here until the loop tells of its end
                return connection
        return None

    async def _connection_by(self, deadline: float) -> Connection:
        while len(self._open) + self._opening >= self._limits.connections:
            connection = await self._turn(deadline)
            if connection is not None and connection.reusable:
                return connection
        return await self._connect_by(deadline)

    async def _turn(self, deadline: float) -> Connection | None:
        """Wait for a connection that somebody has done with, or (None) for room to open one."""
        waiting: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            async with asyncio.timeout_at(deadline):
                return await waiting
        except (TimeoutError, asyncio.CancelledError) as error:
            if waiting.done() and not waiting.cancelled():
                self._give_back(waiting.result())  # handed over at the very moment we gave up
            if isinstance(error, TimeoutError):
                raise Undecided("late", f"all {self._limits.connections} connections to OPA are in use") from error
            raise

    def _give_back(self, connection: Connection | None) -> None:
        if connection is None:
            self._let_one_open()
        elif connection.reusable:
            self._hand_on(connection)

    async def _connect_by(self, deadline: float) -> Connection:
        if self._closed:
            raise Undecided("unreachable", "this client is closed")
        self._opening += 1
        try:
            async with asyncio.timeout_at(deadline):
                connection = await self._connect()
        except BaseException as error:  # also where the caller went: whoever waits for the room would wait out the deadline
            self._let_one_open()
            if isinstance(error, TimeoutError):
                raise Undecided("late", "no connection to OPA within the deadline") from error
            if isinstance(error, OSError):  # ssl.SSLError is one
                raise Undecided("unreachable", f"no connection to OPA: {error}") from error
            raise
        finally:
            self._opening -= 1
        self._open.add(connection)
        return connection

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        make = partial(Connection, loop, self._limits.max_answer_bytes, self._lost)
        target = self._target
        if target.socket_path is not None:
            _, connection = await loop.create_unix_connection(make, target.socket_path)
        else:
            _, connection = await loop.create_connection(make, target.host, target.port, ssl=target.tls)
        return connection
