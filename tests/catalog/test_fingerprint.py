"""Fingerprints: the same definition always has the same one, another definition another."""

from hashlib import sha256
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalog.fingerprint import fingerprint
from gateway.model import JsonObject

JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.sampled_from(["name", "title", "description", "inputSchema", "annotations", "execution", "icons", "unknown"])
DEFINITIONS = st.dictionaries(MEMBERS, JSON, min_size=1, max_size=5)


def turned(value: Any) -> Any:
    """The same value, every object's members in the opposite order."""
    if isinstance(value, dict):
        return {name: turned(inner) for name, inner in reversed(value.items())}
    return [turned(inner) for inner in value] if isinstance(value, list) else value


@given(DEFINITIONS)
def test_the_order_of_members_does_not_matter(definition: dict[str, Any]) -> None:
    assert fingerprint(turned(definition)) == fingerprint(definition)


@given(DEFINITIONS, st.data())
def test_any_change_of_a_part_that_is_read_changes_it(definition: dict[str, Any], data: Any) -> None:
    name = data.draw(st.sampled_from(sorted(definition)))
    other = data.draw(JSON)
    changed = {**definition, name: other}
    without = {each: value for each, value in definition.items() if each != name}
    same = msgspec.json.encode(other, order="sorted") == msgspec.json.encode(definition[name], order="sorted")
    assert (fingerprint(changed) == fingerprint(definition)) == same
    assert fingerprint(without) != fingerprint(definition)


@given(DEFINITIONS, st.dictionaries(st.text(max_size=4).filter(lambda name: name != "ui"), JSON, max_size=2))
def test_the_metadata_of_a_listing_does_not_count(definition: dict[str, Any], meta: dict[str, Any]) -> None:
    assert fingerprint({**definition, "_meta": meta}) == fingerprint(definition)


def test_another_user_interface_behind_a_reviewed_tool_is_another_tool() -> None:
    one: JsonObject = {"name": "chart", "_meta": {"ui": {"resourceUri": "ui://good"}, "seen": 1}}
    other: JsonObject = {"name": "chart", "_meta": {"ui": {"resourceUri": "ui://bad"}, "seen": 1}}
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint(one) == fingerprint({**one, "_meta": {"seen": 2, "ui": {"resourceUri": "ui://good"}}})


def test_the_fingerprint_of_a_known_definition_never_changes() -> None:
    # Reviewed facts hold these: a change of the algorithm would unmake every review.
    canonical = b'{"inputSchema":{"type":"object"},"name":"a"}'
    assert fingerprint({"name": "a", "inputSchema": {"type": "object"}}) == "sha256:" + sha256(canonical).hexdigest()
