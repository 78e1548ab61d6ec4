"""What the gateway says of its callers to those behind it, and how it asks for tokens in their name.

Pure: keys, times and random ids are arguments. No token of a client is in anything that goes to a backend.
"""

import base64
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final
from urllib.parse import quote_plus

import msgspec

from gateway.errors import Kind, Refusal
from gateway.identity.jws import LATEST_S
from gateway.model import Caller, Identity, Json, JsonObject, Outgoing

ASSERTION_TYPE: Final = "mcp-gateway-assertion+jwt"
ASSERTION_S: Final = 60

EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"  # RFC 8693 2.1
ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 — a name, RFC 8693 3
JWT_TOKEN: Final = "urn:ietf:params:oauth:token-type:jwt"  # noqa: S105
CLIENT_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"  # RFC 7523 2.2

UNSAID_S: Final = 60.0  # how long a token counts whose issuer does not say (RFC 6749 5.1 only recommends it)
MOST_S: Final = 24 * 3600.0
MAX_TOKEN_CHARS: Final = 16 * 1024
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")


# --- assertions -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stamp:
    """What makes one signed statement its own."""

    id: str  # random
    now_s: float


def assertion_claims(request: Outgoing, *, issuer: str, audience: str, stamp: Stamp) -> JsonObject:
    """What the gateway vouches for about one request: who asks, through whom, for what, and by which decision.

    About the gateway's own requests (lists, discovery) it says so: `sub` is then the gateway.
    """
    claims = {**_frame(issuer, audience, stamp), **_about(request.caller, issuer), "method": request.method}
    if request.item_id:
        claims["item"] = request.item_id
    if request.decision_id:
        claims["decision_id"] = request.decision_id
    return claims


def subject_claims(caller: Caller | None, *, issuer: str, audience: str, stamp: Stamp) -> JsonObject:
    """What the gateway vouches for to an authorization server: who the caller is (None: the gateway itself)."""
    return {**_frame(issuer, audience, stamp), **_about(caller, issuer)}


def client_claims(client_id: str, *, audience: str, stamp: Stamp) -> JsonObject:
    """RFC 7523 3: a client's proof of itself."""
    return {**_frame(client_id, audience, stamp), "sub": client_id}


def _frame(issuer: str, audience: str, stamp: Stamp) -> JsonObject:
    now = int(stamp.now_s)
    return {"iss": issuer, "aud": audience, "jti": stamp.id, "iat": now, "exp": now + ASSERTION_S}


def _about(caller: Caller | None, issuer: str) -> JsonObject:
    if caller is None:
        return {"sub": issuer, "sub_iss": issuer, "sub_type": "gateway"}
    subject = caller.subject
    claims: JsonObject = {"sub": subject.identity.id, "sub_iss": subject.identity.issuer, "sub_type": subject.type}
    if caller.agent_id is not None:
        claims["agent"] = caller.agent_id
    if subject.actors:
        claims["act"] = _chain(subject.actors)
    return claims


def _chain(actors: Sequence[Identity]) -> JsonObject:
    """Nested, the nearest outermost (RFC 8693 4.1)."""
    nearest, *others = actors
    chain: JsonObject = {"sub": nearest.id, "iss": nearest.issuer}
    return {**chain, "act": _chain(others)} if others else chain


# --- asking for tokens ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """For what a token is asked."""

    scopes: tuple[str, ...] = ()
    audience: str | None = None
    resource: str | None = None  # RFC 8707

    def members(self) -> dict[str, str]:
        said = {"scope": " ".join(self.scopes) or None, "audience": self.audience, "resource": self.resource}
        return {name: value for name, value in said.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Shown:
    """A token of the subject, or of who acts for it, and what kind it is."""

    type: str
    token: str = field(repr=False)


def client_credentials_form(wanted: Wanted) -> dict[str, str]:
    """RFC 6749 4.4.2."""
    return {"grant_type": "client_credentials", **wanted.members()}


def exchange_form(subject: Shown, actor: Shown | None, wanted: Wanted) -> dict[str, str]:
    """RFC 8693 2.1."""
    form = {
        "grant_type": EXCHANGE,
        "subject_token": subject.token,
        "subject_token_type": subject.type,
        "requested_token_type": ACCESS_TOKEN,
        **wanted.members(),
    }
    return form if actor is None else {**form, "actor_token": actor.token, "actor_token_type": actor.type}


def basic(client_id: str, secret: str) -> str:
    """Value of `Authorization`; both are form-encoded first (RFC 6749 2.3.1)."""
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


@dataclass(frozen=True, slots=True)
class Issued:
    """A token for a backend, and until when it counts (Unix time)."""

    expires_at_s: float
    token: str = field(repr=False)


class BadAnswer(Exception):
    """Not the answer of a token endpoint, or not one to be used. The message repeats nothing of it."""


def issued(body: bytes, *, now_s: float) -> Issued:
    """The token in a token endpoint's answer (RFC 6749 5.1, RFC 8693 2.2.1). Raises `BadAnswer`."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadAnswer("its answer is not JSON") from error
    if not isinstance(answer, dict):
        raise BadAnswer("its answer is not a JSON object")
    token = answer.get("access_token")
    if not isinstance(token, str) or len(token) > MAX_TOKEN_CHARS or not _TOKEN.fullmatch(token):
        raise BadAnswer("its answer has no usable access_token")
    kind = answer.get("token_type")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise BadAnswer("its token is of another type than Bearer, which needs a proof with each use")
    if answer.get("issued_token_type", ACCESS_TOKEN) not in (ACCESS_TOKEN, JWT_TOKEN):
        raise BadAnswer("its token is no access token")
    return Issued(now_s + _lifetime_s(answer.get("expires_in")), token)


def _lifetime_s(said: Json) -> float:
    if said is None:
        return UNSAID_S
    if isinstance(said, str) and said.isascii() and said.isdigit() and len(said) <= 9:  # some providers quote it
        said = int(said)
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 < said <= LATEST_S:
        raise BadAnswer("its expires_in is not a number of seconds")
    return min(float(said), MOST_S)


# --- what may pass ----------------------------------------------------------------------------------------------------

_NEVER: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(
            ("authorization", "proxy-authorization", "cookie", "set-cookie", "dpop", "www-authenticate", "proxy-authenticate"),
            "the client's credentials stay with the gateway",
        ),
        **dict.fromkeys(
            ("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "proxy-connection", "expect"),
            "it belongs to one connection (RFC 9110 7.6.1)",
        ),
        **dict.fromkeys(
            ("host", "accept", "accept-encoding", "origin", "last-event-id"),
            "it belongs to the gateway's own request",
        ),
        **dict.fromkeys(("forwarded", "via", "x-real-ip"), "a client could claim any address in it"),
    }
)
_NEVER_PREFIXES: Final = {
    "mcp-": "the protocol's own headers are built from what was decided",
    "content-": "the body is written anew",
    "x-forwarded-": "a client could claim any address in it",
    "x-mcp-gateway-": "only the gateway says these",
    "sec-": "it belongs to the client's browser",
}


def passing(headers: Sequence[tuple[str, str]], names: Collection[str]) -> Mapping[str, str]:
    """Of a client's headers (lower-case names) those that may pass on. Raises `Refusal` where one cannot."""
    if not names:
        return {}
    found: dict[str, str] = {}
    for name, value in headers:
        if name in names:
            if not value.isascii() or not value.isprintable():
                raise Refusal(Kind.INVALID_REQUEST, f"the header {name} must be printable ASCII", cause="forwarded_header")
            found[name] = f"{found[name]}, {value}" if name in found else value  # RFC 9110 5.3
    return found


def why_not_forwarded(name: str) -> str | None:
    """Why a client's header of this name may never pass; None: an operator may let it."""
    lower = name.lower()
    if (why := _NEVER.get(lower)) is not None:
        return why
    return next((why for prefix, why in _NEVER_PREFIXES.items() if lower.startswith(prefix)), None)
