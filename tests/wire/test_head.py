"""The head of a request: what is refused before a body is looked at."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Kind, Refusal
from gateway.wire.head import Head, check_accept, check_content_type, check_host, check_origin, head
from gateway.wire.limits import BodyLimits


def post(*headers: tuple[str, str]) -> Head:
    return Head("POST", "/mcp", headers)


def scope(*lines: tuple[bytes, bytes]) -> dict[str, object]:
    return {"type": "http", "method": "POST", "path": "/mcp", "headers": list(lines)}


def refused(kind: Kind) -> "pytest.RaisesExc[Refusal]":
    return pytest.RaisesExc(Refusal, check=lambda refusal: refusal.kind is kind)


def test_blanks_that_the_server_left_around_a_value_are_no_part_of_it() -> None:
    read = head(scope((b"MCP-Protocol-Version", b" 2026-07-28 \t "), (b"x", b"\xe9")), BodyLimits())
    assert read == Head("POST", "/mcp", (("mcp-protocol-version", "2026-07-28"), ("x", "\xe9")))


def test_a_header_over_the_limit_of_bytes_is_431() -> None:
    limits = BodyLimits(max_headers_bytes=10)
    head(scope((b"a", b"123456789")), limits)
    with pytest.raises(Refusal) as refusal:
        head(scope((b"a", b"1234567890")), limits)
    assert (refusal.value.status("modern"), refusal.value.message) == (431, "more than 10 bytes of headers")


def test_more_header_lines_than_the_limit_are_431() -> None:
    limits = BodyLimits(max_headers_count=2)
    head(scope((b"a", b""), (b"a", b"")), limits)
    with pytest.raises(Refusal) as refusal:
        head(scope((b"a", b""), (b"a", b""), (b"a", b"")), limits)
    assert (refusal.value.status("legacy"), refusal.value.message) == (431, "more than 2 header lines")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("mcp-protocol-version", Kind.HEADER_MISMATCH),
        ("mcp-method", Kind.HEADER_MISMATCH),
        ("mcp-name", Kind.HEADER_MISMATCH),
        ("mcp-session-id", Kind.INVALID_REQUEST),
        ("host", Kind.INVALID_REQUEST),
        ("origin", Kind.INVALID_REQUEST),
        ("content-type", Kind.INVALID_REQUEST),
        ("content-length", Kind.INVALID_REQUEST),
    ],
)
@pytest.mark.parametrize("second", ["a", "b"])
def test_a_header_that_may_come_once_is_refused_twice_also_when_both_agree(name: str, kind: Kind, second: str) -> None:
    with refused(kind):
        post((name, "a"), (name, second)).one(name)


def test_other_headers_may_come_often_and_the_first_is_read() -> None:
    assert (post(("x", "a"), ("x", "b")).one("x"), post().one("x")) == ("a", None)


LOCAL = ["localhost", "localhost:8080", "LocalHost:1", "127.0.0.1", "127.0.0.1:65535", "[::1]", "[::1]:8080"]
FOREIGN = [
    "evil.example",
    "localhost.evil.example",
    "evil.example:8080",
    "127.0.0.1.evil.example",
    "localhost:80:80",
    "localhost:",
    "localhost:port",
    "user@localhost",
    "localhost/..",
    "localhost, evil.example",
    "",
    "[::1",
    "::1",
    "0.0.0.0",
    "localhost\x00",
    "localhost#",
]


@pytest.mark.parametrize("value", LOCAL)
def test_loopback_is_a_host_and_an_origin_on_any_port(value: str) -> None:
    check_host(post(("host", value)), ())
    check_origin(post(("origin", f"http://{value}")), ())


@pytest.mark.parametrize("value", FOREIGN)
def test_a_page_that_rebinds_its_name_is_refused_by_host_and_by_origin(value: str) -> None:
    with refused(Kind.FORBIDDEN_ORIGIN):
        check_host(post(("host", value)), ())
    with refused(Kind.FORBIDDEN_ORIGIN):
        check_origin(post(("origin", f"http://{value}")), ())


@pytest.mark.parametrize("origin", ["null", "", "file://", "http://localhost/path", "ftp://localhost", "localhost", "http://["])
def test_an_origin_that_is_none_is_refused(origin: str) -> None:
    with refused(Kind.FORBIDDEN_ORIGIN):
        check_origin(post(("origin", origin)), ())


def test_a_missing_origin_is_fine_and_a_missing_host_is_not() -> None:
    check_origin(post(), ())
    with refused(Kind.FORBIDDEN_ORIGIN):
        check_host(post(), ())


def test_an_allowed_host_counts_on_any_port_unless_it_names_one() -> None:
    check_host(post(("host", "mcp.example.com:8443")), {"MCP.example.com"})
    check_host(post(("host", "mcp.example.com:8443")), {"mcp.example.com:8443"})
    with refused(Kind.FORBIDDEN_ORIGIN):
        check_host(post(("host", "mcp.example.com:1")), {"mcp.example.com:8443"})


def test_an_allowed_origin_counts_as_a_whole() -> None:
    check_origin(post(("origin", "https://App.example.com")), {"https://app.example.com"})
    for other in ("http://app.example.com", "https://app.example.com:444", "https://app.example.com.evil"):
        with refused(Kind.FORBIDDEN_ORIGIN):
            check_origin(post(("origin", other)), {"https://app.example.com"})


@given(st.text(max_size=30))
@settings(max_examples=200)
def test_any_text_is_a_known_host_or_a_refusal(value: str) -> None:
    for check, name in ((check_host, "host"), (check_origin, "origin")):
        try:
            check(post((name, value)), ("example.com",))
        except Refusal as refusal:
            assert refusal.kind is Kind.FORBIDDEN_ORIGIN


@pytest.mark.parametrize(
    "accept",
    [
        ["application/json, text/event-stream"],
        ["application/json", "text/event-stream"],
        ["Text/Event-Stream;q=0.5,APPLICATION/JSON;charset=utf-8"],
        ["*/*"],
        ["application/*, text/*;q=0.1"],
    ],
)
def test_a_post_that_accepts_both_forms_passes(accept: list[str]) -> None:
    check_accept(post(*(("accept", each) for each in accept)))


@pytest.mark.parametrize(
    "accept", [[], [""], ["application/json"], ["text/event-stream"], ["text/*"], ["application/json, text/event-stream;q=0"]]
)
def test_a_post_that_does_not_accept_both_forms_is_406(accept: list[str]) -> None:
    with pytest.raises(Refusal) as refusal:
        check_accept(post(*(("accept", each) for each in accept)))
    said = (refusal.value.status("modern"), refusal.value.message)
    assert said == (406, "Accept must list application/json and text/event-stream")


def test_a_get_needs_to_accept_the_stream_only() -> None:
    check_accept(Head("GET", "/mcp", (("accept", "text/event-stream"),)))
    with refused(Kind.NOT_ACCEPTABLE):
        check_accept(Head("GET", "/mcp", (("accept", "application/json"),)))


@pytest.mark.parametrize("value", ["application/json", "Application/JSON; charset=utf-8", "application/json;x=y"])
def test_json_is_a_content_type(value: str) -> None:
    check_content_type(post(("content-type", value), ("content-encoding", "Identity")))


@pytest.mark.parametrize("value", [None, "", "text/plain", "application/jsonp", "application/json-rpc", "text/json"])
def test_what_any_page_can_post_without_asking_is_415(value: str | None) -> None:
    with pytest.raises(Refusal) as refusal:
        check_content_type(post(("content-type", value)) if value is not None else post())
    assert (refusal.value.status("modern"), refusal.value.message) == (415, "Content-Type must be application/json")


def test_a_compressed_body_is_415() -> None:
    with refused(Kind.UNSUPPORTED_MEDIA_TYPE):
        check_content_type(post(("content-type", "application/json"), ("content-encoding", "gzip")))


def test_an_upgrade_to_h2c_is_refused_where_it_would_make_the_body_vanish() -> None:
    with refused(Kind.INVALID_REQUEST):
        check_content_type(post(("content-type", "application/json"), ("upgrade", "h2c")))
