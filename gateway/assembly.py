"""Settings become adapters: one function for each outside thing, and the only place that knows both sides."""

import hashlib
import os
import shutil
import ssl
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from gateway.adapters.audit.log import AuditLog, AuditSpec
from gateway.adapters.authenticator import AccessTokens, ApiKeys, Front, SurfaceAccess
from gateway.adapters.backends import BackendSet, BackendSpec, HttpSpec, StdioSpec, Timeouts, TlsSpec
from gateway.adapters.jwks import FileSource, KeyRing, KeyTimes, UrlSource
from gateway.adapters.opa.client import Limits
from gateway.adapters.opa.decider import PolicySetDecider
from gateway.adapters.opa.findings import PolicyRejected
from gateway.adapters.opa.sidecar import SidecarDecider, Trust, canaries, target
from gateway.adapters.opa.snapshot import Source
from gateway.adapters.opa.status import PolicyEvent
from gateway.adapters.opa.upkeep import health
from gateway.catalog.surface import SurfaceError, SurfaceSpec
from gateway.catalog.surface import check as check_surface
from gateway.identity.api_keys import ApiKey
from gateway.identity.grant import NamesUsers
from gateway.identity.tokens import TrustedIssuer
from gateway.model import Change, JsonObject
from gateway.settings.load import SettingsError, secret_value
from gateway.settings.model import ApiKey as ApiKeySetting
from gateway.settings.model import Backend, Issuer, Settings
from gateway.wire.limits import BodyLimits

PACKAGED = Path(__file__).resolve().parent.parent


def check(settings: Settings) -> None:
    """What can be told before anything is started. Raises `SettingsError` with one line for each mistake."""
    checks: list[Callable[[], object]] = [partial(_check_tls, settings)]
    checks += [partial(_api_keys, settings), *(partial(access_tokens, [each]) for each in settings.identity.issuers)]
    checks += [partial(access_tokens, settings.identity.issuers)]
    checks += [partial(opa_binary, settings) if settings.opa.url is None else partial(decider, settings, lambda event: None)]
    checks += [partial(backends, settings, lambda change: None, [name]) for name in settings.backends]
    checks += [partial(_surface_spec, settings, name) for name in settings.surfaces]
    mistakes: list[str] = []
    for each in checks:
        try:
            each()
        except SettingsError as error:
            mistakes += str(error).splitlines()
    if mistakes:
        raise SettingsError("\n".join(dict.fromkeys(mistakes)))


def _check_tls(settings: Settings) -> None:
    listen = settings.listen
    if listen.tls_cert is None or listen.tls_key is None:
        return
    for setting, path in (("tls_cert", listen.tls_cert), ("tls_key", listen.tls_key)):
        try:
            path.open("rb").close()
        except OSError as error:
            raise SettingsError(f"listen.{setting}: {path}: {error.strerror}") from error
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(listen.tls_cert, listen.tls_key)
    except ssl.SSLError as error:
        raise SettingsError(
            f"listen.tls_cert, listen.tls_key: no certificate chain (PEM) and its private key: {error.reason or error}"
        ) from error


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


def access_tokens(issuers: Sequence[Issuer]) -> AccessTokens:
    """Raises `SettingsError`."""
    try:
        return AccessTokens([(_trusted(each), _key_ring(each)) for each in issuers])
    except ValueError as error:
        raise SettingsError(f"identity.issuers: {error}") from error


def authenticator(settings: Settings, tokens: AccessTokens) -> Front:
    """Raises `SettingsError`."""
    surfaces = {name: SurfaceAccess(anonymous=surface.anonymous) for name, surface in settings.surfaces.items()}
    header = settings.identity.end_user_header
    return Front((_api_keys(settings), tokens), surfaces, end_user_header=header, public_url=settings.listen.public_url)


def _api_keys(settings: Settings) -> ApiKeys:
    try:
        return ApiKeys(_api_key(each) for each in settings.identity.api_keys)
    except ValueError as error:
        raise SettingsError(f"identity.api_keys: {error}") from error


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


def backends(settings: Settings, on_change: Callable[[Change], None], names: Sequence[str] | None = None) -> BackendSet:
    """Those called `names`, or all. Raises `SettingsError`."""
    specs = [_spec_of(settings, name) for name in (settings.backends if names is None else names)]
    try:
        return BackendSet(specs, on_change=on_change, client_info=client_info(settings))
    except ValueError as error:  # "backend crm: …"
        raise SettingsError(f"backends.{str(error).removeprefix('backend ')}") from error


def _spec_of(settings: Settings, name: str) -> BackendSpec:
    try:
        return _backend_spec(name, settings.backends[name])
    except SettingsError as error:
        raise SettingsError(f"backends.{name}: {error}") from error


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
    """Raises `SettingsError`."""
    return tuple(_surface_spec(settings, name) for name in settings.surfaces)


def _surface_spec(settings: Settings, name: str) -> SurfaceSpec:
    surface = settings.surfaces[name]
    spec = SurfaceSpec(
        name=name,
        backends=surface.backends or tuple(settings.backends),
        include=surface.include,
        exclude=surface.exclude,
        renames=surface.rename,
        descriptions=surface.describe,
        instructions=surface.instructions,
        bare=surface.bare,
    )
    try:
        check_surface(spec)
    except SurfaceError as error:
        raise SettingsError(f"surfaces.{name}.rename: {str(error).removeprefix(f'surface {name}: ')}") from error
    return spec
