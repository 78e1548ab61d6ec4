"""The MCP servers behind the gateway: how each is reached, and as whom."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from gateway.settings.base import Closed, Count, Seconds, Secret, Sha256


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
