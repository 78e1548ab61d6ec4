"""What the links of one result may cost, and what becomes of those that nobody judged."""

import asyncio
import json
from typing import Any, cast

from gateway.catalog.items import read_items
from gateway.catalog.merge import Catalog, part_of
from gateway.catalog.surface import SurfaceSpec, View, view
from gateway.exchange.draft import Draft
from gateway.exchange.links import MOST_LINKS, judged
from gateway.exchange.parts import Exchange, Ports
from gateway.exchange.standing import Standings
from gateway.exchange.target import resolve
from gateway.model import Caller, Identity, Json, JsonObject, Listing, Message, Subject
from gateway.policy.contract import VERSION_1
from gateway.ports import Verdict
from gateway.wire.methods import find
from tests.exchange.ports import ports

CALLER = Caller(Subject("user", Identity("urn:keys", "ada"), "api_key"), None, "127.0.0.1")
CALL = Message("modern", "2026-07-28", "tools/call", {"name": "crm__act", "arguments": {}}, id=1)


class World:
    """A policy that shows everything but what is secret, and counts what it is asked about."""

    contract, revision = VERSION_1, "r1"

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.undecided_causes: list[str] = []

    # as decider
    async def decide(self, document: bytes) -> Verdict:
        resources = json.loads(document)["input"]["resources"]
        self.asked.append(len(resources))
        visible: list[Json] = [at for at, each in enumerate(resources) if "secret" not in each["uri"]]
        said: JsonObject = {"version": 1, "visible": visible, "allowed": [], "granted_by": {"org/all": visible}}
        nothing: JsonObject = {"hidden_by": {}, "denials": [], "obligations": [], "observed": {}, "waived": []}
        return Verdict({**said, **nothing}, "r1")

    # as meter
    def undecided(self, *, cause: str) -> None:
        self.undecided_causes.append(cause)

    def decision(self, **told: object) -> None:
        """Counted."""

    async def judged(self, seen: View, draft: Draft, uris: list[str]) -> list[str]:
        """The links that stay of a tool's result, under their public names."""
        method = find("tools/call", "modern")
        assert method is not None
        x = Exchange("e", CALL, method, CALLER, seen, None, 0)
        content: list[Json] = [{"type": "resource_link", "name": "n", "uri": uri} for uri in uris]
        async with asyncio.timeout(20):
            result: Any = await judged(self.ports(), x, draft, resolve(seen, method, CALL), {"content": content})
        return [each["uri"] for each in result["content"]]

    def ports(self) -> Ports:
        return ports(self, Standings(lambda caller, surface: True, lambda: self.revision))


def surface(*templates: str) -> View:
    tools: tuple[Json, ...] = ({"name": "act", "inputSchema": {"type": "object"}},)
    offered: tuple[Json, ...] = tuple({"uriTemplate": each, "name": each} for each in templates)
    items = {
        "tool": read_items(Listing("crm", "tool", cast(Any, tools), "modern"))[0],
        "resource_template": read_items(Listing("crm", "resource_template", cast(Any, offered), "modern"))[0],
    }
    return view(Catalog({"crm": part_of("crm", cast(Any, items), {}, at_ns=0)}, ()), SurfaceSpec("default", ("crm",)))


def test_links_beyond_the_bound_are_withheld_as_hidden_ones_are_and_recorded_as_undecided() -> None:
    world, draft = World(), Draft()
    uris = ["note://secret", *(f"note://{number}" for number in range(MOST_LINKS + 500))]
    stay = asyncio.run(world.judged(surface(), draft, [*uris, *uris]))
    within = [f"gw-crm+{uri}" for uri in uris[1:MOST_LINKS]]
    assert stay == [*within, *within]
    assert sum(world.asked) == MOST_LINKS
    assert [(phase, cause) for _, phase, cause in draft.undecided_by] == [("list", "too_large")]
    assert world.undecided_causes == ["too_large"]


def test_as_many_links_as_the_bound_allows_are_all_judged() -> None:
    world, draft = World(), Draft()
    uris = [f"note://{number}" for number in range(MOST_LINKS)]
    assert asyncio.run(world.judged(surface("note://{id}"), draft, uris)) == [f"gw-crm+{uri}" for uri in uris]
    assert (sum(world.asked), draft.undecided_by, world.undecided_causes) == (MOST_LINKS, [], [])


def test_others_get_their_turn_while_many_links_are_tried_against_many_templates() -> None:
    async def main() -> int:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        taking = asyncio.ensure_future(others())
        seen = surface(*(f"note://{{a}}/{{b}}/{number}" for number in range(499)))
        stay = await world.judged(seen, Draft(), [f"note://a/b/{number}" for number in range(400)])
        taking.cancel()
        assert len(stay) == 400
        return turns

    world = World()
    assert asyncio.run(main()) >= 20  # 400 links at 500 tries each, 10,000 at a stretch
