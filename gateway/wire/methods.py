"""THE method table: what is not in it does not cross the gateway."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gateway.model import Era, ItemType

Kind = Literal["local", "list", "item", "subscribe", "listen"]
BOTH: tuple[Era, ...] = ("modern", "legacy")


@dataclass(frozen=True, slots=True)
class Method:
    """One method, and how the gateway treats it."""

    name: str
    eras: tuple[Era, ...]
    kind: Kind
    item_type: ItemType | None = None  # what it lists or is about; completion: by its reference
    list_key: str = ""  # member of a list's result
    name_param: Literal["name", "uri"] | None = None  # mirrored as Mcp-Name in the modern era, where it is mirrored
    cacheable: bool = False  # its modern result carries ttlMs and cacheScope


METHODS = (
    Method("server/discover", ("modern",), "local", cacheable=True),
    Method("initialize", ("legacy",), "local"),
    Method("ping", ("legacy",), "local"),
    Method("logging/setLevel", ("legacy",), "local"),
    Method("tools/list", BOTH, "list", "tool", "tools", cacheable=True),
    Method("tools/call", BOTH, "item", "tool", name_param="name"),
    Method("prompts/list", BOTH, "list", "prompt", "prompts", cacheable=True),
    Method("prompts/get", BOTH, "item", "prompt", name_param="name"),
    Method("resources/list", BOTH, "list", "resource", "resources", cacheable=True),
    Method("resources/templates/list", BOTH, "list", "resource_template", "resourceTemplates", cacheable=True),
    Method("resources/read", BOTH, "item", "resource", name_param="uri", cacheable=True),
    Method("resources/subscribe", ("legacy",), "subscribe", "resource", name_param="uri"),
    Method("resources/unsubscribe", ("legacy",), "subscribe", "resource", name_param="uri"),
    Method("completion/complete", BOTH, "item"),
    Method("subscriptions/listen", ("modern",), "listen"),
)
_BY_NAME: Mapping[tuple[str, Era], Method] = {(each.name, era): each for each in METHODS for era in each.eras}


def find(name: str, era: Era) -> Method | None:
    return _BY_NAME.get((name, era))
