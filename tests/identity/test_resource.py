"""When two URIs are the same."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.identity.resource import normalised


@pytest.mark.parametrize(
    ("uri", "normal"),
    [
        ("https://h.example.com/mcp", "https://h.example.com/mcp"),
        ("HTTPS://H.Example.COM:443/mcp/", "https://h.example.com/mcp"),
        ("http://127.0.0.1:80/", "http://127.0.0.1"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080/mcp", "http://[::1]:8080/mcp"),
        ("https://h/MCP", "https://h/MCP"),
        ("https://h/%6Dcp", "https://h/%6Dcp"),
        ("https://h/mcp//", "https://h/mcp/"),
        ("https://h/a/../mcp", "https://h/a/../mcp"),
    ],
)
def test_only_what_cannot_matter_is_made_alike(uri: str, normal: str) -> None:
    assert normalised(uri) == normal


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "mcp",
        "/mcp",
        "//h/mcp",
        "ftp://h/mcp",
        "https://",
        "https:///mcp",
        "https://h/mcp?x",
        "https://h/mcp#x",
        "https://u@h/mcp",
        "https://h:port/mcp",
        "https://h:123456/mcp",
        "https://h/m cp",
        "https://h/mcp\n",
        "https://h\\mcp",
        "https://h/m\\cp",
        "https://h\u00e4/mcp",
        " https://h/mcp",
    ],
)
def test_what_is_no_plain_url_is_none(uri: str) -> None:
    assert normalised(uri) is None


@settings(max_examples=200)
@given(st.text(alphabet="htps:/.aB?#@[]%25\\ 0149\n", max_size=30).map(lambda rest: "https://h" + rest))
def test_the_normal_form_is_its_own(uri: str) -> None:
    normal = normalised(uri)
    assert normal is None or normalised(normal + "/") == normal
