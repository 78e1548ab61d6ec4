"""Who watches a URI is found by it and by the URIs above it, and forgotten when it watches no more."""

import pytest

from gateway.exchange.places import MAX_LEVELS, Places

DEEP = "doc:/" + "/x" * (MAX_LEVELS + 1)


@pytest.mark.parametrize(
    ("watched", "told", "concerned"),
    [
        ("doc://a", "doc://a", True),
        ("doc://a", "doc://a/", True),
        ("doc://a", "doc://a/b/c", True),
        ("doc://a", "doc://ab", False),
        ("doc://a", "doc://", False),
        ("doc://a/", "doc://a", False),
        ("doc://a/", "doc://a/", True),
        ("doc://a/", "doc://a/b", True),
        ("doc://a//", "doc://a/b", True),
        ("doc://", "doc://a", True),
        ("plain", "plain", True),
        ("plain", "plain/1", True),
        ("plain", "plainer", False),
        (DEEP, DEEP, True),
        (DEEP, f"{DEEP}/below", False),
        ("doc://x/x", DEEP, True),
    ],
)
def test_a_uri_concerns_who_watches_it_or_one_above_it(watched: str, told: str, concerned: bool) -> None:
    places: Places[str] = Places()
    places.add(("crm", watched), "me")
    places.add(("other", watched), "somebody")
    assert places.concerned("crm", told) == ({"me": watched} if concerned else {})


def test_a_watcher_is_named_once_with_the_nearest_that_it_watches() -> None:
    places: Places[str] = Places()
    for uri in ("doc://a/b", "doc://a"):
        places.add(("crm", uri), "me")
    places.add(("crm", "doc://a"), "you")
    assert places.concerned("crm", "doc://a/b/c") == {"me": "doc://a/b", "you": "doc://a"}


def test_what_nobody_watches_any_more_is_forgotten() -> None:
    places: Places[str] = Places()
    for who in ("me", "you"):
        for uri in ("doc://a", "doc://a/"):
            places.add(("crm", uri), who)
    places.discard(("crm", "doc://a"), "me")
    assert (places.concerned("crm", "doc://a"), len(places)) == ({"you": "doc://a"}, 3)
    for who in ("me", "you", "nobody"):
        for uri in ("doc://a", "doc://a/", "doc://other"):
            places.discard(("crm", uri), who)
    assert (places.concerned("crm", "doc://a"), len(places)) == ({}, 0)
