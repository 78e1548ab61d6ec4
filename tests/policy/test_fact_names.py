"""What texts in the facts name is found where their schema says so, with the line where it stands."""

import pytest

from gateway.model import JsonObject
from gateway.policy.fact_names import Named, item_labels, named

SCHEMA: JsonObject = {
    "properties": {
        "settings": {
            "additionalProperties": {
                "properties": {
                    "labels": {"propertyNames": {"x-names": "label", "x-besides": ["rest"]}, "additionalProperties": {}},
                    "kept": {"items": {"type": "string", "x-names": "label"}},
                    "zone": {"x-names": "zone"},
                    "word": {"type": "string"},
                }
            }
        }
    }
}
MAIN = "mcp/facts/data.yaml"
APART = "mcp/facts/settings/windows/data.yaml"
TEXTS = {
    MAIN: "version: 1\nitems:\n  crm:\n    tool:\n      a: {labels: [safe, payments]}\n      b: {}\n",
    APART: "labels:\n  payments: {}\n  rest: {}\nkept:\n  - personal\nzone: UTC\nword: nothing\n",
}


def test_labels_are_members_or_values_wherever_the_schema_says_so() -> None:
    assert set(named(TEXTS, SCHEMA, "label")) == {
        Named("payments", "settings.windows.labels.payments", APART, 2),
        Named("personal", "settings.windows.kept.0", APART, 5),
    }


def test_other_things_are_apart() -> None:
    assert named(TEXTS, SCHEMA, "zone") == (Named("UTC", "settings.windows.zone", APART, 6),)
    assert named(TEXTS, {}, "zone") == named(TEXTS, {"properties": True}, "label") == ()


def test_labels_of_items_are_told_with_their_item() -> None:
    assert item_labels(TEXTS) == (
        Named("safe", "items.crm.tool.a.labels.0", MAIN, 5),
        Named("payments", "items.crm.tool.a.labels.1", MAIN, 5),
    )


def test_facts_that_were_not_checked_are_refused() -> None:
    with pytest.raises(ValueError, match="was not checked"):
        item_labels({MAIN: "- a list\n"})
