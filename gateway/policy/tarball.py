"""A gzipped tar of plain files, read by nobody's leave but its own: these bytes come from whoever can reach the bundle server.

Everything is in the 512 bytes before each file, as POSIX wrote them down in 1988 (ustar): a name, a size in octal digits, a kind
and a checksum. No extension of it is read (PAX, GNU's long names, sizes in binary, sparse files, links): each is a second way
to say a name or a size, and code that runs before a signature is looked at. What is wrong is `BadTar`, never another exception,
after time and memory that grow with the bytes and no faster.
"""

import re
import zlib

MAX_ENTRIES = 10_000

_BLOCK = 512
_GZIP = 16 + zlib.MAX_WBITS  # zlib's way to say: a gzip header, and its checksum at the end
_OCTAL = re.compile(rb" *([0-7]+)[ \0]*")
_FILE = (b"0", b"\0")
_FOLDER = b"5"
_EXTENSIONS = frozenset({b"x", b"g", b"L", b"K", b"S", b"X", b"N", b"V", b"M", b"D"})
_PLAIN = "pack it with `mcp-gateway policy build`, `opa build` or `tar --format=ustar`"


class BadTar(Exception):
    """It is not read; the message says why."""


def unzipped(packed: bytes, max_bytes: int) -> bytes:
    """What is in the one gzip member that `packed` is. Raises `BadTar`."""
    stream = zlib.decompressobj(_GZIP)
    try:
        whole = stream.decompress(packed, max_bytes + 1)
    except zlib.error as error:
        raise BadTar("is no whole gzip file") from error
    if len(whole) > max_bytes:
        raise BadTar(f"unpacks to more than {max_bytes} bytes")
    if not stream.eof or stream.unused_data:
        raise BadTar("is no whole gzip file")
    return whole


def entries(tar: bytes) -> list[tuple[str, bytes]]:
    """The names of its files, as they are written, with their contents; folders are left out. Raises `BadTar`."""
    found: list[tuple[str, bytes]] = []
    at = 0
    for _ in range(MAX_ENTRIES + 1):
        header = tar[at : at + _BLOCK]
        if not header.strip(b"\0"):
            if len(tar) - at < 2 * _BLOCK or tar.count(b"\0", at) != len(tar) - at:
                raise BadTar("is no whole tar file")  # its end is two empty blocks, and nothing is behind them
            return found
        name, size, kind = _read(header)
        at += _BLOCK
        if kind in _FILE:
            content = tar[at : at + size]
            if len(content) != size:
                raise BadTar("is cut off")
            found.append((name, content))
        elif size:  # some readers skip so many bytes here, and some do not
            raise BadTar(f"holds {name[:200]!r}, a folder of {size} bytes")
        at += -(-size // _BLOCK) * _BLOCK
    raise BadTar(f"holds more than {MAX_ENTRIES} files and folders")


def _read(header: bytes) -> tuple[str, int, bytes]:
    """Name, size and kind."""
    checksum = _OCTAL.fullmatch(header, 148, 156)
    if len(header) != _BLOCK or checksum is None or int(checksum[1], 8) != _checksum(header):
        raise BadTar("is no whole tar file")
    name, kind, prefix = _text(header, 0, 100), header[156:157], _text(header, 345, 500)
    if kind in _EXTENSIONS:
        raise BadTar(f"holds {name[:200]!r}, which is written in an extension of tar (PAX or GNU) that is not read: {_PLAIN}")
    if kind not in _FILE and kind != _FOLDER:
        raise BadTar(f"holds {name[:200]!r}, which is no regular file")
    if prefix and header[257:263] == b"ustar\0":
        name = f"{prefix}/{name}"
    elif prefix:
        raise BadTar(f"holds {name[:200]!r}, whose name two readers would not read alike: {_PLAIN}")
    size = _OCTAL.fullmatch(header, 124, 136)
    if size is None:
        raise BadTar(f"holds {name[:200]!r}, whose size is not written in octal digits: {_PLAIN}")
    return name, int(size[1], 8), kind


def _checksum(header: bytes) -> int:
    """The sum of its bytes, its own eight counted as blanks."""
    return sum(header) - sum(header[148:156]) + 8 * ord(" ")


def _text(header: bytes, start: int, end: int) -> str:
    """Up to its NUL, as every reader has it."""
    return header[start:end].partition(b"\0")[0].decode("ascii", "backslashreplace")
