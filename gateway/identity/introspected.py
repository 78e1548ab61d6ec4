"""What an issuer answers about a token (RFC 7662), believed only where it is complete, and for this gateway.

`active` must be exactly true. A misshapen answer is the issuer's failure and never the token's: nobody is let in by it,
and no client throws its token away.
"""

import json
from collections.abc import Mapping
from typing import Literal

import msgspec

from gateway.identity.claims import granted
from gateway.identity.grant import Grant, Rejected
from gateway.identity.tokens import TrustedIssuer, of_another_kind, time_s
from gateway.model import Json, JsonObject

Departure = Literal["sub", "token_type"]
"""What RFC 7662 lets a provider leave out and is wanted here, unless a setting says that this one does."""

_ACCESS = frozenset({"bearer", "dpop"})
_INACTIVE = "The token is not active: it has expired, was revoked, or never was one of its issuer's."


class BadAnswer(Exception):
    """Not an answer about a token; the message is for the operator."""


def answered(body: bytes) -> JsonObject:
    """The answer's members. Raises `BadAnswer`."""
    try:
        msgspec.json.decode(body)  # strict where json is lax
        members = json.loads(body, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise BadAnswer("its answer is not JSON, or gives a member twice") from error
    if not isinstance(members, dict) or not isinstance(members.get("active"), bool):
        raise BadAnswer("its answer has no `active` that is true or false")
    return members


def granted_by(answer: Mapping[str, Json], rules: TrustedIssuer, *, missing_allowed: frozenset[Departure], now_s: float) -> Grant:
    """Whom the token stands for. Raises `Rejected`. Whom it is *for*, its audience, is not asked here."""
    if answer.get("active") is not True:
        raise Rejected("inactive", _INACTIVE)
    if answer.get("iss", rules.issuer) != rules.issuer:
        raise Rejected("issuer", "The token is of an issuer that is not trusted here.")
    _check_kind(answer, missing_allowed)
    expires_s, issued_s, begins_s = time_s(answer, "exp"), time_s(answer, "iat"), time_s(answer, "nbf")
    if expires_s is None:
        raise Rejected("claims", "The token's issuer does not say when it expires, which it must here.")
    if now_s >= expires_s + rules.leeway_s:
        raise Rejected("expired", "The token has expired.")
    if max(issued_s or 0, begins_s or 0) > now_s + rules.leeway_s:
        raise Rejected("not_yet_valid", "The token is not valid yet; is a clock wrong?")
    claims = dict(answer)
    if "sub" not in claims and "sub" in missing_allowed and rules.agent_claim in claims:
        claims["sub"] = claims[rules.agent_claim]  # no resource owner is involved (RFC 9068 2.2)
    return granted(claims, rules, expires_at_s=expires_s + rules.leeway_s)


def _check_kind(answer: Mapping[str, Json], missing_allowed: frozenset[Departure]) -> None:
    """A refresh token is active as well: only what is called an access token counts, by each member that says it."""
    kind = answer.get("token_type")
    named = isinstance(kind, str) and kind.lower() in _ACCESS
    if not named and not (kind is None and "token_type" in missing_allowed):
        raise Rejected("type", "The token's issuer does not call it an access token (its token_type must be Bearer or DPoP).")
    used_as = answer.get("token_use", "access_token")  # Ory Hydra's
    if used_as not in ["access_token", "access"] or of_another_kind(answer):
        raise Rejected("type", "This is not an access token.")
    if isinstance(kind, str) and kind.lower() == "dpop" and "cnf" not in answer:
        raise Rejected("unbound", "The token's issuer calls it bound to a key, and does not say to which.")


def _once(pairs: list[tuple[str, Json]]) -> JsonObject:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is given twice")
    return members
