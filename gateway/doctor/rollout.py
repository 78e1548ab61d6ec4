"""What policies come from beside the set itself: bundle servers, signatures that end, and the candidate in the shadow."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from gateway.adapters.opa.client import Limits
from gateway.adapters.opa.command import OpaUnusable
from gateway.adapters.opa.decider import PolicySetDecider
from gateway.adapters.opa.feed import FetchFailed, served
from gateway.adapters.opa.findings import PolicyRejected
from gateway.adapters.opa.snapshot import Source, revision_of
from gateway.adapters.opa.status import PolicyEvent
from gateway.assembly import policy
from gateway.doctor.finding import Finding, State, remaining
from gateway.policy import bundle
from gateway.policy.bundle import BadBundle
from gateway.settings.load import SettingsError
from gateway.settings.model import Settings
from gateway.settings.policy import Shadow

SOON = 0.1  # of the time that a signature counts


async def server(settings: Settings, name: str) -> Sequence[Finding]:
    """Whether the bundle server called `name` answers, with what, and whether the gateway has that already."""
    try:
        told = policy.servers(settings)[name]
    except SettingsError:
        return ()  # told with the settings
    what = name.replace("-", " ")
    try:
        read, signed = await served(told.server, told.trust)
    except FetchFailed as error:
        advice = "a running gateway stays with the last good bundle; look at the server, its token and who signed"
        return (Finding(what, "fail", str(error), advice),)
    revision = revision_of(read)
    detail = f"{told.server.url}: revision {revision}"
    kept = await asyncio.to_thread(_kept, told.file)
    state: State = "ok"
    advice = ""
    if kept is not None and kept != revision:
        detail += f", newer than what the gateway fetched ({kept})"
        state, advice = "warn", "it is fetched within poll_s by a gateway that runs; if it is not, look at its /readyz and log"
    elif kept is not None:
        detail += ", which the gateway has"
    if signed is None:
        return (Finding(what, state, detail, advice),)
    ends = signature(what, signed.signed_s, signed.expires_s, time.time())
    return (Finding(what, state, f"{detail}, signed by {signed.key}", advice), *ends)


def signature(what: str, signed_s: float | None, expires_s: float | None, now_s: float) -> Sequence[Finding]:
    """How long a signature still counts; nothing where it does for ever."""
    if signed_s is None or expires_s is None:
        return ()
    state, detail = remaining("its signature", expires_s - now_s, soon_s=(expires_s - signed_s) * SOON)
    return (Finding(what, state, detail, "" if state == "ok" else "sign it anew: nothing is decided once it has ended"),)


async def candidate(settings: Settings, shadow: Shadow) -> Sequence[Finding]:
    """Whether the candidate would be compared: loaded in an OPA of its own, which ends with this."""
    try:
        binary = policy.opa_binary(settings)
    except SettingsError:
        return ()  # told with the policy
    live = policy.policy_source(settings)
    source = Source(shadow.folder, shadow.schemas or live.schemas, live.capabilities)
    decider = PolicySetDecider(source, binary, Limits(deadline_s=shadow.deadline_ms / 1000), _unheard, role="shadow policy")
    advice = "it is not compared until it is right; what decides is not concerned"
    try:
        revision = await decider.load()
    except PolicyRejected as rejected:
        return [Finding("shadow", "warn", str(each), advice) for each in rejected.findings]
    except OpaUnusable as error:
        return (Finding("shadow", "warn", str(error), advice),)
    finally:
        await asyncio.shield(decider.close())
    return (Finding("shadow", "ok", f"{shadow.folder}: candidate {revision}, its canaries hold"),)


def _kept(file: Path) -> str | None:
    """The revision of the bundle that was fetched last; None: there is none that can be read."""
    try:
        return revision_of(bundle.read(file.read_bytes()))
    except (OSError, BadBundle):
        return None


def _unheard(event: PolicyEvent) -> None:
    """For whoever only looks."""
