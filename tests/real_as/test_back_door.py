"""Behind the gateway: tokens of its own and tokens exchanged for the user, at servers that check them; never the client's."""

import asyncio
import json
from typing import Any

import httpx2
import jwt

from tests.flows.running import run, soon
from tests.flows.running import said as message
from tests.real_as.by_hand import logged_in as by_hand
from tests.real_as.conftest import Town
from tests.real_as.house import Bearer, text
from tests.real_as.person import Person
from tests.real_as.provider import VERA, WALT
from tests.real_as.sdk import Kept, logged_in, said


def seen(town: Town, backend: str) -> list[dict[str, Any]]:
    """The claims of every token that was ever sent to a backend."""
    sent = httpx2.get(f"{town.behind[backend].removesuffix('/mcp')}/seen", timeout=10).json()
    tokens = [each.removeprefix("Bearer ") for each in sent]
    return [jwt.decode(each, options={"verify_signature": False}) for each in dict.fromkeys(tokens) if each]


async def told(town: Town, name: str, backend: str, kept: Kept | None = None) -> dict[str, Any]:
    """What the backend's tool says of the token that reached it, when a person calls."""
    async with logged_in(town.gateway.surface("behind"), Person(name), kept=kept) as client:
        words, failed = said(await client.call_tool(f"{backend}__whoami", {}))
        assert not failed, words
        answer: dict[str, Any] = json.loads(words)
        return answer


def test_a_backend_with_client_credentials_meets_the_gateway_whoever_asks(town: Town) -> None:
    async def main() -> None:
        for name in (VERA, WALT):
            claims = await told(town, name, "service")
            assert (claims["sub"], claims["client_id"], claims["aud"]) == ("gateway", "gateway", town.behind["service"])

    run(main())
    assert {each["sub"] for each in seen(town, "service")} == {"gateway"}


def test_a_backend_with_token_exchange_meets_each_user_and_who_acts_for_them(town: Town) -> None:
    """https://www.rfc-editor.org/rfc/rfc8693"""
    kept = {VERA: Kept(), WALT: Kept()}

    async def main() -> None:
        both = await asyncio.gather(*(told(town, name, "exchanged", kept[name]) for name in kept))
        for name, claims in zip(kept, both, strict=True):
            expected = (name, {"sub": "gateway"}, town.behind["exchanged"], "deploy:read")
            assert (claims["sub"], claims["act"], claims["aud"], claims["scope"]) == expected

    run(main())
    theirs = {
        jwt.decode(token.access_token, options={"verify_signature": False})["jti"]
        for each in kept.values()
        for token in each.tokens
    }
    for backend in town.behind:
        assert not theirs & {each["jti"] for each in seen(town, backend)}  # the client's own token never went there
        assert {each["aud"] for each in seen(town, backend)} == {town.behind[backend]}


def test_while_the_provider_is_down_an_exchanged_token_serves_its_own_user_and_nobody_else(town: Town) -> None:
    behind = town.gateway.surface("behind")
    vera, walt = (by_hand(town, name, behind, "deploy:read")["access_token"] for name in (VERA, WALT))
    with Bearer(behind) as client:
        assert json.loads(text(client.call(vera, "exchanged__whoami")))["sub"] == VERA
        before = seen(town, "exchanged")
        town.provider.kill()
        try:
            assert json.loads(text(client.call(vera, "exchanged__whoami")))["sub"] == VERA
            answer = message(client.call(walt, "exchanged__whoami"))  # as whom nothing can be listed now
            assert (answer["error"]["code"], answer["error"]["message"]) == (-32602, "Unknown tool: exchanged__whoami")
            assert seen(town, "exchanged") == before
        finally:
            town.provider.start()
        soon(lambda: "result" in message(client.call(walt, "exchanged__whoami")))
        assert json.loads(text(client.call(walt, "exchanged__whoami")))["sub"] == WALT
