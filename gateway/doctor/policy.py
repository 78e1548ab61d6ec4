"""Who decides: our own OPA on the policy set, or the sidecar, with the canaries' answers either way."""

import asyncio
import time
from collections.abc import Sequence

from gateway.adapters.opa import command
from gateway.adapters.opa.command import OpaUnusable
from gateway.adapters.opa.decider import PolicySetDecider
from gateway.adapters.opa.findings import PolicyRejected
from gateway.adapters.opa.sidecar import SidecarDecider
from gateway.adapters.opa.status import PolicyEvent, PolicyStatus
from gateway.assembly import policy
from gateway.doctor.finding import Finding
from gateway.doctor.rollout import signature
from gateway.settings.load import SettingsError
from gateway.settings.model import Settings

SETS = "correct it, or go back to the last good version; a running gateway stays with that one"


async def opa(settings: Settings) -> Sequence[Finding]:
    """The OPA that would be started, and whether the policy set as it is now would be put in force."""
    try:
        decider = policy.decider(settings, _unheard, beside=True)
    except SettingsError as error:
        return [Finding("policy", "fail", line, "correct the settings") for line in str(error).splitlines()]
    if isinstance(decider, SidecarDecider):
        return await _sidecar(decider, settings.opa.url or "")
    try:
        done = await command.run(policy.opa_binary(settings), ["version"])
    except OpaUnusable as error:
        return (Finding("OPA", "fail", str(error), "install OPA, or name it with `opa.binary`"),)
    version = done.stdout.decode("utf-8", "replace").splitlines()
    said = version[0].removeprefix("Version: ") if done.status == 0 and version else "does not tell its version"
    return (Finding("OPA", "ok", f"{said} ({policy.opa_binary(settings)})"), *await _policy_set(decider, settings))


async def _policy_set(decider: PolicySetDecider, settings: Settings) -> Sequence[Finding]:
    """Loaded in an OPA of its own, in a folder of its own, as the gateway would; both are gone afterwards."""
    missing = await asyncio.to_thread(_unfetched, settings)
    if missing is not None:
        return (Finding("policy", "warn", missing, "look at the row of the bundle server: a gateway that starts asks it first"),)
    folder = policy.policy_source(settings).folder
    try:
        revision = await decider.load()
        status = decider.status()
    except PolicyRejected as rejected:
        found = [Finding("policy", "fail", _placed(each.file, each.line, each.message), SETS) for each in rejected.findings]
        return [*found, *_last_good(decider.status())]
    except OpaUnusable as error:
        return (Finding("policy", "fail", str(error), "look whether OPA can be run here, and whether the disk is full"),)
    finally:
        await asyncio.shield(decider.close())
    ends = [*signature("policy", status.signed_s, status.expires_s, time.time())]
    return (Finding("policy", "ok", f"{folder}: revision {revision}, its canaries hold"), *ends)


def _unfetched(settings: Settings) -> str | None:
    """What no gateway fetched yet, so that there is nothing to load."""
    absent = [name for name, one in policy.servers(settings).items() if not one.file.is_file()]
    return f"nothing was fetched yet from {' and '.join(absent)}" if absent else None


def _last_good(status: PolicyStatus) -> Sequence[Finding]:
    """What a gateway that starts now would decide by although the newest is refused."""
    if not status.fallback:
        return ()
    parts = " and ".join(status.fallback)
    detail = f"a gateway that starts now goes on with revision {status.revision}: {parts} accepted before"
    return (Finding("policy", "warn", detail, "correct the newest"),)


async def _sidecar(decider: SidecarDecider, url: str) -> Sequence[Finding]:
    try:
        await decider.start()
        status = decider.status()
    finally:
        await asyncio.shield(decider.close())
    if status.rejection is not None:
        advice = "load the policies into the sidecar, with a revision and right canaries"
        return [
            Finding("OPA sidecar", "fail", _placed(each.file, each.line, each.message), advice)
            for each in status.rejection.findings
        ]
    if status.problem:
        return (Finding("OPA sidecar", "fail", status.problem, f"look whether a sidecar answers at {url}"),)
    return (Finding("OPA sidecar", "ok", f"{url}: revision {status.revision}, the canaries hold"),)


def _placed(file: str, line: int, message: str) -> str:
    return f"{file}:{line}: {message}" if line else f"{file}: {message}" if file else message


def _unheard(event: PolicyEvent) -> None:
    """For whoever only looks."""
