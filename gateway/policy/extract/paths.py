"""Where a path leads, whoever reads it: a server may decode it once, twice or not at all, and take a backslash for a slash.

So every reading is followed, and a path is inside a root only if all of them are. Links cannot be resolved from here: a link
inside a root that leads out of it is the backend's to refuse.
"""

import posixpath
import re
import unicodedata

from gateway.model import JsonObject
from gateway.policy.extract.unreadable import Unreadable

MAX_CHARS = 4_096  # PATH_MAX of Linux
DECODINGS = 3  # a fourth layer of percent-encoding has no innocent use
ENCODED = re.compile(r"%([0-9A-Fa-f]{2})")
DRIVE = re.compile(r"[A-Za-z]:")
EXPANDED = re.compile(r"\$\{?\w|\$\(|`|%[A-Za-z_]\w*%")  # what a shell or the system would put something else for
LETTER = re.compile(r"%[uU][0-9A-Fa-f]{4}")  # %u002e is a dot to IIS
SLASH_IN_SET = re.compile(r"\[[^\[\]/]*/")
# To a shell `.?`, `..*` and `.[.]` are `..` as well.
DOTS_BY_PATTERN = re.compile(r"[.\[](?=.*[*?\[])[.*?\[\]!^]*|\..*(?:\[|[?*+@!]\().*")
ONE_OF = re.compile(r"[?*+@!]\([^()]*(?:/|\||\.\.)")  # @(a|b), in a shell with extended patterns
DEVICE = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|clock\$|(?:com|lpt)\d)", re.IGNORECASE)
SHORT_NAME = re.compile(r"~\d")  # PROGRA~1 is another name of Program Files
SLASHES = str.maketrans(dict.fromkeys("\u2044\u2215\u29f8\uff0f", "/") | dict.fromkeys("\u2216\u29f5\u29f9\ufe68\uff3c", "\\"))


def path(text: str, roots: tuple[str, ...], base: str | None) -> JsonObject:
    """The path, normalised, and the root that it lies in. Raises `Unreadable`.

    `inside` is true only if every reading lies in the same root; `root` is given then, and `path` begins with it.
    """
    drives = DRIVE.match(roots[0]) is not None
    readings = [_normalised(reading, base, drives=drives) for reading in _readings(text, drives=drives)]
    first = readings[0]
    said: JsonObject = {"path": first, "absolute": _absolute(text, drives=drives)}
    homes = {_root(reading, roots, drives=drives) for reading in readings}
    home = homes.pop() if len(homes) == 1 else None
    said["inside"] = home is not None
    if home is not None:
        said["root"] = home
    return said


def is_root(text: str) -> bool:
    """Absolute, normalised, nothing in it that could be read twice."""
    try:
        drives = DRIVE.match(text) is not None
        readings = {_normalised(each, None, drives=drives) for each in _readings(text, drives=drives)}
    except Unreadable:
        return False
    return readings == {text} and (text.startswith("/") or (drives and text[2:3] == "/"))


def _readings(text: str, *, drives: bool) -> list[str]:
    """What the text may mean, the plainest first: as it is, then decoded, and each with look-alikes of dots and slashes."""
    if not text or text.isspace():
        raise Unreadable("it is empty")
    if len(text) > MAX_CHARS:
        raise Unreadable(f"it is longer than {MAX_CHARS} characters")
    readings = [text]
    for _ in range(DECODINGS):
        decoded = _decoded(readings[-1])
        if decoded == readings[-1]:
            break
        readings.append(decoded)
    else:
        if _decoded(readings[-1]) != readings[-1]:
            raise Unreadable("it is percent-encoded over and over")
    readings += [unicodedata.normalize("NFKC", reading.translate(SLASHES)) for reading in tuple(readings)]
    for reading in readings:
        _refuse_tricks(reading, drives=drives)
    slashed = [_slashed(reading) for reading in readings]
    return list(dict.fromkeys(slashed if drives else (*slashed, *readings)))  # to Linux a backslash is a letter of a name


def _decoded(text: str) -> str:
    if "%" not in text:
        return text
    raw = ENCODED.sub(lambda found: chr(int(found[1], 16)) if int(found[1], 16) < 0x80 else found[0], text)
    if not ENCODED.search(raw):
        return raw
    octets = re.sub(rb"%([89A-Fa-f][0-9A-Fa-f])", lambda found: bytes([int(found[1], 16)]), raw.encode("utf-8", "surrogatepass"))
    try:
        return octets.decode()
    except UnicodeDecodeError as error:  # %c0%ae is a dot to a lenient reader
        raise Unreadable("it has percent-encoded octets that are no UTF-8") from error


def _refuse_tricks(reading: str, *, drives: bool) -> None:
    if any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"} for char in reading):
        raise Unreadable("it has a control character or one that cannot be seen")
    if reading.startswith("~"):
        raise Unreadable("it begins with '~', which is somebody's home")
    if EXPANDED.search(reading):
        raise Unreadable("it has a variable or a command that might be expanded")
    if LETTER.search(reading):
        raise Unreadable("it has letters as %u and four digits")
    rest = reading[2:] if drives and DRIVE.match(reading) else reading
    if DRIVE.match(rest) and rest[2:3] in {"", "/", "\\"}:
        raise Unreadable("it names a drive, and the roots do not")
    if "://" in rest or rest.lower().startswith("file:"):
        raise Unreadable("it is a URL, not a path")
    slashed = _slashed(rest)
    if reading.startswith(("//", "\\\\", "/\\", "\\/")):
        raise Unreadable("it begins with two slashes, which may name another host")
    if drives and (":" in rest or SHORT_NAME.search(rest)):
        raise Unreadable("it has a stream or a short name")
    _refuse_patterns(slashed)
    for segment in slashed.split("/"):
        if drives and DEVICE.fullmatch(segment.split(".")[0].strip()):
            raise Unreadable("it names a device of Windows")
        if segment not in {"", ".", ".."} and not segment.strip(" ."):
            raise Unreadable("it has a name of dots and spaces")
        if segment != segment.strip() or (drives and segment not in {".", ".."} and segment.endswith(".")):
            raise Unreadable("it has a name that begins or ends with a space, or ends with a dot")
        if ";" in segment and segment.split(";")[0].strip() in {"", ".", ".."}:
            raise Unreadable("it has a parameter after dots")  # `..;` is `..` to some servers


def _refuse_patterns(slashed: str) -> None:
    """What a shell makes several paths of, or finds `..` by. Between braces all counts: a quoted brace does not close one."""
    begin = slashed.find("{")
    between = slashed[begin + 1 : slashed.rfind("}")] if 0 <= begin < slashed.rfind("}") else ""
    if "," in between or ".." in between:
        raise Unreadable("it has braces, which a shell makes several paths of")
    if SLASH_IN_SET.search(slashed) or ONE_OF.search(slashed):
        raise Unreadable("it has a pattern with a slash or a choice in it")
    if any(DOTS_BY_PATTERN.fullmatch(segment) for segment in slashed.split("/")):
        raise Unreadable("it has a pattern that two dots match")


def _slashed(text: str) -> str:
    return text.replace("\\", "/")


def _absolute(text: str, *, drives: bool) -> bool:
    return _slashed(text[2:] if drives and DRIVE.match(text) else text).startswith("/")


def _normalised(reading: str, base: str | None, *, drives: bool) -> str:
    """`..`, `.` and doubled slashes resolved, from the base if it is relative; one that climbs from nowhere keeps its `..`."""
    if drives and DRIVE.match(reading):
        if reading[2:3] != "/":
            raise Unreadable("it is relative to the place where a drive stands")
        return reading[:2].upper() + posixpath.normpath(reading[2:])
    if reading.startswith("/"):
        if drives:
            raise Unreadable("it is absolute and names no drive")
        return posixpath.normpath(reading)
    if base is None:
        return posixpath.normpath(reading)
    return _normalised(f"{base}/{reading}", None, drives=drives)


def _root(reading: str, roots: tuple[str, ...], *, drives: bool) -> str | None:
    """The longest root that holds the path; Windows does not tell letters' cases apart."""
    folded = reading.casefold() if drives else reading
    holding = [
        root
        for root in roots
        if root == "/" or folded == (own := root.casefold() if drives else root) or folded.startswith(own.rstrip("/") + "/")
    ]
    if reading.startswith("../") or not (reading.startswith("/") or (drives and DRIVE.match(reading))):
        return None
    return max(holding, key=len, default=None)
