"""The MCP servers behind the gateway: how each is reached, and as whom."""

from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from gateway.identity.issuer_metadata import loopback
from gateway.identity.outbound import why_not_forwarded
from gateway.settings.base import Closed, Count, Seconds, Secret, Sha256
from gateway.settings.credentials import Assertion, AssertionCredential, Credential, HeaderName, StaticSecret

CARRIES_ANOTHER = frozenset({"host", "accept", "accept-encoding", "connection", "transfer-encoding", "te", "upgrade", "expect"})


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
    credential: Credential | None = Field(default=None, description="as whom the gateway comes to it; default: as nobody")
    allow_plain_http: bool = Field(default=False, description="send credentials over plain http, beyond loopback too")
    assertion: Assertion | None = Field(
        default=None,
        description="signed beside the credential: the backend can verify who asks, and that it was decided",
    )
    lists_per_subject: bool | None = Field(
        default=None, description="its lists differ for each subject; default: true where the credential is the subject's own"
    )
    forward_headers: tuple[HeaderName, ...] = Field(
        default=(), description="headers of the client's request that may pass on to it, by name; default: none"
    )
    env: dict[str, str] = Field(
        default_factory=dict, description="environment of a stdio server; nothing else is inherited but PATH, HOME, LANG"
    )
    env_secrets: dict[str, Secret] = Field(default_factory=dict, description="further variables of a stdio server, from secrets")
    cwd: Path | None = Field(default=None, description="working folder of a stdio server")
    tls: BackendTls = Field(default=BackendTls(), description="TLS to the backend")
    timeouts: Timeouts = Field(default=Timeouts(), description="per phase")
    max_result_bytes: Count = Field(
        default=8 * 1024 * 1024, description="a larger result is refused, not cut; so is one of more than 500,000 members"
    )
    max_concurrent: Count = Field(default=256, description="requests in flight at this backend")
    max_sessions: Count = Field(default=256, description="legacy sessions, or processes of a stdio server (default there: 16)")
    idle_session_s: Seconds = Field(default=600, description="a backend session or process unused for this long ends")

    @model_validator(mode="before")
    @classmethod
    def moved(cls, told: Any) -> Any:
        """Settings of former versions, each with what to write now."""
        for old, new in (("credential_header", "header"), ("credential_prefix", "prefix")):
            if isinstance(told, dict) and old in told:
                raise ValueError(f"`{old}` has moved: write `credential: {{type: static, …, {new}: {told[old]!r}}}`")
        return told

    @field_validator("forward_headers")
    @classmethod
    def passable(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if (why := why_not_forwarded(name)) is not None:
                raise ValueError(f"{name} may not be forwarded: {why}")
        return names

    @model_validator(mode="after")
    def each_header_once(self) -> "Backend":
        told = self.credential
        own = [] if told is None else [told.header if isinstance(told, StaticSecret | AssertionCredential) else "Authorization"]
        own += [] if self.assertion is None else [self.assertion.header]
        lower = [each.lower() for each in own]
        if len(set(lower)) < len(lower):
            raise ValueError(f"`credential` and `assertion` would both be sent in {own[0]}")
        for name in own:
            if name.lower() in CARRIES_ANOTHER or name.lower().startswith(("mcp-", "content-")):
                raise ValueError(f"a credential cannot be sent in {name}, which says something else")
        if clash := {each.lower() for each in self.forward_headers} & set(lower):
            raise ValueError(f"forward_headers: {clash.pop()} carries the gateway's own credential")
        return self

    @model_validator(mode="after")
    def one_transport(self) -> "Backend":
        if (self.url is None) == (self.command is None):
            raise ValueError("name exactly one of `url` (Streamable HTTP) and `command` (stdio)")
        return self

    @model_validator(mode="after")
    def nothing_in_clear(self) -> "Backend":
        parts = urlsplit(self.url or "")
        if parts.username is not None:
            raise ValueError("url: a password does not belong there: write `credential`")
        shown = self.credential is not None or self.assertion is not None
        if shown and parts.scheme == "http" and not loopback(parts.hostname or "") and not self.allow_plain_http:
            raise ValueError("a credential would cross the network in clear: use https, or say `allow_plain_http: true`")
        return self

    @model_validator(mode="after")
    def fits_transport(self) -> "Backend":
        if self.command is not None and (self.credential is not None or self.forward_headers):
            raise ValueError("a stdio server gets its secrets in `env_secrets`: `credential` and `forward_headers` need a `url`")
        if self.command is not None and (self.assertion is not None or self.lists_per_subject):
            raise ValueError("a stdio server has no headers: `assertion` and `lists_per_subject` need a `url`")
        return self
