"""Settings become adapters: one function for each outside thing, and the only place that knows both sides."""

import hashlib
import os
import shutil
from collections.abc import Callable
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from gateway.adapters.audit.log import AuditLog, AuditSpec
from gateway.adapters.authenticator import AccessTokens, ApiKeys, Front, SurfaceAccess
from gateway.adapters.backends import BackendSpec, HttpSpec, StdioSpec, Timeouts, TlsSpec
from gateway.adapters.jwks import FileSource, KeyRing, KeyTimes, UrlSource
from gateway.adapters.opa.client import Limits
from gateway.adapters.opa.decider import PolicySetDecider
from gateway.adapters.opa.findings import PolicyRejected
from gateway.adapters.opa.sidecar import SidecarDecider, Trust, canaries, target
from gateway.adapters.opa.snapshot import Source
from gateway.adapters.opa.status import PolicyEvent
from gateway.adapters.opa.upkeep import health
from gateway.catalog.surface import SurfaceSpec
from gateway.identity.api_keys import ApiKey
from gateway.identity.grant import NamesUsers
from gateway.identity.tokens import TrustedIssuer
from gateway.model import JsonObject
from gateway.settings.load import SettingsError, secret_value
from gateway.settings.model import ApiKey as ApiKeySetting
from gateway.settings.model import Backend, Issuer, Settings
from gateway.wire.limits import BodyLimits

PACKAGED = Path(__file__).resolve().parent.parent


def body_limits(settings: Settings) -> BodyLimits:
    limits = settings.limits
    return BodyLimits(
        max_body_bytes=limits.max_body_bytes,
        max_depth=limits.max_depth,
        max_headers_count=limits.max_headers,
        max_headers_bytes=limits.max_headers_bytes,
        max_members=limits.max_members,
    )


def audit_log(settings: Settings) -> AuditLog:
    audit = settings.audit
    return AuditLog(
        AuditSpec(
            folder=audit.folder,
            durability=audit.durability,
            rotate_bytes=audit.rotate_bytes,
            keep_files=audit.keep_files,
            max_record_bytes=audit.max_record_bytes,
        )
    )


def digest(settings: Settings) -> str:
    """Of the settings as understood; where secrets are is in it, what they are is not."""
    return "sha256:" + hashlib.sha256(msgspec.json.encode(settings.model_dump(mode="json"), order="sorted")).hexdigest()


# --- who asks ---------------------------------------------------------------------------------------------------------


def access_tokens(settings: Settings) -> AccessTokens:
    """Raises `SettingsError`."""
    try:
        return AccessTokens([(_trusted(each), _key_ring(each)) for each in settings.identity.issuers])
    except ValueError as error:
        raise SettingsError(f"identity.issuers: {error}") from error


def authenticator(settings: Settings, tokens: AccessTokens) -> Front:
    """Raises `SettingsError`."""
    try:
        keys = ApiKeys(_api_key(each) for each in settings.identity.api_keys)
    except ValueError as error:
        raise SettingsError(f"identity.api_keys: {error}") from error
    surfaces = {name: SurfaceAccess(anonymous=surface.anonymous) for name, surface in settings.surfaces.items()}
    header = settings.identity.end_user_header
    return Front((keys, tokens), surfaces, end_user_header=header, public_url=settings.listen.public_url)


def _api_key(key: ApiKeySetting) -> ApiKey:
    expires_at_s = None
    if key.expires is not None:
        expires = datetime.fromisoformat(key.expires)
        if expires.tzinfo is None:
            raise ValueError(f"{key.id}: expires needs a zone, as in 2030-01-31T00:00:00Z")
        expires_at_s = expires.timestamp()
    issuer = key.user_issuer or f"urn:workload:{key.subject}"  # not the key's id: a rotated key names the same users
    return ApiKey(
        id=key.id,
        sha256=bytes.fromhex(key.sha256),
        subject_id=key.subject,
        type=key.type,
        groups=key.groups,
        scopes=key.scopes,
        surfaces=None if key.surfaces is None else frozenset(key.surfaces),
        expires_at_s=expires_at_s,
        names_users=NamesUsers(issuer, key.user_groups) if key.names_users else None,
    )


def _trusted(issuer: Issuer) -> TrustedIssuer:
    return TrustedIssuer(
        issuer=issuer.issuer,
        audiences=frozenset(issuer.audience),
        algorithms=frozenset(issuer.algorithms),
        groups_claim=issuer.groups_claim,
        scopes_claim=issuer.scopes_claim,
        agent_claim=issuer.agent_claim,
        claims=issuer.claims,
        leeway_s=issuer.leeway_s,
        any_typ=issuer.any_typ,
    )


def _key_ring(issuer: Issuer) -> KeyRing:
    if issuer.jwks_file is not None:
        return KeyRing(FileSource(issuer.jwks_file), KeyTimes(refresh_s=1.0))  # a key taken out of a file is out at once
    times = KeyTimes()
    assert issuer.jwks_url is not None
    return KeyRing(UrlSource(issuer.jwks_url, timeout_s=times.fetch_s), times)


# --- who decides ------------------------------------------------------------------------------------------------------


def decider(settings: Settings, on_event: Callable[[PolicyEvent], None]) -> PolicySetDecider | SidecarDecider:
    """Our own OPA on the policy folder, or the sidecar at `opa.url`. Raises `SettingsError`."""
    opa = settings.opa
    limits = Limits(deadline_s=opa.deadline_ms / 1000, connections=opa.connections, max_answer_bytes=opa.max_answer_bytes)
    source = policy_source(settings)
    if opa.url is not None:
        trust = Trust(
            token=secret_value(opa.token) if opa.token else None,
            ca=opa.tls_ca,
            certificate=opa.tls_cert,
            key=opa.tls_key,
            allow_plain_http=opa.allow_plain_http,
        )
        try:
            known = canaries(source.canaries or source.folder / "mcp/canaries/data.json")
            return SidecarDecider(target(opa.url, trust), limits, known, on_event, health(opa.url, trust))
        except (ValueError, PolicyRejected) as error:
            raise SettingsError(f"opa.url: {error}") from error
    return PolicySetDecider(source, opa_binary(settings), limits, on_event)


def policy_source(settings: Settings) -> Source:
    policy = settings.policy
    packaged = PACKAGED / "tools/opa/capabilities.json"
    return Source(policy.folder, policy.schemas, policy.capabilities or packaged, policy.canaries)


def opa_binary(settings: Settings) -> str:
    named = settings.opa.binary or os.environ.get("OPA") or "opa"
    found = shutil.which(named)
    if found is None:
        raise SettingsError(f"opa.binary: no program {named!r}; install OPA, name its path here, or ask a sidecar with opa.url")
    return found


# --- what lies behind -------------------------------------------------------------------------------------------------


def client_info(settings: Settings) -> JsonObject:
    """What the gateway says of itself, to clients and to backends."""
    return {"name": settings.server_name, "version": version("mcp-gateway")}


def backend_specs(settings: Settings) -> tuple[BackendSpec, ...]:
    """Raises `SettingsError`."""
    return tuple(_backend_spec(name, backend) for name, backend in settings.backends.items())


def _backend_spec(name: str, backend: Backend) -> BackendSpec:
    timeouts = Timeouts(**backend.timeouts.model_dump())
    if backend.url is not None:
        headers = {}
        if backend.credential is not None:
            headers[backend.credential_header] = backend.credential_prefix + secret_value(backend.credential)
        tls = TlsSpec(
            ca_file=backend.tls.ca, pin_sha256=backend.tls.pin_sha256, cert_file=backend.tls.cert, key_file=backend.tls.key
        )
        return HttpSpec(
            name=name,
            url=backend.url,
            era=backend.era,
            headers=headers,
            tls=tls,
            stateless=backend.stateless,
            timeouts=timeouts,
            max_result_bytes=backend.max_result_bytes,
            max_concurrent=backend.max_concurrent,
            max_sessions=backend.max_sessions,
            idle_s=backend.idle_session_s,
        )
    assert backend.command is not None
    return StdioSpec(
        name=name,
        command=backend.command[0],
        args=backend.command[1:],
        env={**backend.env, **{variable: secret_value(secret) for variable, secret in backend.env_secrets.items()}},
        cwd=backend.cwd,
        era=backend.era,
        stateless=backend.stateless,
        timeouts=timeouts,
        max_result_bytes=backend.max_result_bytes,
        max_concurrent=backend.max_concurrent,
        max_processes=min(backend.max_sessions, 16) if "max_sessions" not in backend.model_fields_set else backend.max_sessions,
        idle_s=backend.idle_session_s,
    )


def hosts(settings: Settings) -> frozenset[str]:
    """Values of the Host header that are ours besides loopback's."""
    named = {urlsplit(settings.listen.public_url).netloc} if settings.listen.public_url else set()
    return frozenset({*settings.listen.allowed_hosts, *named})


def surface_specs(settings: Settings) -> tuple[SurfaceSpec, ...]:
    return tuple(
        SurfaceSpec(
            name=name,
            backends=surface.backends or tuple(settings.backends),
            include=surface.include,
            exclude=surface.exclude,
            renames=surface.rename,
            descriptions=surface.describe,
            instructions=surface.instructions,
            bare=surface.bare,
        )
        for name, surface in settings.surfaces.items()
    )
