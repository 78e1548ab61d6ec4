"""The official client, knowing only the gateway's URL, finds the provider, registers, logs in, calls, is refused, steps up.

https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization
"""

import ssl
from collections.abc import Iterator

import jwt
import pytest
import trustme
from pytest_httpserver import HTTPServer

from tests.flows.running import run
from tests.real_as.conftest import Town
from tests.real_as.house import DEPLOY
from tests.real_as.person import REDIRECT_URI, Person
from tests.real_as.provider import ANN, ERIN
from tests.real_as.sdk import Kept, Seen, logged_in, said

WELL_KNOWN = "/.well-known/oauth-protected-resource/mcp"


@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_a_client_that_knows_only_the_url_logs_in_calls_is_refused_steps_up_and_succeeds(town: Town, era: str) -> None:
    erin, kept, seen = Person(ERIN), Kept(), Seen()

    async def main() -> None:
        async with logged_in(town.gateway.url, erin, kept=kept, seen=seen, era=era) as client:
            names = [tool.name for tool in (await client.list_tools()).tools]
            assert names == [f"deploy__{name}" for name in ("deploy", "restart", "service_log", "services")]
            assert said(await client.call_tool("deploy__services", {})) == ("billing", False)
            assert erin.pages == ["login", "consent"]
            assert said(await client.call_tool("deploy__deploy", DEPLOY)) == ("web 1.4.2 is live in staging", False)
            assert erin.pages == ["login", "consent", "consent"]  # asked for the further scope only

    run(main())
    at_the_gateway = seen.paths(town.gateway.url.removesuffix("/mcp"))
    assert at_the_gateway[:2] == [("/mcp", 401), (WELL_KNOWN, 200)]
    assert [status for path, status in at_the_gateway if path == "/mcp" and status >= 400] == [401, 403]
    at_the_provider = seen.paths(town.provider.issuer)
    assert at_the_provider == [
        ("/.well-known/oauth-authorization-server", 200),
        ("/reg", 201),
        ("/token", 200),
        ("/token", 200),
    ]
    first, second = (jwt.decode(each.access_token, options={"verify_signature": False}) for each in kept.tokens)
    assert (first["scope"], set(second["scope"].split())) == ("deploy:read", {"deploy:read", "deploy:write"})
    assert first["aud"] == second["aud"] == town.gateway.url
    assert kept.client is not None and first["client_id"] == kept.client.client_id
    line = [line for line in town.gateway.audit() if line["type"] == "outcome"][-1]
    assert (line["outcome"], line["item"]["id"], line["agent"]) == ("ok", "deploy__deploy", kept.client.client_id)
    assert (line["subject"]["type"], line["subject"]["issuer"], line["subject"]["id"]) == ("user", town.provider.issuer, ERIN)


def test_stepping_up_gives_nobody_what_the_policy_denies_for_another_reason(town: Town) -> None:
    """An engineer with every scope is still not the release team; an analyst does not even see the tool."""
    erin, ann = Person(ERIN), Person(ANN)

    async def main() -> None:
        async with logged_in(town.gateway.url, erin) as client:
            answer = said(await client.call_tool("deploy__deploy", {**DEPLOY, "environment": "production"}))
            assert answer[1] and "release" in answer[0]
        async with logged_in(town.gateway.url, ann) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == ["deploy__services"]

    run(main())
    assert ann.pages == ["login", "consent"]


def test_a_client_whose_token_ran_out_renews_it_without_its_person(town: Town) -> None:
    erin, kept = Person(ERIN), Kept()

    async def main() -> None:
        async with logged_in(town.gateway.url, erin, kept=kept) as client:
            while len(kept.tokens) < 3:
                assert said(await client.call_tool("deploy__services", {})) == ("billing", False)

    town.provider.change(token_ttl_s=1)
    try:
        run(main())
    finally:
        town.provider.change(token_ttl_s=600)
    assert erin.pages == ["login", "consent"]
    assert len({each.access_token for each in kept.tokens}) == 3


def test_a_person_does_not_notice_that_the_provider_was_away(town: Town) -> None:
    erin, kept = Person(ERIN), Kept()

    async def main() -> None:
        async with logged_in(town.gateway.url, erin, kept=kept) as client:
            assert said(await client.call_tool("deploy__services", {})) == ("billing", False)
            town.provider.kill()
            town.provider.start()
            while len(kept.tokens) < 3:  # renewed with what the provider has kept
                assert said(await client.call_tool("deploy__services", {})) == ("billing", False)

    town.provider.change(token_ttl_s=1)
    try:
        run(main())
    finally:
        town.provider.change(token_ttl_s=600)
    assert erin.pages == ["login", "consent"]


@pytest.fixture
def documents(authority: trustme.CA) -> Iterator[HTTPServer]:
    """A web server of the client's maker, over TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with HTTPServer("127.0.0.1", ssl_context=context) as server:
        yield server


def test_a_client_with_a_metadata_document_needs_no_registration(town: Town, documents: HTTPServer) -> None:
    """https://datatracker.ietf.org/doc/draft-ietf-oauth-client-id-metadata-document/: its client id is the document's URL."""
    url = documents.url_for("/assistant.json")
    document = {
        "client_id": url,
        "client_name": "The tests' assistant",
        "redirect_uris": [REDIRECT_URI],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
    }
    documents.expect_request("/assistant.json").respond_with_json(document)
    erin, kept, seen = Person(ERIN), Kept(), Seen()

    async def main() -> None:
        async with logged_in(town.gateway.url, erin, kept=kept, seen=seen, document=url) as client:
            assert said(await client.call_tool("deploy__services", {})) == ("billing", False)
            assert said(await client.call_tool("deploy__deploy", DEPLOY)) == ("web 1.4.2 is live in staging", False)

    run(main())
    assert town.gateway.audit()[-1]["agent"] == url
    assert [path for path, _ in seen.paths(town.provider.issuer)] == [
        "/.well-known/oauth-authorization-server",
        "/token",
        "/token",
    ]
