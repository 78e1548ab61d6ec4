"""Every setting, with its unit in its name. Unknown keys are refused; nothing here is a secret, only where to find one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from gateway.settings.backends import Backend
from gateway.settings.base import LOOPBACK, WILDCARDS, BackendName, Closed, Count, Scope, Seconds, Secret, SurfaceName
from gateway.settings.credentials import TokenExchange
from gateway.settings.identity import IdentitySettings
from gateway.settings.listen import Limits, Listen, Operations
from gateway.settings.policy import Opa, Policy


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
    scopes: tuple[Scope, ...] = Field(default=(), description="scopes that a client asks for when it logs in (RFC 9728 metadata)")
    documentation: str | None = Field(
        default=None, pattern=r"^https://", description="URL of a page for the people who connect a client here"
    )


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
    record: Literal["none", "replay"] = Field(
        default="none", description="`replay` keeps each question to the policy and its answer, with stand-ins for secrets"
    )
    recording_key: Secret | None = Field(
        default=None, description="key of the stand-ins, 32 characters or more; default: a fresh one at every start"
    )


class CatalogSettings(Closed):
    """How fresh the catalog is kept."""

    refresh_s: Seconds = Field(default=60, description="a backend's lists are fetched again after this time")
    stale_s: Seconds = Field(default=300, description="a failing backend's items stay listed for this long")
    start_wait_s: Seconds = Field(default=10, description="how long the start waits for backends to answer once")
    max_items: Count = Field(default=5000, description="most items of one type at one backend")
    scopes_kept: Count = Field(
        default=500,
        description="of a backend that lists for each subject: how many callers' lists are kept, the least used forgotten",
    )
    scope_wait_s: Seconds = Field(
        default=5,
        description="how long a request waits for what only its own caller's credential can list; then that part is missing",
    )


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
        mistakes = [*self._surface_mistakes(), *self._key_mistakes(), *self._credential_mistakes(), *self._listen_mistakes()]
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
            if "offline_access" in surface.scopes:
                yield f"surfaces.{name}.scopes: offline_access is between a client and its authorization server: leave it out"
            if not (surface.anonymous or self.identity.ways()):
                ways = "add identity.api_keys, key_file, issuers or mtls, or say `anonymous: true`"
                yield f"surfaces.{name} has no way to authenticate: {ways}"

    def _key_mistakes(self) -> Iterator[str]:
        named = {f"api_keys {key.id}": key.surfaces for key in self.identity.api_keys}
        for issuer in self.identity.issuers:
            named |= {f"issuers {issuer.issuer}: workloads {each.name}": each.surfaces for each in issuer.workloads}
        if self.identity.mtls is not None:
            named |= {f"mtls.trusted {each.name}": each.surfaces for each in self.identity.mtls.trusted}
        for place, surfaces in named.items():
            unknown = set(surfaces or ()) - set(self.surfaces)
            if unknown:
                yield f"identity.{place}: no surface {', '.join(sorted(unknown))}"

    def _credential_mistakes(self) -> Iterator[str]:
        trusted = {each.issuer for each in self.identity.issuers}
        for name, backend in self.backends.items():
            told = backend.credential
            if isinstance(told, TokenExchange) and told.exchanges_callers and told.issuer not in trusted:
                where = f"backends.{name}.credential.issuer"
                yield f"{where}: identity.issuers has no such issuer, so no caller has a token of it that could be exchanged"

    def _listen_mistakes(self) -> Iterator[str]:
        listen = self.listen
        if listen.host not in LOOPBACK and not (listen.tls_cert or listen.trusted_proxies):
            yield "listen.host is beyond loopback: set tls_cert and tls_key, or name the proxies in front in trusted_proxies"
        if listen.public_url is None and listen.host in WILDCARDS and self.identity.issuers:
            yield f"listen.public_url is needed: tokens must be for a URL of ours, and nobody can connect to {listen.host}"
        if listen.public_url is None and listen.trusted_proxies and not listen.tls_cert and self.identity.issuers:
            yield "listen.public_url is needed: tokens must be for the URL of the proxy in front, which only you know"
        if (listen.tls_cert is None) != (listen.tls_key is None):
            yield "listen.tls_cert and listen.tls_key go together"
        if (listen.tls_client == "off") != (listen.tls_client_ca is None):
            yield "listen.tls_client (optional or required) and listen.tls_client_ca go together"
        if self.identity.mtls is not None and listen.tls_client_ca is None:
            yield "identity.mtls needs listen.tls_client_ca and tls_client, by which clients' certificates are verified"
        if listen.tls_client != "off" and listen.tls_cert is None:
            yield "listen.tls_client: clients can show a certificate only where TLS is served: set listen.tls_cert and tls_key"
