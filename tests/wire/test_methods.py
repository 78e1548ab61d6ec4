"""The one method table."""

from gateway.wire.methods import METHODS, find

BOTH_ERAS = {
    "tools/list",
    "tools/call",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "completion/complete",
}
MODERN = {"server/discover", "subscriptions/listen"}
LEGACY = {"initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"}


def test_the_table_holds_these_methods_and_no_other() -> None:
    assert {each.name for each in METHODS if "modern" in each.eras} == BOTH_ERAS | MODERN
    assert {each.name for each in METHODS if "legacy" in each.eras} == BOTH_ERAS | LEGACY


def test_a_method_is_found_in_its_own_eras_only() -> None:
    assert [find("ping", "modern"), find("server/discover", "legacy"), find("Ping", "legacy"), find("", "modern")] == [None] * 4
    assert {find(each.name, era) for each in METHODS for era in each.eras} == set(METHODS)


def test_results_that_clients_may_keep_are_those_of_the_specification() -> None:
    assert {each.name for each in METHODS if each.cacheable} == {
        "server/discover",
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        "resources/read",
    }


def test_every_list_names_its_items_and_the_member_they_are_in() -> None:
    assert {each.name: (each.item_type, each.list_key) for each in METHODS if each.kind == "list"} == {
        "tools/list": ("tool", "tools"),
        "prompts/list": ("prompt", "prompts"),
        "resources/list": ("resource", "resources"),
        "resources/templates/list": ("resource_template", "resourceTemplates"),
    }
