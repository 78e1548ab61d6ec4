"""Browser pages: what a listed origin may send and read, and that no other page learns anything."""

import pytest

from gateway.front.cors import asks_first, preflight
from gateway.wire.head import Head

ASKED = (("origin", "https://app.example.com"), ("access-control-request-method", "POST"))


def test_a_page_may_send_what_mcp_needs_and_no_more() -> None:
    asked = "authorization, mcp-param-city, X-Secret, mcp-param-, mcp-param-a b, Mcp-Param-Zip"
    head = Head("OPTIONS", "/mcp", (*ASKED, ("access-control-request-headers", asked)))
    assert preflight(head, "X-End-User") == {
        "allow": "GET, POST, DELETE, OPTIONS",
        "access-control-allow-methods": "GET, POST, DELETE, OPTIONS",
        "access-control-allow-headers": "Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Session-Id, Mcp-Method, "
        "Mcp-Name, DPoP, Last-Event-ID, X-End-User, mcp-param-city, mcp-param-zip",
        "access-control-max-age": "600",
    }


@pytest.mark.parametrize(
    ("method", "lines", "asks"),
    [
        ("OPTIONS", ASKED, True),
        ("OPTIONS", ASKED[:1], False),
        ("OPTIONS", ASKED[1:], False),
        ("POST", ASKED, False),
    ],
)
def test_a_preflight_names_its_page_and_the_method_it_wants(method: str, lines: tuple[tuple[str, str], ...], asks: bool) -> None:
    assert asks_first(Head(method, "/mcp", lines)) is asks
