"""HTTP to one backend: pooled connections, one TLS context, a time-out for each phase, nothing followed, nothing resent.

aiohttp resends idempotent methods on a dead pooled connection by itself, but never a POST, and so do we not: the
backend may have acted on it. What leaves this module is bytes that were bounded, or `BackendFailed`.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Final

import aiohttp
from yarl import URL

from gateway.adapters.backends import rpc
from gateway.adapters.backends.circuit import Circuit
from gateway.adapters.backends.specs import HttpSpec, TlsSpec
from gateway.adapters.credentials.credential import unavailable
from gateway.adapters.tasks import Tasks
from gateway.errors import BackendFailed
from gateway.model import JsonObject, Outgoing
from gateway.wire import sse

PROTOCOL_HEADERS: Final = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "Accept-Encoding": "identity",  # a small answer could unpack to a huge one
}
KEEP_ALIVE_S = 4.0  # below uvicorn's 5 s: the backend must not close a connection that we are about to use
SILENCE_S = 300.0  # of a stream of notifications, before it is opened anew
ERROR_BODY_BYTES = 64 * 1024
DRAIN_S = 1.0


class Link:
    """One backend's endpoint. Requests are given as bytes; the circuit learns whether it could be reached."""

    def __init__(self, spec: HttpSpec, circuit: Circuit, tasks: Tasks) -> None:
        """Raises `ValueError` when the TLS files cannot be used."""
        self.backend = spec.name
        self._url = URL(spec.url)
        self._spec = spec
        self._circuit = circuit
        self._tasks = tasks
        self._tls: ssl.SSLContext | bool = _context(spec) if self._url.scheme == "https" else True
        self._pin = _fingerprint(spec)
        self._session: aiohttp.ClientSession | None = None
        times = spec.timeouts
        self._answer_time = aiohttp.ClientTimeout(
            total=None, connect=times.connect_s, sock_connect=times.connect_s, sock_read=times.first_byte_s
        )
        self._stream_time = aiohttp.ClientTimeout(
            total=None, connect=times.connect_s, sock_connect=times.connect_s, sock_read=SILENCE_S
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
        await self._spec.credential.close()

    async def send(
        self, method: str, request: Outgoing, headers: Mapping[str, str], body: bytes | None, *, deadline_s: float | None
    ) -> aiohttp.ClientResponse:
        """The response's head. `deadline_s` is of the loop's clock; None: a stream without an end. Raises `BackendFailed`.

        `request` says for whom: the credential is added here and nowhere else. A 401 means that the backend left the
        request unread; with another credential it is sent once more.
        """
        credential = self._spec.credential
        shown = await self._shown(request, deadline_s)
        response = await self._sent(method, {**headers, **shown}, body, deadline_s)
        if response.status == 401 and await credential.rejected(request, shown):
            response.close()
            shown = await self._shown(request, deadline_s)
            response = await self._sent(method, {**headers, **shown}, body, deadline_s)
        return response

    async def _shown(self, request: Outgoing, deadline_s: float | None) -> Mapping[str, str]:
        try:
            async with asyncio.timeout_at(deadline_s):
                return await self._spec.credential.headers(request)
        except TimeoutError as error:
            raise unavailable("it could not be had in time") from error

    async def _sent(
        self, method: str, headers: Mapping[str, str], body: bytes | None, deadline_s: float | None
    ) -> aiohttp.ClientResponse:
        session = self._session or self._open()
        with _translated():
            try:
                async with asyncio.timeout_at(deadline_s):
                    response = await session.request(
                        method,
                        self._url,
                        data=body,
                        headers=headers,
                        ssl=self._tls,
                        timeout=self._stream_time if deadline_s is None else self._answer_time,
                        allow_redirects=False,
                    )
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ServerFingerprintMismatch) as error:
                self._circuit.unreached(str(error))
                raise
        self._circuit.reached()
        if deadline_s is not None and (connection := response.connection) is not None and connection.protocol is not None:
            connection.protocol.read_timeout = self._spec.timeouts.idle_s
            connection.protocol.start_timeout()
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            response.close()
            raise rpc.not_mcp("a compressed answer, which was not asked for")
        return response

    async def body(self, response: aiohttp.ClientResponse, deadline_s: float, *, limit_bytes: int | None = None) -> bytes:
        """The whole body. Raises `BackendFailed`, also for one that is over the limit."""
        limit = self._spec.max_result_bytes if limit_bytes is None else limit_bytes
        if (response.content_length or 0) > limit:
            raise BackendFailed("too_large", f"an answer of {response.content_length} bytes", sent=True)
        parts: list[bytes] = []
        size = 0
        with _translated():
            async with asyncio.timeout_at(deadline_s):
                while part := await response.content.readany():
                    size += len(part)
                    if size > limit:
                        raise BackendFailed("too_large", f"an answer of more than {limit} bytes", sent=True)
                    parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def events(
        self, response: aiohttp.ClientResponse, deadline_s: float | None
    ) -> AsyncGenerator[tuple[JsonObject, int], None]:
        """Each message of an event stream with its size, as they come. Raises `BackendFailed`."""
        decoder = sse.Decoder(self._spec.max_result_bytes)
        while True:
            with _translated():
                async with asyncio.timeout_at(deadline_s):
                    chunk = await response.content.readany()
            if not chunk:
                return
            try:
                events = decoder.feed(chunk)
            except sse.TooLong:
                detail = f"an event of more than {self._spec.max_result_bytes} bytes"
                raise BackendFailed("too_large", detail, sent=True) from None
            for event in events:
                if event.data and event.type == "message":  # an empty one only tells where to resume, which we do not
                    data = event.data.encode()
                    yield rpc.decode(data), len(data)

    async def messages(self, response: aiohttp.ClientResponse, deadline_s: float) -> AsyncGenerator[tuple[JsonObject, int], None]:
        """Every message of an answer to a request, be it JSON or a stream. Raises `BackendFailed`."""
        kind = response.content_type
        if kind == "application/json":
            data = await self.body(response, deadline_s)
            yield rpc.decode(data), len(data)
        elif kind == "text/event-stream":
            async with aclosing(self.events(response, deadline_s)) as events:
                async for each in events:
                    yield each
        else:
            raise rpc.not_mcp(f"an answer of type {kind[:64]}")

    def release(self, response: aiohttp.ClientResponse) -> None:
        """Let the connection be used again, once what follows the answer was read; that may take a moment, not long."""
        if response.connection is not None:  # None: its end was read, and the connection is back in the pool
            self._tasks.spawn(self._drain(response), f"end of an answer of {self._spec.name}")

    async def _drain(self, response: aiohttp.ClientResponse) -> None:
        left = ERROR_BODY_BYTES
        try:
            async with asyncio.timeout(DRAIN_S):
                while left > 0 and (part := await response.content.readany()):
                    left -= len(part)
        except (TimeoutError, aiohttp.ClientError):
            pass
        finally:
            response.close()  # without effect when its end was read

    def _open(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S, ssl=self._pin or True),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=PROTOCOL_HEADERS,
            skip_auto_headers=("User-Agent",),
            auto_decompress=False,
            trust_env=False,
        )
        return self._session


@contextmanager
def _translated() -> Iterator[None]:
    """The one place where failures of HTTP become ours."""
    try:
        yield
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise BackendFailed("unreachable", str(error), sent=False) from error
    except aiohttp.ServerFingerprintMismatch as error:
        raise BackendFailed("unreachable", "its certificate is not the pinned one", sent=False) from error
    except TimeoutError as error:
        raise BackendFailed("late", "no answer in time", sent=True) from error
    except aiohttp.ClientResponseError as error:
        raise rpc.not_mcp(f"not an HTTP answer: {error.message}") from error
    except (aiohttp.ClientError, OSError) as error:
        raise BackendFailed("closed", str(error) or type(error).__name__, sent=True) from error


def _context(spec: HttpSpec) -> ssl.SSLContext:
    tls: TlsSpec = spec.tls
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
        if tls.cert_file is not None:
            context.load_cert_chain(tls.cert_file, tls.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"backend {spec.name}: its TLS files cannot be used: {error}") from error
    if tls.pin_sha256 is not None and tls.ca_file is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # the pin names the one certificate that will do
    return context


def _fingerprint(spec: HttpSpec) -> aiohttp.Fingerprint | None:
    if spec.tls.pin_sha256 is None:
        return None
    if not spec.url.startswith("https:"):
        raise ValueError(f"backend {spec.name}: a pinned certificate needs an https URL")
    return aiohttp.Fingerprint(bytes.fromhex(spec.tls.pin_sha256))
