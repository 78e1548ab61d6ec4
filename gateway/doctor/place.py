"""Where the gateway would run: its addresses, its certificate, its audit folder, its clock. Nothing is taken or written."""

import asyncio
import os
import shutil
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import msgspec
from cryptography import x509

from gateway.adapters.audit.files import LOCK
from gateway.doctor.finding import Finding, remaining
from gateway.front import serving
from gateway.settings.model import Settings

CERTIFICATE_SOON_S = 14 * 86_400.0
LEAST_FREE_BYTES = 64 * 1024 * 1024
ANY = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 — where one is asked that listens on every address
LOCKS = Path("/proc/locks")
LONG_AGO_S = 1_735_689_600  # January 2025: a clock that says less was never set


class _Check(msgspec.Struct):
    name: str
    ok: bool


class _Ready(msgspec.Struct):
    ready: bool
    checks: list[_Check]


async def clock() -> Sequence[Finding]:
    """What it says; whether it is right, the issuers' clocks tell."""
    now = datetime.now(UTC)
    detail = f"{now:%Y-%m-%d %H:%M:%S} UTC, local zone {time.tzname[time.localtime().tm_isdst > 0]}"
    if now.timestamp() < LONG_AGO_S:
        return (Finding("clock", "fail", detail, "set the clock (NTP): no token and no certificate counts like this"),)
    return (Finding("clock", "ok", detail),)


async def listener(settings: Settings) -> Sequence[Finding]:
    """Whether both addresses are free, or used by a gateway that runs."""
    listen, operations = settings.listen, settings.operations
    running = await _running(operations.host, operations.port) if operations.port else None
    return (
        _address("listen", listen.host, listen.port, running),
        _address("operations", operations.host, operations.port, running),
    )


def _address(what: str, host: str, port: int, running: _Ready | None) -> Finding:
    if port == 0:
        return Finding(what, "ok", f"{host}: a free port is taken")
    try:
        serving.bound(host, port).close()  # never listened on: nobody can come in meanwhile
    except OSError as error:
        if running is None:
            detail = f"{host}:{port}: {(error.strerror or str(error)).lower()}"
            return Finding(what, "fail", detail, f"end the program that has it, or set {what}.port")
        failing = [check.name for check in running.checks if not check.ok]
        detail = f"{host}:{port}: in use by a gateway that runs"
        if failing:
            return Finding(what, "warn", f"{detail} and is not ready: {', '.join(failing)}", "look at its /readyz")
        return Finding(what, "ok", detail)
    return Finding(what, "ok", f"{host}:{port} is free")


async def _running(host: str, port: int) -> _Ready | None:
    """What a gateway that listens there says of itself; None: there is none."""
    name = ANY.get(host, host)
    url = f"http://{f'[{name}]' if ':' in name else name}:{port}/readyz"
    try:
        async with httpx2.AsyncClient(trust_env=False, timeout=2.0) as client:
            answer = await client.get(url, headers={"accept": "application/json"})
        return msgspec.json.decode(answer.content, type=_Ready)
    except (httpx2.HTTPError, msgspec.DecodeError):
        return None


async def certificate(settings: Settings) -> Sequence[Finding]:
    """How long our own certificate is good, whether it is for the name that clients use, and the same of the clients' CA."""
    listen = settings.listen
    found: list[Finding] = []
    for what, path, url in (
        ("TLS certificate", listen.tls_cert, listen.public_url),
        ("CA of clients", listen.tls_client_ca, None),
    ):
        if path is None:
            continue
        try:
            read = x509.load_pem_x509_certificate(await asyncio.to_thread(path.read_bytes))
        except (OSError, ValueError):
            continue  # told with the settings
        found.append(judged(what, read, url, f"replace {path}"))
    return found


def judged(what: str, read: x509.Certificate, url: str | None, advice: str) -> Finding:
    """One certificate: its time, and the name in `url`, if there is one."""
    now = datetime.now(UTC)
    if read.not_valid_before_utc > now:
        return Finding(what, "fail", f"not valid before {read.not_valid_before_utc:%Y-%m-%d %H:%M} UTC", advice)
    state, detail = remaining("it", (read.not_valid_after_utc - now).total_seconds(), soon_s=CERTIFICATE_SOON_S)
    name = urlsplit(url).hostname if url else None
    if state == "ok" and name is not None and not _names(read, name):
        return Finding(what, "warn", f"{detail}, but it is not for {name}", advice)
    return Finding(what, state, detail, "" if state == "ok" else advice)


def _names(read: x509.Certificate, name: str) -> bool:
    try:
        told = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    if name in {str(address) for address in told.get_values_for_type(x509.IPAddress)}:
        return True
    wildcard = "*." + name.partition(".")[2]
    return bool({each.lower() for each in told.get_values_for_type(x509.DNSName)} & {name.lower(), wildcard.lower()})


async def audit(settings: Settings) -> Sequence[Finding]:
    """Whether records could be written, and for how long."""
    return (await asyncio.to_thread(_audit, settings.audit.folder, settings.audit.rotate_bytes),)


def _audit(folder: Path, rotate_bytes: int) -> Finding:
    advice = "without a record nothing is forwarded: make it a folder that the gateway may write to"
    place = folder
    try:
        while not place.exists() and place != place.parent:
            place = place.parent
        if not place.is_dir():
            return Finding("audit", "fail", f"{folder}: {place} is not a folder", advice)
        if not os.access(place, os.W_OK | os.X_OK) or os.statvfs(place).f_flag & os.ST_RDONLY:
            return Finding("audit", "fail", f"{folder}: {place} cannot be written to", advice)
        free = shutil.disk_usage(place).free
        holder = _holder(folder / LOCK)
    except OSError as error:
        return Finding("audit", "fail", f"{folder}: {error.strerror}", advice)
    detail = f"{folder}: {free / 2**30:.1f} GiB free" + ("" if place == folder else ", will be made")
    if holder:
        detail += f", in use by the gateway that runs (process {holder})"
    if free < LEAST_FREE_BYTES:
        return Finding("audit", "fail", detail, "make room: when the disk is full, nothing is forwarded")
    if free < rotate_bytes:
        return Finding("audit", "warn", detail, "less room than one file of the audit may take: make room")
    return Finding("audit", "ok", detail)


def _holder(lock: Path) -> str:
    """The process that holds the audit's lock; looked up, never tried: who tries a lock has it for a moment."""
    try:
        inode = lock.stat().st_ino
        lines = [line.split() for line in LOCKS.read_text().splitlines()]
    except OSError:
        return ""
    return next((line[4] for line in lines if len(line) > 5 and line[1] == "FLOCK" and line[5].endswith(f":{inode}")), "")
