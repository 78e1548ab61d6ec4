"""URLs: a rule that allows one host, or no private network, is not led elsewhere by how it is written."""

# ruff: noqa: RUF001 — letters that look like others are the point

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import JsonObject
from gateway.policy.extract.unreadable import Unreadable
from gateway.policy.extract.urls import url


def read(text: str) -> JsonObject | str:
    try:
        return url(text)
    except Unreadable as error:
        return str(error)


def is_fine(text: str) -> bool:
    """As a strict rule would have it: https, a public place, nothing before an @, the usual port."""
    said = read(text)
    return (
        isinstance(said, dict)
        and (said["scheme"], said["user_info"], said.get("port")) == ("https", False, 443)
        and (said.get("network") in {"public", "name"} and str(said.get("host", "")).endswith(("example.com", "8.8.8.8")))
    )


HOSTILE = (
    "http://example.com/",
    "https://evil.test/",
    "https://example.com.evil.test/",
    "https://example.com@evil.test/",
    "https://evil.test#example.com",
    "https://evil.test?example.com",
    "https://evil.test\\@example.com/",
    "https://example.com\\.evil.test/",
    "https://evil.test\t@example.com",
    "https://a@b@example.com/",
    "https://user:password@example.com/",
    "https://example.com:8443/",
    "https://example.com:0/",
    "https://example.com:99999/",
    "https://example.com:443x/",
    "https:example.com",
    "https:/example.com",
    "https:///example.com",
    "//example.com/",
    "example.com",
    " https://example.com/",
    "https://exam%70le.com/",
    "https://examp\u200ble.com/",
    "https://example。com.evil.test/",
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.1/",
    "https://0177.0.0.1/",
    "https://017700000001/",
    "https://0/",
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://192.168.1.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://100.100.100.200/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[fd00:ec2::254]/",
    "https://[fe80::1%25eth0]/",
    "https://[::1/",
    "https://①②⑦.⓪.⓪.①/",
    "https://１２７.0.0.1/",
    "https://localhost/",
    "https://LOCALHOST./",
    "https://x.localhost/",
    "https://metadata.google.internal/",
    "https://printer.local/",
    "https://intranet/",
    "https://08.08.08.08/",
    "https://256.256.256.256/",
    "https://1.2.3.4.5/",
    "https://example..com/",
    "https://xn--/",
    "https://еxample.com.evil.test/",
    "https://еxаmple.com/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "file:///etc/passwd",
    "file://example.com/etc/passwd",
    "javascript:alert(1)//example.com",
    "data:text/html,https://example.com",
    "gopher://example.com/",
    "",
    "https://",
)
INNOCENT = (
    "https://example.com",
    "https://example.com/",
    "https://EXAMPLE.com/Path?query=a@b#fragment",
    "https://example.com:443/",
    "https://example.com:/",
    "https://example.com./",
    "https://www.example.com/a/b%20c",
    "https://a-b.example.com/?u=https://evil.test/",
    "https://bücher.example.com/",
    "https://xn--bcher-kva.example.com/",
    "https://8.8.8.8/",
    "HTTPS://example.com/",
    "https://ｅxample.com/",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_url_is_not_fine(text: str) -> None:
    assert not is_fine(text)


@pytest.mark.parametrize("text", INNOCENT)
def test_an_innocent_url_is_fine(text: str) -> None:
    assert is_fine(text)


TOLD: dict[str, JsonObject] = {
    "http://u:p@Bücher.Example:8080/a?b": {
        "scheme": "http",
        "user_info": True,
        "path": "/a",
        "host": "xn--bcher-kva.example",
        "host_kind": "name",
        "network": "name",
        "port": 8080,
    },
    "ws://[::FFFF:10.0.0.1]": {
        "scheme": "ws",
        "user_info": False,
        "path": "/",
        "host": "::ffff:a00:1",
        "host_kind": "ipv6",
        "network": "private",
        "port": 80,
    },
    "http://010.0.0.1/": {
        "scheme": "http",
        "user_info": False,
        "path": "/",
        "host": "8.0.0.1",
        "host_kind": "ipv4",
        "network": "private",
        "port": 80,
    },
    "file:///etc/passwd": {"scheme": "file", "user_info": False, "path": "/etc/passwd"},
    "mailto:a@example.com": {"scheme": "mailto", "user_info": False},
}


@pytest.mark.parametrize("text", TOLD)
def test_everything_about_a_url_is_told_and_no_password(text: str) -> None:
    assert read(text) == TOLD[text]


SPELLINGS = st.sampled_from(["{0}.{1}.{2}.{3}", "0x{0:x}.{1}.{2}.{3}", "0{0:o}.{1}.{2}.{3}", "0x{0:02x}{1:02x}{2:02x}{3:02x}"])
OCTET = st.integers(0, 255)


@settings(max_examples=300, deadline=None)
@given(SPELLINGS, OCTET, OCTET, OCTET, OCTET)
def test_an_address_is_the_same_in_every_spelling(spelling: str, a: int, b: int, c: int, d: int) -> None:
    said, plain = read(f"http://{spelling.format(a, b, c, d)}/"), read(f"http://{a}.{b}.{c}.{d}/")
    assert isinstance(said, dict) and isinstance(plain, dict) and said["host"] == plain["host"]
    if plain["network"] != "public":
        assert said["network"] != "public"


@settings(max_examples=200, deadline=None)
@given(OCTET, OCTET, OCTET, OCTET)
def test_an_address_inside_an_ipv6_address_is_no_more_public_than_itself(a: int, b: int, c: int, d: int) -> None:
    plain = read(f"http://{a}.{b}.{c}.{d}/")
    for around in ("[::ffff:{}.{}.{}.{}]", "[64:ff9b::{}.{}.{}.{}]"):
        said = read(f"http://{around.format(a, b, c, d)}/")
        assert isinstance(said, dict) and isinstance(plain, dict)
        assert plain["network"] == "public" or said["network"] != "public"


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40), st.sampled_from(["", "https://", "http://[", "https://a@"]))
def test_any_text_is_read_or_unreadable(text: str, start: str) -> None:
    read(start + text)
