"""Who decides: from settings to an OPA of our own, or to the sidecar."""

import os
import shutil
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from gateway.adapters.opa.client import Limits
from gateway.adapters.opa.comparing import Plan
from gateway.adapters.opa.decider import PolicySetDecider
from gateway.adapters.opa.feed import BundleFeed, BundleServer
from gateway.adapters.opa.findings import PolicyRejected
from gateway.adapters.opa.history import History
from gateway.adapters.opa.shadow import Budget, Shadow
from gateway.adapters.opa.sidecar import SidecarDecider, Trust, canaries, is_loopback, target
from gateway.adapters.opa.snapshot import Source
from gateway.adapters.opa.status import PolicyEvent
from gateway.adapters.opa.upkeep import health
from gateway.policy import bundle_signature
from gateway.policy.contract import SERVED, Contracts
from gateway.ports import Audit
from gateway.settings.load import SettingsError, secret_value
from gateway.settings.model import Settings
from gateway.settings.policy import Policy, PolicyServer, RequireSigned
from gateway.shipped import SHIPPED


def decider(
    settings: Settings, on_event: Callable[[PolicyEvent], None], *, beside: bool = False, contracts: Contracts = SERVED
) -> PolicySetDecider | SidecarDecider:
    """Our own OPA on the policy folder, or the sidecar at `opa.url`. Raises `SettingsError`."""
    opa = settings.opa
    limits = Limits(deadline_s=opa.deadline_ms / 1000, connections=opa.connections, max_answer_bytes=opa.max_answer_bytes)
    source = policy_source(settings)
    if opa.url is not None:
        told = settings.policy
        if any(each is not None for each in (told.bundle, told.server, told.facts_server, told.require_signed)):
            raise SettingsError(
                "policy.bundle, policy.server, policy.facts_server, policy.require_signed: "
                "with opa.url the sidecar loads and verifies its own bundles"
            )
        trust = Trust(
            token=secret_value(opa.token) if opa.token else None,
            ca=opa.tls_ca,
            certificate=opa.tls_cert,
            key=opa.tls_key,
            allow_plain_http=opa.allow_plain_http,
        )
        try:
            known = canaries(source.canaries or source.folder / "mcp/canaries/data.json")
            return SidecarDecider(target(opa.url, trust), limits, known, on_event, health(opa.url, trust), contracts)
        except (ValueError, PolicyRejected) as error:
            raise SettingsError(f"opa.url: {error}") from error
    kept = settings.policy.history
    history = History(kept, settings.policy.history_sets, writes=not beside) if kept is not None else None
    return PolicySetDecider(source, opa_binary(settings), limits, on_event, history=history, contracts=contracts)


def shadow(settings: Settings, audit: Audit, on_event: Callable[[PolicyEvent], None]) -> Shadow | None:
    """The candidate beside the live policy set; None: there is none. Raises `SettingsError`."""
    told = settings.policy.shadow
    if told is None:
        return None
    plan = Plan(
        binary=opa_binary(settings),
        folder=str(told.folder.absolute()),
        schemas=str((told.schemas or settings.policy.schemas).absolute()),
        capabilities=str((settings.policy.capabilities or SHIPPED.capabilities).absolute()),
        deadline_s=told.deadline_ms / 1000,
        max_answer_bytes=settings.opa.max_answer_bytes,
    )
    return Shadow(plan, Budget(share=told.share, queue=told.queue), audit, on_event)


def policy_source(settings: Settings) -> Source:
    policy = settings.policy
    return Source(
        _served(policy, "server") or policy.bundle or policy.folder,
        policy.schemas,
        policy.capabilities or SHIPPED.capabilities,
        policy.canaries,
        bundle_trust(policy.require_signed),
        _facts(policy),
    )


def _facts(policy: Policy) -> Path | None:
    """Raises `SettingsError`: where signatures are required a folder would be refused for as long as the gateway runs."""
    if policy.facts is not None and policy.facts.is_dir() and policy.require_signed is not None:
        raise SettingsError(
            f"policy.facts: {policy.facts} is a folder, which nobody can sign, and require_signed is set: "
            "name a bundle of `mcp-gateway policy build --only-facts`"
        )
    return _served(policy, "facts_server") or policy.facts


def feeds(settings: Settings) -> dict[str, BundleFeed]:
    """What keeps the bundles of bundle servers, by what readiness calls it. Raises `SettingsError`."""
    return {name: BundleFeed(one.server, one.file, one.trust) for name, one in servers(settings).items()}


@dataclass(frozen=True, slots=True)
class Served:
    """A bundle server, where its bundle is kept, and whose signatures count."""

    server: BundleServer
    file: Path
    trust: bundle_signature.Trust | None


def servers(settings: Settings) -> dict[str, Served]:
    """The bundle servers, by what readiness calls them. Raises `SettingsError`."""
    told = settings.policy
    trust = bundle_trust(told.require_signed)
    named: dict[Literal["server", "facts_server"], PolicyServer | None] = {
        "server": told.server,
        "facts_server": told.facts_server,
    }
    found = {}
    for name, server in named.items():
        file = _served(told, name)
        if server is not None and file is not None:
            trusted = trust.of_facts() if trust is not None and name == "facts_server" else trust
            found[f"policy-{name.replace('_', '-')}"] = Served(_bundle_server(server, f"policy.{name}"), file, trusted)
    return found


def _bundle_server(server: PolicyServer, name: str) -> BundleServer:
    """`name`: of the setting. Raises `SettingsError`."""
    parts = urlsplit(server.url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.password or parts.fragment:
        raise SettingsError(f"{name}.url: is no http or https URL without user and fragment")
    if parts.scheme == "http" and not server.allow_plain_http and not is_loopback(parts.hostname):
        raise SettingsError(
            f"{name}.url: is plain http beyond loopback: use https, or set allow_plain_http if the network is safe"
        )
    try:
        tls = ssl.create_default_context(cafile=server.tls_ca) if parts.scheme == "https" else None
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError(f"{name}.tls_ca: {server.tls_ca}: cannot be used: {error}") from error
    return BundleServer(
        server.url, tls, secret_value(server.token) if server.token else None, server.poll_s, server.long_poll_s or 0.0
    )


def _served(policy: Policy, name: Literal["server", "facts_server"]) -> Path | None:
    """Where a bundle server's bundle is kept; None: there is no such server."""
    if policy.history is None or (policy.server if name == "server" else policy.facts_server) is None:
        return None
    return policy.history / ("served.tar.gz" if name == "server" else "served-facts.tar.gz")


def bundle_trust(required: RequireSigned | None) -> bundle_signature.Trust | None:
    """Whose bundles count; None: anybody's. Raises `SettingsError` with one line for each key that is not fit."""
    if required is None:
        return None
    keys: list[bundle_signature.Key] = []
    mistakes: list[str] = []
    for position, key in enumerate(required.keys):
        try:
            public, algorithms = bundle_signature.public_key(key.file.read_bytes())
            keys.append(bundle_signature.Key(key.id, public, algorithms, key.revoked))
        except bundle_signature.BadKey as error:
            mistakes.append(f"policy.require_signed.keys.{position}.file: {key.file} {error}")
        except OSError as error:
            mistakes.append(f"policy.require_signed.keys.{position}.file: {key.file}: {error.strerror or error}")
    if len({key.id for key in required.keys}) != len(required.keys):
        mistakes.append("policy.require_signed.keys: two keys have the same id")
    if mistakes:
        raise SettingsError("\n".join(mistakes))
    return bundle_signature.Trust(tuple(keys), required.max_age_s, required.facts_max_age_s)


def opa_binary(settings: Settings) -> str:
    named = settings.opa.binary or os.environ.get("OPA") or "opa"
    found = shutil.which(named)
    if found is None:
        raise SettingsError(f"opa.binary: no program {named!r}; install OPA, name its path here, or ask a sidecar with opa.url")
    return str(Path(found).absolute())  # it is run in other folders than this one
