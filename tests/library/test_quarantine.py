"""What changed after review is hidden by the shipped policies, whatever changed: real fingerprints, asked of a real OPA."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.catalog.fingerprint import fingerprint
from tests.library.quarantine import HOSTILE, INNOCENT, REVIEWED
from tests.policies.conftest import opa_binary, serve  # noqa: F401 — fixtures
from tests.policies.demo import PINNED, ROOT, Opa, asked, pinned, resource


@pytest.fixture(scope="module")
def opa(serve: Callable[[Path], Opa], tmp_path_factory: pytest.TempPathFactory) -> Opa:  # noqa: F811
    items = {"crm": {"tool": {"search": {"fingerprint": fingerprint(REVIEWED), "labels": ["safe"]}}}}
    policies = pinned(tmp_path_factory.mktemp("quarantine"), items=items, blocks=[])
    told = policies / "mcp/facts/data.yaml"
    told.write_text(told.read_text().replace(PINNED, fingerprint(REVIEWED)))
    return serve(policies)


def hides(opa: Opa, definition: dict[str, Any], phase: str, groups: tuple[str, ...] = ("analysts",)) -> bool:
    item = resource("tool", "crm", "search") | {"fingerprint": fingerprint(definition)}
    return "org/reviewed" in opa.decide(asked(list(groups), [item], phase))["hidden_by"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_changed_definition_is_hidden_in_lists_and_calls(opa: Opa, name: str) -> None:
    assert HOSTILE[name] != REVIEWED or str(HOSTILE[name]) != str(REVIEWED)
    assert [hides(opa, HOSTILE[name], phase) for phase in ("list", "request")] == [True, True]


@pytest.mark.parametrize("name", INNOCENT)
def test_what_is_still_the_same_is_not(opa: Opa, name: str) -> None:
    assert [hides(opa, INNOCENT[name], phase) for phase in ("list", "request")] == [False, False]


def test_a_reviewer_sees_what_is_to_be_reviewed(opa: Opa) -> None:
    assert not hides(opa, next(iter(HOSTILE.values())), "list", ("reviewers",))


def test_an_item_that_nobody_has_seen_is_hidden(opa: Opa) -> None:
    new = resource("tool", "crm", "brand_new") | {"fingerprint": fingerprint(REVIEWED)}
    assert opa.decide(asked(["analysts"], [new]))["hidden_by"]["org/reviewed"] == [0]


def test_the_attacks_are_many_and_the_page_is_there() -> None:
    assert len(HOSTILE) >= 20
    assert len(INNOCENT) >= 10
    assert "test_a_changed_definition_is_hidden_in_lists_and_calls" in (ROOT / "docs/policy/rules/reviewed.md").read_text()
