"""Whom a message goes to: every recipient in a text, by the address that mail servers deliver to, never by what is shown.

RFC 5321 addresses in RFC 5322 lists, less what servers read differently: comments, groups, routes, quoted local parts.
"""

import re
import unicodedata
from collections.abc import Iterator

from gateway.model import JsonObject
from gateway.policy.extract.hosts import domain_name
from gateway.policy.extract.unreadable import Unreadable

MAX_CHARS = 16_384
MAX_LOCAL = 64  # RFC 5321, section 4.5.3.1.1
ATOM = re.compile(r"[A-Za-z0-9!#$&'*+/=?^_`{|}~\u00a1-\U0010ffff-]+(?:\.[A-Za-z0-9!#$&'*+/=?^_`{|}~\u00a1-\U0010ffff-]+)*")
NAMED = re.compile(r'\s*(?P<name>"(?:[^"\\\r\n]|\\[^\r\n])*"|[^<>"]*?)\s*<(?P<address>[^<>]*)>\s*')
SPECIALS = frozenset('@,;<>"()[]\\:%!| \t')


def recipients(text: str) -> Iterator[JsonObject]:
    """Each recipient in `text`, which may list several. Raises `Unreadable` for the whole text if one of them is unclear."""
    if len(text) > MAX_CHARS:
        raise Unreadable(f"it is longer than {MAX_CHARS} characters")
    if any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"} for char in text):
        raise Unreadable("it has a line break, a control character or one that cannot be seen")
    if "=?" in text:
        raise Unreadable("it has an encoded word, which may hide another address")
    parts = [part for part in _split(text) if part.strip()]
    if not parts:
        raise Unreadable("it names nobody")
    for part in parts:
        if unicodedata.normalize("NFKC", part).lstrip().startswith("-"):
            raise Unreadable("it begins with '-', which mailers read as an option")
        yield _recipient(part)


def _split(text: str) -> Iterator[str]:
    """At commas and semicolons that are outside quotes and angle brackets."""
    quoted = angled = escaped = False
    begin = 0
    for position, char in enumerate(text):
        if escaped:
            escaped = False
        elif quoted:
            escaped, quoted = char == "\\", char != '"'
        elif char == '"':
            quoted = True
        elif char in "<>":
            if angled == (char == "<"):
                raise Unreadable("its angle brackets do not match")
            angled = char == "<"
        elif char in ",;" and not angled:
            yield text[begin:position]
            begin = position + 1
    if quoted or angled:
        raise Unreadable("a quote or an angle bracket is not closed")
    yield text[begin:]


def _recipient(part: str) -> JsonObject:
    named = NAMED.fullmatch(part)
    if named is not None:
        name = named["name"].strip('"').strip()
        if "(" in name or (":" in name and not named["name"].startswith('"')):
            raise Unreadable("it has a comment or a group")
        said = _address(named["address"])
        return {**said, "shown": bool(name), "misleading": "@" in unicodedata.normalize("NFKC", name)}
    if any(char in part for char in '<>"'):
        raise Unreadable("it has quotes or angle brackets in a place where servers read them differently")
    return {**_address(part.strip()), "shown": False, "misleading": False}


def _address(text: str) -> JsonObject:
    plain = unicodedata.normalize("NFKC", text)
    local, at, domain = plain.rpartition("@")
    if not at or not local or not domain:
        raise Unreadable("it is no address")
    if any(char in SPECIALS for char in local) or plain.count("@") != 1:
        raise Unreadable("its local part is quoted, routed or has characters that servers read differently")
    if len(local) > MAX_LOCAL or ATOM.fullmatch(local) is None:
        raise Unreadable("its local part is too long or malformed")
    if local.startswith(("-", "/", "|")) or "*" in local:
        raise Unreadable("its local part is an option, a file, a program or a pattern to some mailers")
    if local.lower().startswith("mailto"):
        raise Unreadable("it is a URL, not an address")
    if domain.startswith("["):
        raise Unreadable("its domain is the address of a machine")
    name = domain_name(domain)
    return {"address": f"{local}@{name}", "local": local, "domain": name}
