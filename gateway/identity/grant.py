"""What a verified credential grants, and the one failure of one that does not verify. Nothing here trusts a header."""

from dataclasses import dataclass
from typing import Self

from gateway.model import Identity, Subject

RESERVED_PREFIX = "urn:mcp-gateway:"
"""Issuers that only the gateway itself may name: no token, key or header ever speaks for one of them."""

CANARY_ISSUER = "urn:mcp-gateway:canary"  # of the canary decisions; policies grant to it, so nobody real may be it
ANONYMOUS_ISSUER = "urn:mcp-gateway:anonymous"
KEYS_ISSUER = "urn:mcp-gateway:keys"  # of the subjects of API keys

ANONYMOUS = Subject("anonymous", Identity(ANONYMOUS_ISSUER, "anonymous"), "none")

REJECTED_CAUSES = frozenset(
    {
        "no_credential",  # none was sent, and the surface wants one
        "malformed",  # not `Bearer <token>`, sent twice, or a token that cannot be read
        "too_large",
        "unrecognised",  # no configured method knows this kind of token
        "unknown_key",  # no such API key, or its secret is wrong: the caller cannot tell which
        "expired",
        "not_yet_valid",
        "issuer",
        "audience",
        "algorithm",
        "type",  # `typ` is not an access token's
        "signing_key",  # unknown, unfit, or not named where several could be meant
        "signature",
        "claims",  # a claim is absent or misshapen
        "bound",  # bound to a key (`cnf`), and came without the proof that it is in the right hands
        "unbound",  # not bound to a key, and sent or wanted as if it were
        "certificate",  # bound to a client certificate, and this connection has another one or none
        "proof",  # the DPoP proof is absent, sent twice, or not of this request, token and key
        "proof_replayed",
        "proof_unremembered",  # made before this process began, which cannot know whether it was used
        "proofs_full",  # no room to remember one more proof: unremembered is not accepted
        "inactive",  # its issuer says so of an opaque token
        "issuer_unavailable",  # the issuer could not be asked about an opaque token: not the caller's fault
        "issuer_busy",  # nor is this: it is asked about too many tokens at the moment
        "keys_unavailable",  # the issuer's keys could not be had: not the caller's fault
        "workload",  # the token stands for a workload that no rule expects
        "client_certificate",  # the connection's certificate names no workload that is expected here, or is not valid now
        "too_many_failures",  # of this address, so nothing more of it is verified for a while
        "end_user",  # it named an end user and may not, or named none that can be read
    }
)


class Rejected(Exception):
    """The credential names nobody. The message is for the caller and never repeats any part of what was sent."""

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        assert cause in REJECTED_CAUSES, cause
        self.cause = cause
        self.message = message


@dataclass(frozen=True, slots=True)
class NamesUsers:
    """A workload that is trusted to say which of its users it acts for."""

    issuer: str  # of the users it names
    groups: tuple[str, ...] = ()  # that every such user is in

    def __post_init__(self) -> None:
        refuse_reserved(self.issuer)

    @classmethod
    def by(cls, workload: str, issuer: str | None, groups: tuple[str, ...]) -> Self:
        """Users of `issuer`; None: of the workload itself, and not of its key: a rotated key names the same users."""
        return cls(issuer or f"urn:workload:{workload}", groups)


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The keys that a token is bound to (`cnf`, RFC 7800): each must be shown to be in the caller's hands."""

    jkt: str | None = None  # thumbprint of a DPoP key (RFC 9449 6.1)
    x5t_s256: str | None = None  # thumbprint of a client certificate (RFC 8705 3.1)


@dataclass(frozen=True, slots=True)
class Grant:
    """Whom a verified credential stands for, and how far it reaches."""

    subject: Subject
    agent_id: str | None = None
    surfaces: frozenset[str] | None = None  # None: every one
    expires_at_s: float | None = None
    names_users: NamesUsers | None = None
    confirmation: Confirmation | None = None  # None: whoever has the credential may use it
    credential: str = ""  # names the credential without revealing it


def refuse_reserved(issuer: str) -> None:
    """Raises `ValueError`: a setting named an issuer that is the gateway's own, or none."""
    if not issuer or issuer.lower().startswith(RESERVED_PREFIX):
        raise ValueError(f"the issuer {issuer!r} is reserved: nothing outside the gateway may speak for {RESERVED_PREFIX}…")
