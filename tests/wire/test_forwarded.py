"""Who is behind a proxy: only what trusted addresses wrote is believed, and nothing that a caller sends moves that line."""

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.wire.forwarded import Header, Network, address, caller

PROXIES: tuple[Network, ...] = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))
PROXY = ipaddress.ip_address("10.0.0.7")


def said(*values: str, header: Header = "x-forwarded-for", peer: str = "10.0.0.7") -> str:
    return str(caller(ipaddress.ip_address(peer), [(header, value) for value in values], PROXIES, header=header))


@pytest.mark.parametrize(
    ("values", "source"),
    [
        pytest.param([], "10.0.0.7", id="nothing_said"),
        pytest.param(["192.0.2.1"], "192.0.2.1", id="one_hop"),
        pytest.param(["192.0.2.1, 10.9.9.9"], "192.0.2.1", id="two_proxies"),
        pytest.param(["6.6.6.6, 192.0.2.1"], "192.0.2.1", id="the_caller_says_it_is_somebody_else"),
        pytest.param(["6.6.6.6", "192.0.2.1"], "192.0.2.1", id="in_two_lines"),
        pytest.param(["10.1.1.1, 192.0.2.1"], "192.0.2.1", id="the_caller_says_it_is_a_proxy"),
        pytest.param(["10.1.1.1, 10.2.2.2"], "10.1.1.1", id="from_inside"),
        pytest.param(["192.0.2.1:4711"], "192.0.2.1", id="with_a_port"),
        pytest.param(["[2001:db8::1]:4711"], "2001:db8::1", id="ipv6_with_a_port"),
        pytest.param(["2001:db8::1"], "2001:db8::1", id="ipv6"),
        pytest.param(["::ffff:192.0.2.1"], "192.0.2.1", id="mapped"),
        pytest.param(["::ffff:10.1.1.1"], "10.1.1.1", id="mapped_proxy"),
        pytest.param(["192.0.2.1, unknown"], "10.0.0.7", id="unreadable"),
        pytest.param(["192.0.2.1, unknown, 10.9.9.9"], "10.9.9.9", id="unreadable_in_between"),
        pytest.param(["192.0.2.1,"], "10.0.0.7", id="empty"),
        pytest.param(["fe80::1%eth0"], "10.0.0.7", id="zone"),
    ],
)
def test_the_caller_is_the_right_most_address_that_is_no_proxy(values: list[str], source: str) -> None:
    assert said(*values) == source


@pytest.mark.parametrize(
    ("values", "source"),
    [
        pytest.param(["for=192.0.2.1"], "192.0.2.1", id="plain"),
        pytest.param(['For="[2001:db8::1]:4711";proto=https'], "2001:db8::1", id="quoted"),
        pytest.param(["for=6.6.6.6, for=192.0.2.1;by=10.0.0.7;proto=https"], "192.0.2.1", id="two_hops"),
        pytest.param(["proto=https;for=192.0.2.1"], "192.0.2.1", id="any_order"),
        pytest.param(['for="6.6.6.6, for=192.0.2.1'], "192.0.2.1", id="a_quotation_mark_left_open"),
        pytest.param(["for=_hidden"], "10.0.0.7", id="obfuscated"),
        pytest.param(["proto=https"], "10.0.0.7", id="no_for"),
    ],
)
def test_forwarded_is_read_alike(values: list[str], source: str) -> None:
    """https://www.rfc-editor.org/rfc/rfc7239#section-4"""
    assert said(*values, header="forwarded") == source


def test_from_anybody_else_the_header_is_ignored() -> None:
    assert said("192.0.2.1", peer="203.0.113.5") == "203.0.113.5"


def test_the_other_header_is_not_believed() -> None:
    assert str(caller(PROXY, [("forwarded", "for=192.0.2.1")], PROXIES, header="x-forwarded-for")) == "10.0.0.7"


@pytest.mark.parametrize(
    "text", ["", "1", "192.0.2", "192.0.2.1:", "192.0.2.1:x", "[::1", "::1]", "[192.0.2.1", "\u0661.1.1.1", "a.b:80"]
)
def test_what_is_no_address_is_none(text: str) -> None:
    assert address(text) is None


ELEMENTS = st.one_of(st.text(max_size=20), st.ip_addresses().map(str), st.sampled_from(["unknown", '"', "for=", "10.0.0.1", ","]))


@given(st.lists(ELEMENTS, max_size=6), st.sampled_from(["x-forwarded-for", "forwarded"]))
@settings(max_examples=150)
def test_nothing_in_front_of_what_the_proxy_wrote_changes_who_the_caller_is(before: list[str], header: Header) -> None:
    own = "192.0.2.1" if header == "x-forwarded-for" else "for=192.0.2.1"
    assert said(*before, own, header=header) == "192.0.2.1"
    assert said(", ".join((*before, own)), header=header) == "192.0.2.1"
