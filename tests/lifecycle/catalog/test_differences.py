"""What changed between two definitions, as a reader names it; nothing is left out, and nothing in a text can hide."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import settings as bounded
from hypothesis import strategies as some

from gateway.catalog.fingerprint import fingerprint
from gateway.lifecycle.catalog.differences import differences
from gateway.lifecycle.catalog.words import bracketed, changed_words, visible
from tests.lifecycle.catalog.running import tool

TEXT = {"type": "string"}


def told(before: dict[str, Any], now: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(each.area, each.how, each.about) for each in differences(before, now)]


def of(properties: dict[str, Any], *required: str, **more: Any) -> dict[str, Any]:
    return tool("find", properties, required, **more)


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        pytest.param(of({"a": TEXT}), of({"a": TEXT, "b": TEXT}), [("argument", "added", "b")], id="an argument more"),
        pytest.param(of({"a": TEXT}), of({}), [("argument", "removed", "a")], id="one less"),
        pytest.param(of({"a": TEXT}), of({"a": {"type": "integer"}}), [("argument", "retyped", "a")], id="another type"),
        pytest.param(of({"a": TEXT}), of({"a": TEXT}, "a"), [("argument", "required", "a")], id="now required"),
        pytest.param(of({"a": TEXT}, "a"), of({"a": TEXT}), [("argument", "optional", "a")], id="no longer required"),
        pytest.param(
            of({"a": {"type": "object", "properties": {"b": TEXT}}}),
            of({"a": {"type": "object", "properties": {"b": TEXT}, "required": ["b"]}}),
            [("argument", "required", "a.b")],
            id="within an object",
        ),
        pytest.param(
            of({"a": {"type": "array", "items": TEXT}}),
            of({"a": {"type": "array", "items": {"type": "integer"}}}),
            [("argument", "retyped", "a[]")],
            id="within a list",
        ),
        pytest.param(
            of({"a": TEXT}), of({"a": {**TEXT, "maxLength": 3}}), [("argument", "changed", "a: maxLength")], id="a bound"
        ),
        pytest.param(of({"a": TEXT}), of({"a": {**TEXT, "description": "A"}}), [("text", "added", "a")], id="an argument's text"),
        pytest.param(
            of({}, annotations={"readOnlyHint": True}),
            of({}, annotations={"readOnlyHint": False}),
            [("hint", "changed", "readOnlyHint")],
            id="a hint",
        ),
        pytest.param(of({}), of({}, annotations={"x": 1}), [("hint", "added", "annotations")], id="hints at all"),
        pytest.param(of({}), of({}, title="Find"), [("text", "added", "title")], id="a title"),
        pytest.param(
            of({}, outputSchema={"type": "object", "properties": {"n": TEXT}}),
            of({}, outputSchema={"type": "object", "properties": {"m": TEXT}}),
            [("result", "added", "m"), ("result", "removed", "n")],
            id="the result",
        ),
        pytest.param(of({}), of({}, icons=[]), [("member", "added", "icons")], id="a member nobody knows"),
        pytest.param(of({"a": {"const": 1}}), of({"a": {"const": True}}), [("argument", "retyped", "a")], id="true is not 1"),
        pytest.param(
            {"name": "p", "arguments": [{"name": "a"}, {"name": "b", "required": False}]},
            {"name": "p", "arguments": [{"name": "b", "required": True}, {"name": "c"}]},
            [("argument", "removed", "a"), ("argument", "required", "b"), ("argument", "added", "c")],
            id="a prompt's arguments",
        ),
    ],
)
def test_a_change_is_told_by_the_name_that_a_reader_knows(
    before: dict[str, Any], now: dict[str, Any], expected: list[tuple[str, str, str]]
) -> None:
    assert told(before, now) == expected


JSON = some.recursive(
    some.none()
    | some.booleans()
    | some.integers(-2, 2)
    | some.sampled_from([0.0, 1.0, -0.0])
    | some.sampled_from(["", "a", "b"]),
    lambda inner: (
        some.lists(inner, max_size=3)
        | some.dictionaries(
            some.sampled_from(["properties", "required", "type", "description", "items", "a", "b/c", "name"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
DEFINITIONS = some.dictionaries(
    some.sampled_from(["name", "description", "inputSchema", "outputSchema", "annotations", "arguments", "_meta", "x"]), JSON
)


@bounded(max_examples=300, deadline=None)
@given(DEFINITIONS, DEFINITIONS)
@example({"x": 1}, {"x": True})
@example({"x": 1}, {"x": 1.0})
@example({"x": [0.0]}, {"x": [-0.0]})
@example({"x": None}, {})
def test_two_definitions_differ_exactly_when_their_fingerprints_do(before: dict[str, Any], now: dict[str, Any]) -> None:
    before, now = {**before, "_meta": {}}, {**now, "_meta": {}}
    found = differences({k: v for k, v in before.items() if k != "_meta"}, {k: v for k, v in now.items() if k != "_meta"})
    assert bool(found) == (fingerprint(before) != fingerprint(now))


# --- texts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "now", "shown"),
    [
        ("Finds customers.", "Finds customers.", "Finds customers."),
        ("Finds customers.", "Finds all customers.", "Finds {+all +}customers."),
        ("Finds all customers.", "Finds customers.", "Finds [-all -]customers."),
        ("Finds.", "Loses.", "[-Finds-]{+Loses+}."),
        ("", "Finds.", "{+Finds.+}"),
        ("a b c d", "a x y d", "a [-b c-]{+x y+} d"),
        ("Finds  all.", "Finds all.", "Finds[-  -]{+ +}all."),
        ("a b c", "a  b  d", "a[- -]{+  +}b[- c-]{+  d+}"),
        ("a b c d e f g h i j k l m n.", "a b c d e f g h i j k l m n!", "… i j k l m n[-.-]{+!+}"),
        ("x", "x{+y+}", "x{+{\\+y+\\}+}"),
        ("x", "x\u202e\ny", "x{+\\u{202e}\\ny+}"),
    ],
)
def test_a_changed_text_is_one_line_with_its_changes_in_brackets(before: str, now: str, shown: str) -> None:
    assert bracketed(changed_words(before, now)) == shown


def test_a_text_too_long_to_compare_is_shown_as_removed_and_added() -> None:
    before, now = " ".join(map(str, range(5000))), " ".join(map(str, range(5000, 0, -1)))
    assert [each.kind for each in changed_words(before, now)] == ["removed", "added"]


def numbered(count: int, letter: str) -> list[str]:
    return [f"{letter}{number}" for number in range(count)]


@pytest.mark.parametrize(
    ("before", "now", "compared"),
    [
        pytest.param(["x", "b", *numbered(298, "a")], [*numbered(298, "c"), "b", "y"], True, id="as many words as are compared"),
        pytest.param(["x", "b", *numbered(299, "a")], [*numbered(298, "c"), "b", "y"], False, id="one more"),
        pytest.param(["x", *["b"] * 100, "z"], ["y", *["b"] * 100, "v"], True, id="as many pairs of equal words"),
        pytest.param(["x", *["b"] * 101, "z"], ["y", *["b"] * 100, "v"], False, id="more of them"),
        pytest.param([f"b{at % 7}" for at in range(1000)], numbered(1000, "a"), False, id="a thousand words with none in common"),
    ],
)
def test_what_is_compared_word_by_word_is_bounded_by_what_it_costs(before: list[str], now: list[str], compared: bool) -> None:
    kinds = [each.kind for each in changed_words(" ".join(before), " ".join(now))]
    assert ("same" in kinds) == compared
    assert set(kinds) >= {"removed", "added"}


@bounded(max_examples=200, deadline=None)
@given(
    some.text(max_size=40) | some.text("ab .", max_size=40),
    some.text(max_size=40) | some.text("ab .", max_size=40),
)
def test_no_word_is_lost_between_two_texts(before: str, now: str) -> None:
    pieces = changed_words(before, now)
    assert "".join(each.text for each in pieces if each.kind != "added") == before
    assert "".join(each.text for each in pieces if each.kind != "removed") == now
    assert bracketed(pieces).isprintable()


def test_characters_that_move_or_cover_others_are_written_out() -> None:
    assert visible("a\u0301\u200b\x1b[31m\u2066é顧\n") == "a\\u{301}\\u{200b}\\u{1b}[31m\\u{2066}é顧\\n"
