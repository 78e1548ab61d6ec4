"""Who may ask: API keys of workloads, and issuers of access tokens."""

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from gateway.identity.issuer_metadata import loopback
from gateway.identity.outbound import why_not_forwarded
from gateway.settings.base import Closed, Count, Seconds, Secret, Sha256, SurfaceName
from gateway.settings.credentials import HeaderName


class ApiKey(Closed):
    """A workload's API key. Only the SHA-256 of its secret stands here."""

    id: str = Field(pattern=r"^[A-Za-z0-9]{1,32}$", description="names the key; the part of it that is not secret")
    sha256: Sha256 = Field(description="SHA-256 (hex) of the secret; `mcp-gateway keys create` prints both")
    subject: str = Field(
        min_length=1, max_length=1024, pattern=r"^[^\x00-\x1f\x7f]+$", description="who the key is: the subject's id"
    )
    type: Literal["user", "workload"] = Field(default="workload", description="what the subject is")
    owner: str = Field(default="", description="who answers for it; policies do not see this")
    groups: tuple[str, ...] = Field(default=(), description="groups of the subject")
    scopes: tuple[str, ...] = Field(default=(), description="scopes of the subject")
    expires: str | None = Field(default=None, description="RFC 3339 time after which it no longer counts")
    surfaces: tuple[SurfaceName, ...] | None = Field(default=None, description="surfaces it is good for; default: every one")
    names_users: bool = Field(default=False, description="trusted to name its end user in the header `identity.end_user_header`")
    user_groups: tuple[str, ...] = Field(default=(), description="groups of the users that it names")
    user_issuer: str | None = Field(default=None, description="issuer of those users; default: urn:workload:<subject>")


class Introspection(Closed):
    """Opaque tokens: the issuer is asked about each (RFC 7662), as a client of its own."""

    url: str | None = Field(default=None, description="where to ask; default: what its metadata says")
    client_id: str = Field(min_length=1, description="the gateway's client id at the issuer")
    client_secret: Secret = Field(description="and where its secret is")
    client_auth: Literal["basic", "post"] = Field(default="basic", description="how it is sent: in a header, or in the form")
    jwts: bool = Field(
        default=False,
        description="the issuer's JWTs are introspected too: a revoked one ends within `remember_s`, and no keys are fetched",
    )
    missing_allowed: tuple[Literal["sub", "token_type"], ...] = Field(
        default=(),
        description="members that this issuer leaves out of its answers; without `sub` a token stands for its client",
    )
    remember_s: float = Field(
        default=30, ge=0, le=300, description="an answer counts for this long, never beyond the token's end"
    )
    remember_refused_s: float = Field(
        default=10, ge=0, le=60, description="a refused token is not asked about again for this long"
    )
    calls_per_s: Count = Field(
        default=50,
        le=10_000,
        description="most questions per second; guesses leave half of them to tokens that were good before",
    )
    timeout_s: Seconds = Field(default=5, le=30, description="an answer must have arrived within this time")


class TrustedWorkload(Closed):
    """Workloads that may come, by their names, and what each may."""

    name: str = Field(
        min_length=1,
        description="the workload's name, where `*` stands for a segment or a part of one (no `/`, no `:`), and `/**` or `:**`"
        " at the end for the rest; the first entry that fits counts",
    )
    groups: tuple[str, ...] = Field(default=(), description="groups of the subject, besides those that its token says")
    scopes: tuple[str, ...] = Field(default=(), description="scopes of the subject, besides those that its token says")
    surfaces: tuple[SurfaceName, ...] | None = Field(default=None, description="surfaces it is good for; default: every one")
    names_users: bool = Field(default=False, description="trusted to name its end user in the header `identity.end_user_header`")
    user_groups: tuple[str, ...] = Field(default=(), description="groups of the users that it names")
    user_issuer: str | None = Field(default=None, description="issuer of those users; default: urn:workload:<the whole name>")


class CertifiedWorkload(TrustedWorkload):
    """Workloads that come with a client certificate; the name is its one URI, such as a SPIFFE id."""

    issuer: str | None = Field(
        default=None, description="issuer of the subject; default: scheme and authority of the URI, for SPIFFE the trust domain"
    )


class Mtls(Closed):
    """Workloads known by their client certificate alone; `listen.tls_client_ca` verifies it."""

    trusted: tuple[CertifiedWorkload, ...] = Field(min_length=1, description="whose certificates count")


class Issuer(Closed):
    """A trusted issuer of JWT access tokens (RFC 9068). A token is for the surface whose URL its `aud` names."""

    issuer: str = Field(description="value of `iss`")
    audience: tuple[str, ...] = Field(
        default=(), description="values of `aud` that are accepted on every surface, besides the surface's own URL"
    )
    algorithms: tuple[Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"], ...] = (
        Field(default=("RS256", "ES256"), min_length=1, description="accepted signature algorithms")
    )
    jwks_url: str | None = Field(default=None, description="where its keys are; default: what its metadata says (discovery)")
    jwks_file: Path | None = Field(default=None, description="or a file with its keys, read again every second")
    discovery_url: str | None = Field(
        default=None, description="where its metadata is, if not at a well-known place below `issuer` (OpenID Connect, RFC 8414)"
    )
    tls_ca: Path | None = Field(default=None, description="certificates (PEM) to trust for its servers, instead of the system's")
    introspection: Introspection | None = Field(
        default=None,
        description="its opaque tokens are introspected; for one issuer only, since nothing else tells whose they are",
    )
    groups_claim: str = Field(default="groups", description="claim that holds the subject's groups, by name or JSON pointer")
    scopes_claim: str = Field(default="scope", description="claim that holds the scopes")
    agent_claim: str = Field(default="client_id", description="claim that names the OAuth client")
    claims: tuple[str, ...] = Field(default=(), description="further claims that policies may read, by name or JSON pointer")
    leeway_s: float = Field(default=30, ge=0, le=300, description="clock difference that is forgiven")
    advertise: bool = Field(
        default=True, description="clients are sent to it to log in (RFC 9728 metadata); false for an issuer of workloads only"
    )
    any_typ: bool = Field(
        default=False, description="accept tokens whose `typ` is JWT or absent (RFC 9068 wants at+jwt); never an ID token"
    )
    missing_claims_allowed: tuple[Literal["iat", "jti", "client_id"], ...] = Field(
        default=(), description="claims that RFC 9068 wants and this issuer leaves out; client_id: the one of `agent_claim`"
    )
    dpop: Literal["accepted", "announced", "required"] = Field(
        default="accepted",
        description="a token bound to a key always needs its proof; `announced`: challenges say that DPoP is spoken here;"
        " `required`: so they do, and a token that is bound to no key is refused",
    )

    subject_type: Literal["auto", "workload"] = Field(
        default="auto",
        description="whom its tokens stand for: `auto`: a workload where `sub` names the client itself (RFC 9068 2.2), otherwise"
        " a user; `workload`: always a workload, as with Kubernetes, GitHub Actions or SPIFFE",
    )
    workloads: tuple[TrustedWorkload, ...] = Field(
        default=(), description="of tokens that stand for workloads only these count, by their `sub`; default: every one"
    )

    @model_validator(mode="after")
    def one_source(self) -> "Issuer":
        if self.jwks_url is not None and self.jwks_file is not None:
            raise ValueError("name one of `jwks_url` and `jwks_file`, or neither to have the keys discovered")
        if self.jwks_file is not None and self.discovery_url is not None and self.introspection is None:
            raise ValueError("`jwks_file` and `discovery_url` do not go together: the keys are in the file")
        if urlsplit(self.issuer).scheme == "http" and not loopback(urlsplit(self.issuer).hostname or ""):
            raise ValueError("`issuer` must not be http:// beyond loopback")
        return self


class Dpop(Closed):
    """Which DPoP proofs count (RFC 9449)."""

    algorithms: tuple[Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"], ...] = (
        Field(default=("ES256", "ES384", "EdDSA", "PS256", "RS256"), min_length=1, description="accepted signature algorithms")
    )
    window_s: Seconds = Field(default=60, le=600, description="how old a proof may be, and how far its sender's clock ahead")
    max_proofs: Count = Field(default=100_000, description="proofs remembered against replay (0.2 KB each); more are refused")
    max_proofs_per_key: Count = Field(default=10_000, description="of these, of one key")


class IdentitySettings(Closed):
    """Who may ask. Without any method a surface is closed, unless it is `anonymous`."""

    api_keys: tuple[ApiKey, ...] = Field(default=(), description="API keys of workloads, fixed until the next start")
    key_file: Path | None = Field(
        default=None,
        description="file of further API keys that `mcp-gateway keys` keeps; what changes in it is in force within a second",
    )
    issuers: tuple[Issuer, ...] = Field(default=(), description="issuers of access tokens")
    dpop: Dpop = Dpop()
    assertion_key: Secret | None = Field(
        default=None,
        description="private keys (PEM, EC P-256 or Ed25519) that assertions to backends are signed with: a file, or a folder of"
        " *.pem; the newest signs, all are published. Default: a key that ends with the process",
    )
    mtls: Mtls | None = Field(default=None, description="workloads known by their client certificate alone")
    end_user_header: HeaderName = Field(
        default="X-End-User", description="header in which a trusted workload names its end user (Arcade: Arcade-User-ID)"
    )

    @field_validator("end_user_header")
    @classmethod
    def of_its_own(cls, name: str) -> str:
        if (why := why_not_forwarded(name)) is not None:
            raise ValueError(f"no user can be named in {name}: {why}")
        return name

    def ways(self) -> bool:
        """Whether there is any way to authenticate."""
        return bool(self.api_keys or self.key_file or self.issuers or self.mtls)

    @model_validator(mode="after")
    def one_of_each(self) -> "IdentitySettings":
        names = [each.issuer for each in self.issuers]
        twice = sorted({each for each in names if names.count(each) > 1})
        if twice:
            raise ValueError(f"issuers: two have the name {twice[0]}")
        if sum(each.introspection is not None for each in self.issuers) > 1:
            raise ValueError("issuers: only one may have `introspection`: an opaque token does not say whose it is")
        return self
