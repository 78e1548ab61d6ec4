"""Every way an exchange can fail, and the one table that says how each looks on the wire.

Raise where the failure is known, from its cause; the edge translates once. The message is shown to the caller:
it says what to do and tells nothing of other subjects, of rules or of what lies behind the gateway.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from gateway.model import Era, Json


class Kind(Enum):
    """Whose fault it is and what the client should do about it; each has one row in `WIRE`."""

    FORBIDDEN_ORIGIN = "forbidden_origin"
    UNAUTHENTICATED = "unauthenticated"
    TOO_MANY_LOGINS = "too_many_logins"
    FORBIDDEN_SURFACE = "forbidden_surface"
    INSUFFICIENT_SCOPE = "insufficient_scope"
    NO_SUCH_ENDPOINT = "no_such_endpoint"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    NOT_ACCEPTABLE = "not_acceptable"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    TOO_LARGE = "too_large"
    HEADERS_TOO_LARGE = "headers_too_large"
    SLOW_REQUEST = "slow_request"
    BUSY = "busy"
    PARSE = "parse"
    INVALID_REQUEST = "invalid_request"
    INVALID_PARAMS = "invalid_params"
    HEADER_MISMATCH = "header_mismatch"
    UNSUPPORTED_VERSION = "unsupported_version"
    MISSING_CAPABILITY = "missing_capability"
    UNKNOWN_METHOD = "unknown_method"
    UNKNOWN_SESSION = "unknown_session"
    UNKNOWN_ITEM = "unknown_item"
    UNKNOWN_RESOURCE = "unknown_resource"
    DENIED = "denied"
    LIMITED = "limited"
    UNDECIDED = "undecided"
    UNRECORDED = "unrecorded"
    BACKEND_FAILED = "backend_failed"
    BACKEND_ERROR = "backend_error"
    RESULT_WITHHELD = "result_withheld"
    REVOKED = "revoked"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Wire:
    """How one kind of failure is sent: JSON-RPC code and HTTP status, for each era."""

    modern_code: int
    modern_status: int
    legacy_code: int
    legacy_status: int


def _both(code: int, status: int) -> Wire:
    return Wire(code, status, code, status)


DENIED_CODE = 1403  # application codes lie outside -32768..-32000 (2026-07-28, basic: error codes)
LIMITED_CODE = 1429
RESOURCE_NOT_FOUND_LEGACY = -32002  # 2025-11-25, server/resources; 2026-07-28 retired it

WIRE: Mapping[Kind, Wire] = MappingProxyType(
    {
        Kind.FORBIDDEN_ORIGIN: _both(-32600, 403),
        Kind.UNAUTHENTICATED: _both(-32600, 401),
        Kind.TOO_MANY_LOGINS: _both(LIMITED_CODE, 429),
        Kind.FORBIDDEN_SURFACE: _both(DENIED_CODE, 403),
        Kind.INSUFFICIENT_SCOPE: _both(DENIED_CODE, 403),
        Kind.NO_SUCH_ENDPOINT: _both(-32600, 404),
        Kind.METHOD_NOT_ALLOWED: _both(-32600, 405),
        Kind.NOT_ACCEPTABLE: _both(-32600, 406),
        Kind.UNSUPPORTED_MEDIA_TYPE: _both(-32600, 415),
        Kind.TOO_LARGE: _both(-32600, 413),
        Kind.HEADERS_TOO_LARGE: _both(-32600, 431),
        Kind.SLOW_REQUEST: _both(-32600, 408),
        Kind.BUSY: _both(LIMITED_CODE, 200),
        Kind.PARSE: _both(-32700, 400),
        Kind.INVALID_REQUEST: _both(-32600, 400),
        Kind.INVALID_PARAMS: Wire(-32602, 400, -32602, 200),
        Kind.HEADER_MISMATCH: _both(-32020, 400),
        Kind.UNSUPPORTED_VERSION: _both(-32022, 400),
        Kind.MISSING_CAPABILITY: _both(-32021, 400),
        Kind.UNKNOWN_METHOD: Wire(-32601, 404, -32601, 200),  # a legacy client drops its session on 404
        Kind.UNKNOWN_SESSION: _both(-32600, 404),
        Kind.UNKNOWN_ITEM: Wire(-32602, 400, -32602, 200),
        Kind.UNKNOWN_RESOURCE: Wire(-32602, 400, RESOURCE_NOT_FOUND_LEGACY, 200),
        Kind.DENIED: _both(DENIED_CODE, 200),
        Kind.LIMITED: _both(LIMITED_CODE, 200),
        Kind.UNDECIDED: _both(-32603, 200),
        Kind.UNRECORDED: _both(-32603, 200),
        Kind.BACKEND_FAILED: _both(-32603, 200),
        Kind.BACKEND_ERROR: _both(-32603, 200),
        Kind.RESULT_WITHHELD: _both(-32603, 200),
        Kind.REVOKED: _both(DENIED_CODE, 200),
        Kind.INTERNAL: _both(-32603, 500),
    }
)


class Refusal(Exception):
    """The exchange ends here with this kind of failure.

    `message` is for the caller, `data` goes into the JSON-RPC error, `headers` onto the HTTP response;
    `cause` is one short word for metrics and the audit (e.g. "late", "misshapen"), never shown.
    """

    def __init__(
        self,
        kind: Kind,
        message: str,
        *,
        data: Json = None,
        cause: str = "",
        headers: Mapping[str, str] | None = None,
        code: int | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self._code = code  # an application's own, instead of the table's
        self.message = message
        self.data = data
        self.cause = cause or kind.value
        self.headers = dict(headers or {})

    def code(self, era: Era) -> int:
        if self._code is not None:
            return self._code
        row = WIRE[self.kind]
        return row.modern_code if era == "modern" else row.legacy_code

    def status(self, era: Era) -> int:
        row = WIRE[self.kind]
        return row.modern_status if era == "modern" else row.legacy_status


class Undecided(Exception):
    """The policy gave no usable answer. `cause` is one of the closed words in `UNDECIDED_CAUSES`."""

    def __init__(self, cause: str, detail: str = "") -> None:
        super().__init__(f"{cause}: {detail}" if detail else cause)
        assert cause in UNDECIDED_CAUSES, cause
        self.cause = cause
        self.detail = detail  # for the operator's log, never for the caller


UNDECIDED_CAUSES = frozenset(
    {
        "unreachable",  # no connection to OPA
        "late",  # no answer within the deadline
        "status",  # OPA answered with an error (a rule or builtin failed)
        "undefined",  # no such decision: no policy loaded
        "garbage",  # not JSON, or not an HTTP answer
        "misshapen",  # JSON, but not an answer of contract version 1
        "no_policy",  # no policy set is in force yet
        "revision",  # answers of one list came from different revisions, twice
        "unknown_duty",  # an obligation that this gateway does not know
        "unstable",  # redaction of arguments changed the document a second time
        "too_large",  # the document or the answer is over its limit
    }
)


class BackendFailed(Exception):
    """A backend gave no usable answer. `sent`: it may have received the request and acted on it."""

    def __init__(self, cause: str, detail: str = "", *, sent: bool) -> None:
        super().__init__(f"{cause}: {detail}" if detail else cause)
        assert cause in BACKEND_CAUSES, cause
        self.cause = cause
        self.detail = detail
        self.sent = sent


BACKEND_CAUSES = frozenset(
    {
        "unreachable",  # no connection, TLS failure, or the process could not be started
        "late",  # a phase's time-out passed
        "closed",  # the stream ended before the answer
        "not_mcp",  # an answer that is not MCP
        "status",  # an HTTP error without a JSON-RPC body
        "unauthorized",  # 401, 402, 403 or 407: the gateway's own credential is wrong; never relayed
        "credential",  # the gateway has no credential to show it: nothing was sent
        "too_large",  # the result is over its limit
        "server_request",  # it asked its client something (sampling, elicitation, roots) that is not relayed yet
        "busy",  # its cap of sessions, processes or connections is reached
    }
)


class Unrecorded(Exception):
    """The audit log could not take a record."""
