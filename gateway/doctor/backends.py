"""What lies behind: every backend is asked for its lists as the gateway would ask, and its items are held against the review."""

import asyncio
import re
import ssl
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from urllib.parse import urlsplit

from cryptography import x509

from gateway.adapters.backends import BackendSet
from gateway.assembly import backends as behind
from gateway.doctor.finding import Finding
from gateway.doctor.place import judged
from gateway.errors import BackendFailed, Refusal
from gateway.lifecycle.catalog.offered import CatalogFailed, Live, walked
from gateway.lifecycle.catalog.reviewed import Bundled, places, read_pins
from gateway.model import Answer, Outgoing
from gateway.settings.load import SettingsError
from gateway.settings.model import Settings

SERVER_INFO = "io.modelcontextprotocol/serverInfo"
TLS_OBJECT = re.compile(r" ssl:(?:<[^>]*>|\S+)")  # how aiohttp tells of the TLS that it used; it helps nobody
NAMED = 5  # items named in one line; the others are counted
ADVICE: Mapping[str, str] = {
    "unreachable": "look whether it is up, and whether its `url` or `command`, `tls` and the network are right",
    "late": "look what keeps it, or raise its `timeouts`",
    "closed": "look at its log",
    "not_mcp": "look whether its `url` leads to an MCP endpoint",
    "status": "look whether its `url` is right, and at its log",
    "unauthorized": "look at its `credential`: the one that was sent does not count there",
    "credential": "look at its `credential`: there is none to send",
}


async def backend(settings: Settings, name: str) -> Sequence[Finding]:
    """Its era, its name, how much it offers, and what of that nobody has reviewed."""
    what = f"backend {name}"
    try:
        offered = behind.backends(settings, lambda change: None, [name])
    except SettingsError as error:
        return [Finding(what, "fail", line, "correct the settings") for line in str(error).splitlines()]
    started_s = time.monotonic()
    try:
        now = await walked(offered, name)
        told = await _server(offered, name)
    except BackendFailed as failed:
        if failed.cause == "credential" and offered.scope(name, "anybody") == "anybody":
            detail = "it lists for each subject, with the subject's own credential: nothing to show it from here"
            return (Finding(what, "warn", detail, "try it as a user"),)
        return (Finding(what, "fail", _reason(failed), ADVICE.get(failed.cause, "look at its log")),)
    except (CatalogFailed, Refusal) as error:
        return (Finding(what, "fail", str(error), "look at its lists"),)
    finally:
        await asyncio.shield(offered.close())
    counts = ", ".join(f"{sum(key.type == type for key in now.offers)} {word}" for type, word in WORDS.items())
    spent_ms = (time.monotonic() - started_s) * 1e3
    found = Finding(what, "ok", f"{told}: {counts} ({spent_ms:.0f} ms)")
    return (found, *_reviewed(settings, name, now))


WORDS = {"tool": "tools", "prompt": "prompts", "resource": "resources", "resource_template": "templates"}


async def _server(offered: BackendSet, name: str) -> str:
    """Era, and the server's name and version as far as it says them."""
    async with aclosing(offered.forward(Outgoing(name, "tools/list", {}, ""))) as messages:
        async for message in messages:
            meta = message.result.get("_meta") if isinstance(message, Answer) else None
            info = meta.get(SERVER_INFO) if isinstance(meta, dict) else None
            said = [str(info.get(member, ""))[:40] for member in ("name", "version")] if isinstance(info, dict) else []
            era = next((each.era for each in offered.status() if each.name == name), None) or "unknown"
            return f"{era} era" + (f", {' '.join(said).strip()}" if any(said) else "")
    return "unknown era"


def _reason(failed: BackendFailed) -> str:
    words = {
        "unauthorized": "does not accept the gateway's credential (401, 402, 403 or 407)",
        "credential": "no credential to show it",
        "unreachable": "cannot be reached",
        "late": "does not answer in time",
        "not_mcp": "answers, but not with MCP",
    }
    said = words.get(failed.cause, failed.cause)
    return f"{said}: {TLS_OBJECT.sub('', failed.detail)}" if failed.detail and failed.cause != "unauthorized" else said


def _reviewed(settings: Settings, name: str, now: Live) -> Sequence[Finding]:
    """Items that the shipped rules hide until a reviewer has pinned them."""
    if settings.opa.url is not None:
        return ()  # the sidecar's facts are not here
    try:
        pinned = read_pins(places(settings, None).pins)
    except Bundled:
        return ()  # the repository that the bundle is built from tells: `mcp-gateway catalog diff`
    except (CatalogFailed, OSError) as error:
        return (Finding(f"review of {name}", "fail", str(error), "correct the file, or pin anew"),)
    new = [f"{key.type} {key.name}" for key in now.offers if key not in pinned]
    changed = [
        f"{key.type} {key.name}" for key, offer in now.offers.items() if pinned.get(key, offer.fingerprint) != offer.fingerprint
    ]
    if not new and not changed:
        return (Finding(f"review of {name}", "ok", "every item is pinned as it is now"),)
    parts = [f"{len(items)} {word}: {_few(items)}" for items, word in ((new, "not pinned"), (changed, "changed since")) if items]
    advice = f"review them, then `mcp-gateway catalog pin --backend {name}`: until then rules may hide them"
    return (Finding(f"review of {name}", "warn", "; ".join(parts), advice),)


def _few(items: list[str]) -> str:
    named = ", ".join(each[:60] for each in items[:NAMED])
    return named if len(items) <= NAMED else f"{named} and {len(items) - NAMED} more"


async def certificate(settings: Settings, name: str) -> Sequence[Finding]:
    """How long the backend's certificate is good; whether it is trusted, the requests tell."""
    told = settings.backends[name]
    parts = urlsplit(told.url or "")
    if parts.scheme != "https" or parts.hostname is None:
        return ()
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # only looked at: nothing is sent to whoever shows it
    try:
        if told.tls.cert is not None:
            context.load_cert_chain(told.tls.cert, told.tls.key)
        _, writer = await asyncio.open_connection(parts.hostname, parts.port or 443, ssl=context)
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        read = x509.load_der_x509_certificate(shown or b"")
    except (OSError, ValueError):
        return ()  # told with the backend
    return (judged(f"TLS of {name}", read, None, "have the backend's certificate renewed"),)
