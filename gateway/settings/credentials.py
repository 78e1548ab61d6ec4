"""As whom the gateway comes to a backend. Never as the client, with the client's own token."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from gateway.settings.base import Closed, Seconds, Secret

CREDENTIAL_TYPES = ("static", "client_credentials", "token_exchange", "assertion")

HeaderName = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$")]
Uri = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9+.-]*:[!-~]+$")]
Scope = Annotated[str, Field(pattern=r"^[!#-\[\]-~]+$")]


class StaticSecret(Closed):
    """A secret of the gateway's own, the same whoever asks. A file is read again when it changes."""

    type: Literal["static"] = Field(default="static", description="this way; may be left out")
    env: str | None = Field(default=None, description="environment variable that holds the secret")
    file: Path | None = Field(default=None, description="file that holds it, without the final line break")
    header: HeaderName = Field(default="Authorization", description="header that carries it")
    prefix: str = Field(default="Bearer ", pattern=r"^[ -~]*$", description="put before it")

    @model_validator(mode="after")
    def one_place(self) -> "StaticSecret":
        if (self.env is None) == (self.file is None):
            raise ValueError("name exactly one of `env` and `file`, or another `type` of credential")
        return self

    def secret(self) -> Secret:
        return Secret(env=self.env, file=self.file)


class OAuthClient(Closed):
    """Who the gateway is at an authorization server, and what it asks for there."""

    token_url: str | None = Field(default=None, description="its token endpoint; default: what the issuer's metadata says")
    client_id: str = Field(min_length=1, description="the gateway's client id there")
    client_auth: Literal["basic", "post", "private_key_jwt", "none"] = Field(
        default="basic", description="how the gateway proves who it is (RFC 6749 2.3, RFC 7523)"
    )
    client_secret: Secret | None = Field(default=None, description="for `basic` and `post`")
    private_key: Secret | None = Field(default=None, description="for `private_key_jwt`: PEM (EC P-256, Ed25519 or RSA)")
    key_id: str | None = Field(default=None, description="`kid` under which the server knows that key")
    scopes: tuple[Scope, ...] = Field(default=(), description="scopes to ask for")
    audience: str | None = Field(default=None, description="`audience` to ask for: the backend, in the server's words")
    resource: Uri | None = Field(default=None, description="`resource` to ask for (RFC 8707): the backend's URI")
    tls_ca: Path | None = Field(default=None, description="certificates (PEM) to trust for that server, instead of the system's")
    timeout_s: Seconds = Field(default=5, le=60, description="for one request to it")

    @model_validator(mode="after")
    def proof_fits(self) -> "OAuthClient":
        wanted = {"basic": "client_secret", "post": "client_secret", "private_key_jwt": "private_key"}.get(self.client_auth)
        for name in ("client_secret", "private_key"):
            if name == wanted and getattr(self, name) is None:
                raise ValueError(f"`client_auth: {self.client_auth}` needs `{name}`")
            if name != wanted and getattr(self, name) is not None:
                raise ValueError(f"`client_auth: {self.client_auth}` has no use for `{name}`")
        return self


class ClientCredentials(OAuthClient):
    """A token of the gateway's own by OAuth client credentials (RFC 6749 4.4): the same whoever asks."""

    type: Literal["client_credentials"] = Field(description="this way")
    issuer: str | None = Field(default=None, description="authorization server, if `token_url` is to be discovered")

    @model_validator(mode="after")
    def one_place(self) -> "ClientCredentials":
        if (self.issuer is None) == (self.token_url is None):
            raise ValueError("name exactly one of `issuer` (its token endpoint is discovered) and `token_url`")
        return self


class TokenExchange(OAuthClient):
    """A token for the end user by token exchange (RFC 8693). Callers without anything to exchange are refused."""

    type: Literal["token_exchange"] = Field(description="this way")
    issuer: str = Field(description="authorization server; with `subject_token: caller` also the issuer of the callers' tokens")
    subject_token: Literal["caller", "assertion"] = Field(
        default="caller",
        description="what stands for the user: the caller's own access token, shown to no one but its own issuer; or a JWT that"
        " the gateway signs, for servers that trust the gateway's keys",
    )
    actor: bool = Field(default=False, description="the gateway says, in a JWT that it signs, that it acts for the user")
    own_requests: Literal["client_credentials", "nothing"] = Field(
        default="client_credentials", description="what the gateway itself shows: for discovery, its own lists and notifications"
    )

    @property
    def exchanges_callers(self) -> bool:
        """Whether callers' own tokens are shown to the issuer."""
        return self.subject_token == "caller"  # noqa: S105 — which one, not what it is


class Assertion(Closed):
    """A short JWT that the gateway signs for each request: who asks, for what, by which decision."""

    audience: str | None = Field(default=None, description="`aud` of the assertion; default: the backend's `url`")
    header: HeaderName = Field(
        default="X-MCP-Gateway-Assertion", description="header that carries it; in `Authorization` it follows `Bearer`"
    )


class AssertionCredential(Assertion):
    """An assertion is all that the backend asks for."""

    type: Literal["assertion"] = Field(description="this way")


def _tag(value: Any) -> str | None:
    """`credential: {env: NAME}` is the short form of a static one."""
    tag = value.get("type", "static") if isinstance(value, dict) else getattr(value, "type", None)
    return tag if isinstance(tag, str) else None


def _mapping(value: Any) -> Any:
    if isinstance(value, str):
        raise ValueError("a secret is never written here: name its place, as in `credential: {env: NAME}`")
    return value


Credential = Annotated[
    Annotated[StaticSecret, Tag("static")]
    | Annotated[ClientCredentials, Tag("client_credentials")]
    | Annotated[TokenExchange, Tag("token_exchange")]
    | Annotated[AssertionCredential, Tag("assertion")],
    Discriminator(
        _tag,
        custom_error_type="credential_type",
        custom_error_message=f"`type` is one of {', '.join(CREDENTIAL_TYPES)}",
    ),
    BeforeValidator(_mapping),
]
