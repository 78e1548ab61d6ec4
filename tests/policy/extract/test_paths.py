"""Paths: hostile ones are outside or unreadable, innocent ones are inside, whoever reads them."""

import posixpath
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import JsonObject
from gateway.policy.extract.paths import is_root, path
from gateway.policy.extract.unreadable import Unreadable

ROOTS = ("/srv/data", "/srv/data/public")
BASE = "/srv/data"


def read(text: str, roots: tuple[str, ...] = ROOTS, base: str | None = BASE) -> JsonObject | str:
    try:
        return path(text, roots, base)
    except Unreadable as error:
        return str(error)


def is_inside(text: str, roots: tuple[str, ...] = ROOTS, base: str | None = BASE) -> bool:
    said = read(text, roots, base)
    return isinstance(said, dict) and said["inside"] is True


HOSTILE = (
    "/etc/passwd",
    "../../etc/passwd",
    "/srv/data/../../etc/passwd",
    "/srv/database",
    "/srv",
    "/",
    "a/../../x",
    "/srv/data/%2e%2e/x",
    "/srv/data/%2E%2E%2Fx",
    "/srv/data/..%2fx",
    "/srv/data/%252e%252e/x",
    "/srv/data/%25252e%25252e/x",
    "/srv/data/%2525252525252e./x",
    "/srv/data/..\\x",
    "/srv/data\\..\\..\\etc",
    "/srv/data\\x",
    "/srv/data/%5c..%5c..%5cx",
    "/srv/data/\uff0e\uff0e/x",
    "/srv/data/\u2024\u2024/x",
    "/srv/data/\u2025/x",
    "/srv/data/..\u2215x",
    "/srv/data/..\u2044x",
    "/srv/data/..\uff0fx",
    "/srv/data/..\uff3cx",
    "/srv/data/%c0%ae%c0%ae/x",
    "/srv/data/%e0%80%ae/x",
    "/srv/data/a\0.txt",
    "/srv/data/a%00.txt",
    "/srv/data/a\n",
    "/srv/data/.\u200b./x",
    "~/x",
    "~root/.ssh/id_rsa",
    "$HOME/x",
    "${HOME}/x",
    "/srv/data/$(id)",
    "/srv/data/`id`",
    "%USERPROFILE%/x",
    "C:\\Windows\\win.ini",
    "c:/x",
    "\\\\host\\share\\x",
    "//host/share/x",
    "/\\host/share",
    "file:///srv/data/x",
    "https://example.com/srv/data",
    "/srv/data/.../x",
    "/srv/data/.. /x",
    "/srv/data/..;/x",
    "/srv/data/..;a=b/x",
    "/srv/data/{x/y/z,../../../etc/passwd}",
    "/srv/data/{x/y/z\\},../../../etc/passwd}",
    "/srv/data/%7Bx/y/z%2C../../../etc/passwd%7D",
    "/srv/data/\uff5bx/y/z\uff0c../../../etc/passwd\uff5d",
    "{a,/etc/passwd}",
    "/srv/data/{a,b}.txt",
    "/srv/data/{a..z}",
    "/srv/data/{{a},b}",
    "/srv/data/.*/x",
    "/srv/data/.?/.?/etc/passwd",
    "/srv/data/..*/x",
    "/srv/data/.[.]/x",
    "/srv/data/[.][.]/x",
    "/srv/data/.[[:punct:]]/x",
    "/srv/data/[x/y/z/../..]",
    "/srv/data/@(x/y/z/../..)",
    "/srv/data/.@(.)/x",
    "/srv/data/@(..|a)/x",
    "/srv/data/%u002e./x",
    "/srv/data/.%U002E/x",
    "/srv/data/.%25u002e/x",
    " /srv/data/x",
    "",
    "   ",
    "/srv/data/" + "a" * 5_000,
)
INNOCENT = {
    "/srv/data": "/srv/data",
    "/srv/data/": "/srv/data",
    "/srv/data/a.txt": "/srv/data/a.txt",
    "a.txt": "/srv/data/a.txt",
    "./a.txt": "/srv/data/a.txt",
    "a/b/../c": "/srv/data/a/c",
    "/srv/data//a": "/srv/data/a",
    "notes..md": "/srv/data/notes..md",
    ".env.example": "/srv/data/.env.example",
    "..hidden": "/srv/data/..hidden",
    "100% sure.txt": "/srv/data/100% sure.txt",
    "50%20off.txt": "/srv/data/50%20off.txt",
    "größe/日本.txt": "/srv/data/größe/日本.txt",
    "a~1.bak": "/srv/data/a~1.bak",
    "12:30 notes.txt": "/srv/data/12:30 notes.txt",
    "a;b.txt": "/srv/data/a;b.txt",
    "{uuid}.txt": "/srv/data/{uuid}.txt",
    "a, b.txt": "/srv/data/a, b.txt",
    "*.txt": "/srv/data/*.txt",
    "**/*.py": "/srv/data/**/*.py",
    ".env.*": "/srv/data/.env.*",
    "[id]/[...slug].tsx": "/srv/data/[id]/[...slug].tsx",
    "[[...slug]]/page.tsx": "/srv/data/[[...slug]]/page.tsx",
    "C++(v1.2).txt": "/srv/data/C++(v1.2).txt",
    "con": "/srv/data/con",
    "NUL.txt": "/srv/data/NUL.txt",
    "%update.txt": "/srv/data/%update.txt",
}


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_path_is_inside_no_root(text: str) -> None:
    assert not is_inside(text)


@pytest.mark.parametrize(("text", "normal"), INNOCENT.items())
def test_an_innocent_path_is_inside_and_normalised(text: str, normal: str) -> None:
    assert read(text) == {"path": normal, "absolute": text.startswith("/"), "inside": True, "root": "/srv/data"}


def test_the_longest_root_counts() -> None:
    said = {"path": "/srv/data/public/x", "absolute": True, "inside": True, "root": "/srv/data/public"}
    assert read("/srv/data/public/x") == said


def test_a_path_whose_readings_lie_in_two_roots_is_in_none() -> None:
    assert read("/srv/data/public/%2e%2e/x") == {"path": "/srv/data/public/%2e%2e/x", "absolute": True, "inside": False}


def test_a_relative_path_without_a_base_is_in_no_root() -> None:
    assert read("a.txt", base=None) == {"path": "a.txt", "absolute": False, "inside": False}
    assert not is_inside("a.txt", ("/",), None)


WINDOWS = {
    "C:/data/a.txt": True,
    "c:\\DATA\\sub\\a.txt": True,
    "a.txt": True,
    "C:/data/../x": False,
    "D:/data/a": False,
    "C:data": False,
    "/data/a": False,
    "C:/data/a.txt:stream": False,
    "C:/data/a.txt::$DATA": False,
    "C:/data/PROGRA~1": False,
    "C:/data/a.": False,
    "\\\\?\\C:\\data\\a": False,
    "C:/database": False,
    "C:/data/NUL.txt": False,
    "C:/data/nul .a.txt": False,
    "con": False,
    "sub\\COM1": False,
    "Lpt\u00b9.log": False,
    "C:/data/aux/a.txt": False,
    "CONIN$": False,
    "C:/data/%4eUL": False,
    "C:/data/console.txt": True,
    "com10": True,
    "nullable.sql": True,
}


@pytest.mark.parametrize(("text", "inside"), WINDOWS.items())
def test_roots_with_a_drive_are_read_as_windows_does(text: str, inside: bool) -> None:
    assert is_inside(text, ("C:/data",), "C:/data") is inside


@pytest.mark.parametrize("text", ["/srv", "/", "/srv/data", "C:/data"])
def test_a_plain_absolute_path_can_be_a_root(text: str) -> None:
    assert is_root(text)


@pytest.mark.parametrize("text", ["", "srv", "/srv/", "/srv/../x", "~/x", "/srv/%2e", "C:\\data", "C:data", "/srv//x"])
def test_what_could_be_read_twice_is_no_root(text: str) -> None:
    assert not is_root(text)


PIECES = st.lists(
    st.sampled_from(
        [
            "a",
            "b",
            "..",
            ".",
            "{",
            "}",
            ",",
            "%2e%2e",
            "%252e",
            "\\",
            "/",
            "%2f",
            "%5c",
            "\uff0e",
            "\u2025",
            "~",
            " ",
            "",
            "%",
            ";",
            "x.y",
        ]
    ),
    max_size=8,
)


@settings(max_examples=300, deadline=None)
@given(PIECES, st.sampled_from(["", "/srv/data/", "/srv/data"]))
def test_no_reader_is_led_out_of_a_root_that_a_path_is_inside(pieces: list[str], start: str) -> None:
    text = start + "".join(pieces)
    if not is_inside(text):
        return
    for reading in (text, text.replace("%2e", "."), text.replace("%252e", "."), text.replace("%2e", ".").replace("%5c", "\\")):
        for slashed in (reading, reading.replace("\\", "/").replace("%2f", "/")):
            led = posixpath.normpath(slashed if slashed.startswith("/") else f"{BASE}/{slashed}")
            assert led == BASE or led.startswith(BASE + "/")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text("abcxyz019._-", min_size=1, max_size=8).filter(lambda name: name.strip(".")), min_size=1, max_size=5))
def test_plain_names_are_inside_encoded_or_not(names: list[str]) -> None:
    plain = "/".join(names)
    assert is_inside(plain) and is_inside(quote(plain)) and is_inside(f"/srv/data/{plain}")


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_read_or_unreadable(text: str) -> None:
    read(text)
