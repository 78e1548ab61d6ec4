"""Reads the credential out of the request's headers: exactly one, of a known scheme, or a clear refusal.

A token counts only in `Authorization: Bearer` (RFC 6750 2.1) or `DPoP` (RFC 9449 7.1): never in the query or the body.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gateway.identity.grant import Grant, Rejected
from gateway.model import Identity, Subject

Headers = Sequence[tuple[str, str]]

MAX_TOKEN_BYTES = 16 * 1024  # tokens with a hundred groups stay below; uvicorn's own limit for all headers is 64 KiB
MAX_END_USER_CHARS = 256

_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # b64token, RFC 6750 2.1
_END_USER = re.compile(r"[\x21-\x2b\x2d-\x7e]+")  # visible ASCII without the comma that joins repeated headers


Scheme = Literal["bearer", "dpop"]

_SCHEMES: Mapping[str, Scheme] = {"bearer": "bearer", "dpop": "dpop"}


@dataclass(frozen=True, slots=True)
class Sent:
    """A token, and whether its sender says that it is bound to a DPoP key."""

    token: str = field(repr=False)
    scheme: Scheme = "bearer"


def sent(headers: Headers) -> Sent | None:
    """The credential; None: no `Authorization` was sent. Raises `Rejected`."""
    values = _values(headers, "authorization")
    if not values:
        return None
    if len(values) > 1:
        raise Rejected("malformed", "Send exactly one Authorization header.")
    scheme_name, _, token = values[0].strip(" \t").partition(" ")
    token = token.strip(" ")
    if len(token) > MAX_TOKEN_BYTES:
        raise Rejected("too_large", f"The token is longer than {MAX_TOKEN_BYTES} bytes.")
    scheme = _SCHEMES.get(scheme_name.lower())
    if scheme is None or not _TOKEN.fullmatch(token):
        raise Rejected("malformed", "The Authorization header must read: Bearer <token>, or DPoP <token> for a bound one.")
    return Sent(token, scheme)


def as_end_user(grant: Grant, headers: Headers, *, header: str) -> Grant:
    """`grant` as its named end user, if the request names one. Raises `Rejected`.

    From a caller that is not trusted to name users the header is refused, not ignored: it believes to act as somebody,
    and would silently act as itself, with its own rights.
    """
    values = _values(headers, header.lower())
    if not values:
        return grant
    if grant.names_users is None:
        raise Rejected("end_user", f"This credential may not name an end user: leave the {header} header out.")
    if len(values) > 1 or len(values[0]) > MAX_END_USER_CHARS or not _END_USER.fullmatch(values[0]):
        raise Rejected("end_user", f"{header} must name one user, in at most {MAX_END_USER_CHARS} visible ASCII characters.")
    workload = grant.subject
    user = Subject(
        type="user",
        identity=Identity(grant.names_users.issuer, values[0]),
        authentication="asserted",
        groups=grant.names_users.groups,
        scopes=workload.scopes,  # scopes are the credential's, whoever it speaks for
        actors=(workload.identity,),
    )
    return dataclasses.replace(grant, subject=user, agent_id=grant.agent_id or workload.identity.id, names_users=None)


def _values(headers: Headers, name: str) -> list[str]:
    return [value for key, value in headers if key.lower() == name]
