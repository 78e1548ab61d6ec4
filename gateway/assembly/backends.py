"""What lies behind: from settings to backends and the surfaces that show their items."""

from collections.abc import Callable, Sequence
from importlib.metadata import version

from gateway.adapters.backends import BackendSet, BackendSpec, HttpSpec, StdioSpec, Timeouts, TlsSpec
from gateway.adapters.catalogs import Freshness
from gateway.adapters.credentials.assertion import Signer
from gateway.assembly import credentials
from gateway.catalog.surface import SurfaceError, SurfaceSpec
from gateway.catalog.surface import check as check_surface
from gateway.model import Change, JsonObject
from gateway.settings.backends import Backend
from gateway.settings.load import SettingsError, secret_value
from gateway.settings.model import Settings


def client_info(settings: Settings) -> JsonObject:
    """What the gateway says of itself, to clients and to backends."""
    return {"name": settings.server_name, "version": version("mcp-gateway")}


def backends(
    settings: Settings, on_change: Callable[[Change], None], names: Sequence[str] | None = None, signer: Signer | None = None
) -> BackendSet:
    """Those called `names`, or all. Without a `signer` they sign as the gateway would. Raises `SettingsError`."""
    signer = signer or credentials.signer(settings, credentials.signing_keys(settings), settings.listen.port)
    specs = [_spec_of(settings, name, signer) for name in (settings.backends if names is None else names)]
    try:
        return BackendSet(specs, on_change=on_change, client_info=client_info(settings))
    except ValueError as error:  # "backend crm: …"
        raise SettingsError(f"backends.{str(error).removeprefix('backend ')}") from error


def forwarded(settings: Settings) -> frozenset[str]:
    """Names of clients' headers, in lower case, that some backend may see."""
    return frozenset(name.lower() for backend in settings.backends.values() for name in backend.forward_headers)


def _spec_of(settings: Settings, name: str, signer: Signer) -> BackendSpec:
    try:
        return _backend_spec(name, settings.backends[name], signer)
    except SettingsError as error:
        raise SettingsError(f"backends.{name}: {error}") from error


def _backend_spec(name: str, backend: Backend, signer: Signer) -> BackendSpec:
    timeouts = Timeouts(**backend.timeouts.model_dump())
    if backend.url is not None:
        tls = TlsSpec(
            ca_file=backend.tls.ca, pin_sha256=backend.tls.pin_sha256, cert_file=backend.tls.cert, key_file=backend.tls.key
        )
        return HttpSpec(
            name=name,
            url=backend.url,
            era=backend.era,
            credential=credentials.credential(name, backend, signer),
            lists_per_subject=backend.lists_per_subject,
            forward_headers=frozenset(each.lower() for each in backend.forward_headers),
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


def freshness(settings: Settings) -> Freshness:
    catalog = settings.catalog
    return Freshness(
        refresh_s=catalog.refresh_s,
        stale_s=catalog.stale_s,
        max_items=catalog.max_items,
        scopes_kept=catalog.scopes_kept,
        scope_wait_s=catalog.scope_wait_s,
    )


def surface_specs(settings: Settings) -> tuple[SurfaceSpec, ...]:
    """Raises `SettingsError`."""
    return tuple(surface_spec(settings, name) for name in settings.surfaces)


def surface_spec(settings: Settings, name: str) -> SurfaceSpec:
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
