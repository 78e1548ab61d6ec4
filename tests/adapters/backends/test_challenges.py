"""A backend that wants the client to log in somewhere, in each way that a body allows: none of it gets past the gateway."""

import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.adapters.backends import StdioSpec
from gateway.adapters.backends.challenges import PLAIN
from gateway.model import Answer, Era, Fault
from tests.adapters.backends.scripted import (
    Received,
    backends,
    failure,
    http,
    legacy,
    messages,
    modern,
    run,
    scripted,
    tool_call,
)

CHALLENGE = 'Bearer resource_metadata="https://evil.test/.well-known/oauth-protected-resource"'
ERAS = pytest.mark.parametrize(("era", "front"), [("modern", modern), ("legacy", legacy)])


@pytest.mark.parametrize("status", [401, 402, 403, 407])
@ERAS
def test_an_error_with_a_status_that_asks_who_we_are_stays_behind(era: Era, front: Any, status: int) -> None:
    async def refuses(received: Received) -> None:
        received.error(1234, "log in first", status)

    async def main() -> None:
        async with scripted(front(refuses)) as server, backends(http(server)) as behind:
            assert await failure(behind, tool_call()) == ("unauthorized", False)
            assert len(server.of("tools/call")) == 1

    run(main())


@pytest.mark.parametrize("name", ["mcp/www_authenticate", "www_authenticate", "x/WWW-Authenticate", "wwwAuthenticate"])
@ERAS
def test_a_challenge_in_the_metadata_of_a_result_is_dropped_wherever_it_stands(era: Era, front: Any, name: str) -> None:
    meta, rest = {name: [CHALLENGE], "kept": 1}, {"_meta": {"kept": 1}}
    resource = {"uri": "x://y", "text": "t"}

    async def challenges(received: Received) -> None:
        embedded = {"type": "resource", "resource": {**resource, "_meta": meta}, "_meta": meta}
        received.result({"resultType": "complete", "content": [embedded], "isError": True, "_meta": meta})

    async def main() -> None:
        async with scripted(front(challenges)) as server, backends(http(server)) as behind:
            (answer,) = await messages(behind, tool_call())
            assert isinstance(answer, Answer)
            embedded = {"type": "resource", "resource": {**resource, **rest}, **rest}
            assert answer.result == {"resultType": "complete", "content": [embedded], "isError": True, **rest}

    run(main())


def test_a_challenge_whose_name_is_written_in_escapes_is_dropped_as_well() -> None:
    async def escapes(received: Received) -> None:
        received.raw(
            b'{"jsonrpc":"2.0","id":%d,"result":{"resultType":"complete","content":[],' % received.id
            + rb'"\u005fmeta":{"mcp/\u0077ww_authenticate":"Bearer"}}}'
        )

    async def main() -> None:
        async with scripted(modern(escapes)) as server, backends(http(server)) as behind:
            (answer,) = await messages(behind, tool_call())
            assert isinstance(answer, Answer)
            assert answer.result == {"resultType": "complete", "content": [], "_meta": {}}

    run(main())


def test_a_challenge_in_a_listed_item_is_dropped() -> None:
    item = {"name": "act", "inputSchema": {"type": "object"}}

    async def lists(received: Received) -> None:
        tool = {**item, "_meta": {"mcp/www_authenticate": CHALLENGE, "kept": 1}}
        received.result({"resultType": "complete", "tools": [tool], "ttlMs": 0, "cacheScope": "private"})

    async def main() -> None:
        async with scripted(modern(lists)) as server, backends(http(server)) as behind:
            listing = await behind.page("crm", "tool", None, None)
            assert listing.definitions == ({**item, "_meta": {"kept": 1}},)

    run(main())


SAID: dict[str, tuple[str, Any]] = {
    "the metadata's place in the message": ("go to resource_metadata = https://evil.test", None),
    "the header in the message": ("WWW-Authenticate: Custom x", None),
    "a bearer challenge": ('Bearer realm="evil", scope="all"', None),
    "one with a parameter of its own": ('bearer authorization_uri="https://evil.test"', None),
    "a DPoP challenge": ('DPoP error="use_dpop_nonce"', None),
    "the header among the data": ("failed", {"headers": [{"www-authenticate": "Custom x"}]}),
    "a challenge among the data": ("failed", {"why": [{"deep": CHALLENGE}]}),
    "the metadata's place among the data": ("failed", {"resource_metadata": "https://evil.test"}),
    "the header as a name in metadata": ("failed", {"hint": "www_authenticate"}),
}


@pytest.mark.parametrize("status", [200, 400, 418, 500])
@pytest.mark.parametrize("said", SAID.values(), ids=SAID)
def test_an_error_that_holds_a_challenge_says_nothing_of_it_whatever_its_status(said: tuple[str, Any], status: int) -> None:
    async def fails(received: Received) -> None:
        received.error(1234, said[0], status, said[1])

    async def main() -> None:
        async with scripted(modern(fails)) as server, backends(http(server)) as behind:
            assert await messages(behind, tool_call()) == [Fault(1234, PLAIN, None, "modern")]

    run(main())


def test_an_error_too_long_to_be_searched_that_may_hold_a_challenge_is_not_passed_on_either() -> None:
    async def fails(received: Received) -> None:
        received.error(1234, "basic " * 20_000)

    async def main() -> None:
        async with scripted(modern(fails)) as server, backends(http(server)) as behind:
            assert await messages(behind, tool_call()) == [Fault(1234, PLAIN, None, "modern")]

    run(main())


@pytest.mark.parametrize(
    ("said", "data"),
    [
        ("the bearer of this message = you", None),
        ("resource_metadata: field required", {"field": "x", "basic": {"realm": 1}}),
        ("Basic mode=fast is not known", ["bearer", "www"]),
    ],
)
def test_an_error_without_a_challenge_is_passed_on_as_it_is(said: str, data: Any) -> None:
    async def fails(received: Received) -> None:
        received.error(1234, said, 200, data)

    async def main() -> None:
        async with scripted(modern(fails)) as server, backends(http(server)) as behind:
            assert await messages(behind, tool_call()) == [Fault(1234, said, data, "modern")]

    run(main())


def test_a_process_of_our_own_may_not_challenge_either() -> None:
    place = str(Path(__file__).with_name("scripted_process.py"))
    spec = StdioSpec(name="crm", command=sys.executable, args=(place, "plain"))

    async def main() -> None:
        async with backends(spec) as behind:
            (answer,) = await messages(behind, tool_call("challenge"))
            assert isinstance(answer, Answer)
            assert answer.result == {"content": [], "_meta": {"kept": 1}}
            assert await messages(behind, tool_call("challenge_in_error")) == [Fault(1234, PLAIN, None, "legacy")]

    run(main())
