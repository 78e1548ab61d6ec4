"""All checks at once, each within its time: one that hangs or breaks costs its own line only."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from gateway.assembly import whole
from gateway.doctor import backends, identity, place, policy, rollout
from gateway.doctor.finding import Finding
from gateway.settings.load import SettingsError
from gateway.settings.model import Settings

Check = tuple[str, Callable[[], Awaitable[Sequence[Finding]]]]


async def examined(settings: Settings, *, timeout_s: float) -> tuple[Finding, ...]:
    """Every finding, in the order of the settings: place, identity, backends, policy."""
    checks: list[Check] = [
        ("settings", partial(_settings, settings)),
        ("clock", place.clock),
        ("listen", partial(place.listener, settings)),
        ("audit", partial(place.audit, settings)),
        ("keys", partial(identity.keys, settings)),
    ]
    if settings.listen.tls_cert is not None:
        checks.append(("TLS certificate", partial(place.certificate, settings)))
    for issuer in settings.identity.issuers:
        checks.append((f"issuer {issuer.issuer}", partial(identity.issuer, issuer, timeout_s=timeout_s)))
    for name in settings.backends:
        checks.append((f"backend {name}", partial(backends.backend, settings, name)))
        checks.append((f"TLS of {name}", partial(backends.certificate, settings, name)))
    checks.append(("policy", partial(policy.opa, settings)))
    for name, told in (("policy-server", settings.policy.server), ("policy-facts-server", settings.policy.facts_server)):
        if told is not None:
            checks.append((name.replace("-", " "), partial(rollout.server, settings, name)))
    if settings.policy.shadow is not None:
        checks.append(("shadow", partial(rollout.candidate, settings, settings.policy.shadow)))
    found = await asyncio.gather(*(_within(what, check, timeout_s) for what, check in checks), return_exceptions=True)
    findings: list[Finding] = []
    for (what, _), outcome in zip(checks, found, strict=True):
        if isinstance(outcome, BaseException):
            findings.append(Finding(what, "fail", f"this check broke: {type(outcome).__name__}", "report this as a defect"))
        else:
            findings += outcome
    return tuple(findings)


async def _within(what: str, check: Callable[[], Awaitable[Sequence[Finding]]], timeout_s: float) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(timeout_s):
            return await check()
    except TimeoutError:
        return (Finding(what, "fail", f"no answer within {timeout_s:g} s", "look whether it is up, or give --timeout-s more"),)


async def _settings(settings: Settings) -> Sequence[Finding]:
    """Every mistake that can be told before anything is started."""
    try:
        await asyncio.to_thread(whole.check, settings)
    except SettingsError as error:
        advice = "the gateway does not start like this: correct it (docs/settings.md)"
        return [Finding("settings", "fail", line, advice) for line in str(error).splitlines()]
    detail = f"{len(settings.backends)} backends, {len(settings.surfaces)} surfaces, {len(settings.identity.issuers)} issuers"
    return (Finding("settings", "ok", detail),)
