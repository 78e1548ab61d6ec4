"""Every setting, with its unit in its name. Unknown keys are refused; nothing here is a secret, only where to find one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

BackendName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{0,23}$")]
SurfaceName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")]


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Secret(Closed):
    """Where a secret is: the name of an environment variable, or a file. Never the secret itself."""

    env: str | None = Field(default=None, description="environment variable that holds it")
    file: Path | None = Field(default=None, description="file that holds it, without the final line break")

    @model_validator(mode="after")
    def one_place(self) -> "Secret":
        if (self.env is None) == (self.file is None):
            raise ValueError("name exactly one of `env` and `file`")
        return self


class Listen(Closed):
    """Where MCP clients connect."""

    host: str = Field(default="127.0.0.1", description="address to bind; beyond loopback it needs TLS or `behind_proxy: true`")
    port: int = Field(default=8080, ge=0, le=65535, description="port to bind; 0 takes a free one and prints it")
    public_url: str | None = Field(default=None, description="URL by which clients reach the gateway, if not http://host:port")
    allowed_hosts: tuple[str, ...] = Field(
        default=(), description="further values of the Host header to accept (`name` or `name:port`)"
    )
    allowed_origins: tuple[str, ...] = Field(default=(), description="further values of the Origin header to accept")
    behind_proxy: bool = Field(default=False, description="a proxy that ends TLS stands in front; allows binding beyond loopback")
    tls_cert: Path | None = Field(default=None, description="certificate chain (PEM) to serve TLS with")
    tls_key: Path | None = Field(default=None, description="its private key (PEM)")


class Operations(Closed):
    """The listener for /metrics, /livez and /readyz."""

    host: str = Field(default="127.0.0.1", description="address to bind")
    port: int = Field(default=9090, ge=0, le=65535, description="port to bind; 0 takes a free one")


class Limits(Closed):
    """Bounds on what a caller may send and hold."""

    max_body_bytes: Count = Field(default=4 * 1024 * 1024, description="largest request body")
    max_depth: Count = Field(default=64, le=500, description="deepest nesting of a JSON body")
    max_members: Count = Field(
        default=100_000, description="most members and elements of a JSON body, counted before it is parsed"
    )
    max_headers: Count = Field(default=100, description="most header lines of a request")
    max_headers_bytes: Count = Field(default=32 * 1024, description="most bytes of all header lines together")
    body_timeout_s: Seconds = Field(default=30, description="a body must have arrived within this time")
    exchanges_per_caller: Count = Field(default=64, description="concurrent exchanges of one caller")
    streams_per_caller: Count = Field(default=16, description="open subscription streams of one caller")
    sessions_per_caller: Count = Field(default=32, description="legacy sessions of one caller")
    sessions_in_all: Count = Field(default=10_000, description="legacy sessions of all callers together")
    session_idle_s: Seconds = Field(default=1800, description="a legacy session unused for this long ends")
    list_page_items: Count = Field(default=1000, description="most items on one page of a list")
    subscriptions_per_stream: Count = Field(default=100, description="most resource URIs that one stream may watch")
    keep_alive_s: Seconds = Field(default=15, description="a comment goes out on a silent stream after this time")
    held_notices: Count = Field(default=256, description="most progress and log messages held back until a result was inspected")


class Policy(Closed):
    """Where the policies are that the gateway's own OPA decides by (without `opa.url`)."""

    folder: Path = Field(
        default=Path("policies"), description="folder of the policy set; edits in it are enforced within a second"
    )
    schemas: Path = Field(default=Path("schemas"), description="folder of JSON Schemas that the rules are typed by")
    capabilities: Path | None = Field(
        default=None, description="OPA capabilities file; default: the one that came with the gateway"
    )
    canaries: Path | None = Field(
        default=None, description="file of inputs with known answers; default: mcp/canaries/data.json in `folder`"
    )


class Opa(Closed):
    """The policy decision point."""

    url: str | None = Field(default=None, description="ask this sidecar (http, https, unix:/path) instead of an OPA of our own")
    binary: str | None = Field(default=None, description="the opa binary to start; default: $OPA, then `opa` on PATH")
    deadline_ms: Count = Field(default=1000, description="a decision that takes longer is no decision")
    connections: Count = Field(default=16, description="most connections to OPA")
    max_answer_bytes: Count = Field(default=8 * 1024 * 1024, description="largest answer of OPA")
    lists_at_once: Count = Field(default=4, description="questions about lists that OPA is asked at once; others wait their turn")
    allow_plain_http: bool = Field(default=False, description="accept a sidecar over plain http beyond loopback")
    token: Secret | None = Field(default=None, description="bearer token for the sidecar")
    tls_ca: Path | None = Field(default=None, description="CA file to verify an https sidecar with")
    tls_cert: Path | None = Field(default=None, description="client certificate for an https sidecar")
    tls_key: Path | None = Field(default=None, description="its private key")


class Timeouts(Closed):
    """How long each phase of a request to a backend may take."""

    connect_s: Seconds = Field(default=5, description="until a connection stands (TLS included), or a process has started")
    first_byte_s: Seconds = Field(default=60, description="until the answer begins")
    idle_s: Seconds = Field(default=60, description="between two pieces of an answer")
    total_s: Seconds = Field(default=300, description="for the whole request, progress or not")


class BackendTls(Closed):
    """How a backend's TLS is verified, and what we show of ourselves."""

    ca: Path | None = Field(default=None, description="CA file to verify the backend with; default: the system's")
    pin_sha256: Sha256 | None = Field(
        default=None, description="SHA-256 of the backend's certificate (DER, hex); then no CA is asked"
    )
    cert: Path | None = Field(default=None, description="our client certificate (PEM)")
    key: Path | None = Field(default=None, description="its private key (PEM)")


class Backend(Closed):
    """One MCP server: `url` for Streamable HTTP, or `command` for stdio."""

    url: str | None = Field(default=None, pattern=r"^https?://", description="Streamable HTTP endpoint")
    command: tuple[str, ...] | None = Field(default=None, min_length=1, description="program and arguments of a stdio server")
    title: str | None = Field(default=None, description="display name")
    era: Literal["auto", "modern", "legacy"] = Field(default="auto", description="protocol era; auto asks the backend")
    stateless: bool = Field(
        default=False, description="it keeps nothing per session: one session or process may serve every subject"
    )
    credential: Secret | None = Field(default=None, description="the gateway's own credential, sent as `credential_header`")
    credential_header: str = Field(default="Authorization", description="header that carries `credential`")
    credential_prefix: str = Field(default="Bearer ", description="put before the credential")
    env: dict[str, str] = Field(
        default_factory=dict, description="environment of a stdio server; nothing else is inherited but PATH, HOME, LANG"
    )
    env_secrets: dict[str, Secret] = Field(default_factory=dict, description="further variables of a stdio server, from secrets")
    cwd: Path | None = Field(default=None, description="working folder of a stdio server")
    tls: BackendTls = Field(default=BackendTls(), description="TLS to the backend")
    timeouts: Timeouts = Field(default=Timeouts(), description="per phase")
    max_result_bytes: Count = Field(default=8 * 1024 * 1024, description="a larger result is refused, not cut")
    max_concurrent: Count = Field(default=256, description="requests in flight at this backend")
    max_sessions: Count = Field(default=256, description="legacy sessions, or processes of a stdio server (default there: 16)")
    idle_session_s: Seconds = Field(default=600, description="a backend session or process unused for this long ends")

    @model_validator(mode="after")
    def one_transport(self) -> "Backend":
        if (self.url is None) == (self.command is None):
            raise ValueError("name exactly one of `url` (Streamable HTTP) and `command` (stdio)")
        return self


class Surface(Closed):
    """A named, curated part of the catalog at /mcp/<name>; `default` is at /mcp."""

    backends: tuple[BackendName, ...] | None = Field(default=None, description="whose items it shows; default: every backend")
    include: tuple[str, ...] = Field(default=("*",), description="patterns of item ids (`crm__*`, `prompt:*`) to show")
    exclude: tuple[str, ...] = Field(
        default=(), description="patterns of item ids not to show; a resource whose id matches cannot be read by its URI either"
    )
    rename: dict[str, str] = Field(default_factory=dict, description="item id of a tool or prompt -> name on this surface")
    describe: dict[str, str] = Field(default_factory=dict, description="item id -> description on this surface")
    instructions: str | None = Field(default=None, description="what the model is told about this surface")
    bare: bool = Field(default=False, description="one backend only, under its own names")
    anonymous: bool = Field(default=False, description="callers without any credential are let in, as an anonymous subject")
    groups: tuple[str, ...] = Field(default=(), description="only subjects in one of these groups may use it; empty: everyone")


class ApiKey(Closed):
    """A workload's API key. Only the SHA-256 of its secret stands here."""

    id: str = Field(pattern=r"^[A-Za-z0-9]{1,32}$", description="names the key; the part of it that is not secret")
    sha256: Sha256 = Field(description="SHA-256 (hex) of the secret; `mcp-gateway keys create` prints both")
    subject: str = Field(description="who the key is: the subject's id")
    type: Literal["user", "workload"] = Field(default="workload", description="what the subject is")
    groups: tuple[str, ...] = Field(default=(), description="groups of the subject")
    scopes: tuple[str, ...] = Field(default=(), description="scopes of the subject")
    expires: str | None = Field(default=None, description="RFC 3339 time after which it no longer counts")
    surfaces: tuple[SurfaceName, ...] | None = Field(default=None, description="surfaces it is good for; default: every one")
    names_users: bool = Field(default=False, description="trusted to name its end user in the header `identity.end_user_header`")
    user_groups: tuple[str, ...] = Field(default=(), description="groups of the users that it names")
    user_issuer: str | None = Field(default=None, description="issuer of those users; default: urn:workload:<subject>")


class Issuer(Closed):
    """A trusted issuer of JWT access tokens (RFC 9068)."""

    issuer: str = Field(description="value of `iss`")
    audience: tuple[str, ...] = Field(min_length=1, description="accepted values of `aud`")
    algorithms: tuple[Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"], ...] = (
        Field(default=("RS256", "ES256"), min_length=1, description="accepted signature algorithms")
    )
    jwks_url: str | None = Field(default=None, description="where its keys are (https, or http on loopback)")
    jwks_file: Path | None = Field(default=None, description="or a file with them")
    groups_claim: str = Field(default="groups", description="claim that holds the subject's groups")
    scopes_claim: str = Field(default="scope", description="claim that holds the scopes")
    agent_claim: str = Field(default="client_id", description="claim that names the OAuth client")
    claims: tuple[str, ...] = Field(default=(), description="further claims that policies may read")
    leeway_s: float = Field(default=30, ge=0, le=300, description="clock difference that is forgiven")
    any_typ: bool = Field(default=False, description="accept tokens whose `typ` is not at+jwt (RFC 9068 wants it)")

    @model_validator(mode="after")
    def one_source(self) -> "Issuer":
        if (self.jwks_url is None) == (self.jwks_file is None):
            raise ValueError("name exactly one of `jwks_url` and `jwks_file`")
        return self


class IdentitySettings(Closed):
    """Who may ask. Without any method a surface is closed, unless it is `anonymous`."""

    api_keys: tuple[ApiKey, ...] = Field(default=(), description="API keys of workloads")
    issuers: tuple[Issuer, ...] = Field(default=(), description="issuers of access tokens")
    end_user_header: str = Field(default="X-End-User", description="header in which a trusted workload names its end user")


class AuditSettings(Closed):
    """The record of everything."""

    folder: Path = Field(default=Path("audit"), description="folder of the audit files (0700; the files 0600)")
    durability: Literal["write", "fsync"] = Field(
        default="write", description="`write` survives a killed process, `fsync` a power cut"
    )
    rotate_bytes: Count = Field(default=256 * 1024 * 1024, description="a file is closed at this size")
    keep_files: Count = Field(default=64, description="closed files that are kept")
    max_record_bytes: Count = Field(
        default=1024 * 1024, description="largest record; what is over is replaced by its size and SHA-256"
    )


class CatalogSettings(Closed):
    """How fresh the catalog is kept."""

    refresh_s: Seconds = Field(default=60, description="a backend's lists are fetched again after this time")
    stale_s: Seconds = Field(default=300, description="a failing backend's items stay listed for this long")
    start_wait_s: Seconds = Field(default=10, description="how long the start waits for backends to answer once")
    max_items: Count = Field(default=5000, description="most items of one type at one backend")


class Settings(Closed):
    """The whole of gateway.yaml."""

    listen: Listen = Listen()
    operations: Operations = Operations()
    limits: Limits = Limits()
    policy: Policy = Policy()
    opa: Opa = Opa()
    backends: dict[BackendName, Backend] = Field(min_length=1, description="the MCP servers")
    surfaces: dict[SurfaceName, Surface] = Field(
        default_factory=lambda: {"default": Surface()}, description="parts of the catalog"
    )
    identity: IdentitySettings = IdentitySettings()
    audit: AuditSettings = AuditSettings()
    catalog: CatalogSettings = CatalogSettings()
    server_name: str = Field(default="mcp-gateway", description="the name the gateway gives itself")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="of the operator's log")

    @model_validator(mode="after")
    def whole(self) -> "Settings":
        mistakes = [*self._surface_mistakes(), *self._key_mistakes(), *self._listen_mistakes()]
        if mistakes:
            raise ValueError("\n".join(mistakes))
        return self

    def _surface_mistakes(self) -> Iterator[str]:
        for name, surface in self.surfaces.items():
            unknown = set(surface.backends or ()) - set(self.backends)
            if unknown:
                yield f"surfaces.{name}.backends names {', '.join(sorted(unknown))}, which `backends` does not have"
            if surface.bare and len(surface.backends or tuple(self.backends)) != 1:
                yield f"surfaces.{name}.bare needs exactly one backend"
            if not (surface.anonymous or self.identity.api_keys or self.identity.issuers):
                ways = "add identity.api_keys or identity.issuers, or say `anonymous: true`"
                yield f"surfaces.{name} has no way to authenticate: {ways}"

    def _key_mistakes(self) -> Iterator[str]:
        for key in self.identity.api_keys:
            unknown = set(key.surfaces or ()) - set(self.surfaces)
            if unknown:
                yield f"identity.api_keys {key.id}: no surface {', '.join(sorted(unknown))}"

    def _listen_mistakes(self) -> Iterator[str]:
        listen = self.listen
        if listen.host not in {"127.0.0.1", "::1", "localhost"} and not (listen.tls_cert or listen.behind_proxy):
            yield "listen.host is beyond loopback: set listen.tls_cert and tls_key, or `behind_proxy: true`"
        if (listen.tls_cert is None) != (listen.tls_key is None):
            yield "listen.tls_cert and listen.tls_key go together"
