"""Who asks: every issuer is asked for its keys as the gateway would ask, and the API keys are looked through."""

import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from gateway.adapters import key_file
from gateway.adapters.discovery import Discovery
from gateway.adapters.fetching import Document, Fetcher, SourceFailed
from gateway.adapters.jwks import FileSource
from gateway.adapters.key_file import KeyFileFailed
from gateway.assembly import identity as assembled
from gateway.doctor.finding import Finding
from gateway.identity.grant import Rejected
from gateway.identity.key_file import state
from gateway.identity.signing_keys import BadKeySet, KeySet, read_key_set
from gateway.settings.identity import Issuer
from gateway.settings.load import SettingsError
from gateway.settings.model import Settings

SOON_S = 14 * 86_400.0
CLOCK_WARN_S = 5.0
NOBODYS = "mcp-gateway-doctor"  # a token that no issuer has issued


async def issuer(issuer: Issuer, *, timeout_s: float) -> Sequence[Finding]:
    """Its metadata and keys, fetched now; which of its keys count; how far its clock is from ours."""
    what = f"issuer {issuer.issuer}"
    if issuer.introspection is None:
        return await _key_set(what, issuer, timeout_s)
    asked = await _introspection(what, issuer)
    return asked if issuer.introspection.jwts else (*asked, *await _key_set(what, issuer, timeout_s))


async def _introspection(what: str, issuer: Issuer) -> Sequence[Finding]:
    """Asked about a token that nobody has: the answer tells whether the gateway is accepted as a client."""
    what = f"{what}: introspection"
    try:
        tokens = assembled.access_tokens([issuer])
    except SettingsError as error:
        return (Finding(what, "fail", str(error), "correct identity.issuers"),)
    try:
        for each in tokens.introspections:
            with suppress(Rejected):  # as it should be; or for want of an answer, which then stands in `failure`
                await each.verified(NOBODYS, resource="", now_s=time.time())
            if each.failure is not None:
                advice = "look whether the provider is up, and at `client_id`, `client_secret` and `client_auth`"
                return (Finding(what, "fail", each.failure, advice),)
    finally:
        await tokens.close()
    return (Finding(what, "ok", "it answers the gateway's questions about tokens"),)


async def _key_set(what: str, issuer: Issuer, timeout_s: float) -> Sequence[Finding]:
    try:
        fetcher = Fetcher(timeout_s=timeout_s, ca_file=issuer.tls_ca)
        found = Discovery(issuer.issuer, fetcher, url=issuer.discovery_url)
    except ValueError as error:
        return (Finding(what, "fail", str(error), "correct identity.issuers"),)
    try:
        place, document = await _keys_of(issuer, found, fetcher)
        keys = read_key_set(document.body, digest=hashlib.sha256(document.body).hexdigest())
    except SourceFailed as error:
        advice = "look whether the file is where it should be" if issuer.jwks_file is not None else _advice(str(error))
        return (Finding(what, "fail", str(error), advice),)
    except BadKeySet as error:
        return (Finding(what, "fail", f"its keys are not usable: {error}", "look at the key set that the issuer publishes"),)
    finally:
        await found.close()
        await fetcher.close()
    return (_judged(what, issuer, keys, place), *_clock(what, issuer, document))


async def _keys_of(issuer: Issuer, found: Discovery, fetcher: Fetcher) -> tuple[str, Document]:
    """Where they are, and the document. Raises `SourceFailed`."""
    if issuer.jwks_file is not None:
        return str(issuer.jwks_file), await FileSource(issuer.jwks_file).read()
    url = issuer.jwks_url
    if url is None:
        url = (await found.metadata()).jwks_uri
    if url is None:
        raise SourceFailed(f"{issuer.issuer}: its metadata names no `jwks_uri`")
    return url, await fetcher.read(url)


def _judged(what: str, issuer: Issuer, keys: KeySet, place: str) -> Finding:
    fitting = [key for key in keys.keys if key.algorithms & set(issuer.algorithms)]
    by_algorithm = Counter(name for key in fitting for name in sorted(key.algorithms & set(issuer.algorithms)))
    told = ", ".join(f"{name} {count}" for name, count in sorted(by_algorithm.items()))
    if not fitting:
        offered = sorted({name for key in keys.keys for name in key.algorithms})
        detail = f"none of its {len(keys.keys)} keys is for {', '.join(issuer.algorithms)}; they are for {', '.join(offered)}"
        return Finding(what, "fail", detail, "add the algorithm that it signs with to its `algorithms`")
    detail = f"{len(fitting)} usable keys ({told}) from {place}"
    if keys.unfit:
        return Finding(what, "warn", f"{detail}; not usable: {'; '.join(keys.unfit)}", "tokens signed with those are refused")
    return Finding(what, "ok", detail)


def _clock(what: str, issuer: Issuer, document: Document) -> Sequence[Finding]:
    if document.date is None:
        return ()
    try:
        apart_s = time.time() - parsedate_to_datetime(document.date).timestamp()
    except (ValueError, TypeError):
        return ()
    detail = f"our clock and its clock are {abs(apart_s):.0f} s apart"
    if abs(apart_s) > issuer.leeway_s + 1:
        return (Finding(f"{what}: clock", "fail", detail, "set the clock (NTP): tokens look expired or not yet valid"),)
    if abs(apart_s) > CLOCK_WARN_S:
        return (Finding(f"{what}: clock", "warn", detail, "set the clock (NTP) before `leeway_s` is used up"),)
    return (Finding(f"{what}: clock", "ok", detail),)


def _advice(failure: str) -> str:
    if "`issuer` is not" in failure:
        return "`issuer` must be, letter for letter, what the provider's metadata says"
    if "HTTP 4" in failure or "metadata" in failure:
        return "look whether `issuer`, `discovery_url` or `jwks_url` is right"
    if "certificate" in failure:
        return "name the CA of the provider with `tls_ca`"
    return "look whether the provider is up and can be reached from here"


async def keys(settings: Settings) -> Sequence[Finding]:
    """The API keys of the settings and of the key file: how many, and which have ended or soon will."""
    found: list[Finding] = []
    now = datetime.now(UTC)
    fixed = settings.identity.api_keys
    if fixed:
        ends = {key.id: datetime.fromisoformat(key.expires) for key in fixed if key.expires is not None}
        found.append(_keys("API keys (settings)", len(fixed), ends, now))
    path = settings.identity.key_file
    if path is not None:
        try:
            records = key_file.load(path).records
        except KeyFileFailed as error:
            return (*found, Finding("key file", "fail", str(error), "restore it, or make one with `mcp-gateway keys create`"))
        standing = [record for record in records if state(record, now=now) != "revoked"]
        ends = {record.id: record.expires for record in standing if record.expires is not None}
        found.append(_keys("key file", len(standing), ends, now))
    return found


def _keys(what: str, count: int, ends: dict[str, datetime], now: datetime) -> Finding:
    aware = {id: when for id, when in ends.items() if when.tzinfo is not None}  # one without a zone is told by the settings
    ended = sorted(id for id, when in aware.items() if when <= now)
    soon = sorted(id for id, when in aware.items() if 0 < (when - now).total_seconds() < SOON_S)
    detail = f"{count} keys" + (f"; expired: {', '.join(ended)}" if ended else "")
    detail += f"; soon to expire: {', '.join(soon)}" if soon else ""
    if ended or soon:
        return Finding(what, "warn", detail, "rotate them: `mcp-gateway keys --help`")
    return Finding(what, "ok", detail)
