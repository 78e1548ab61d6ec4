"""Tokens for backends: fetched once for all who wait, ahead of their end, for one subject alone, and dropped when refused."""

import asyncio
import base64
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.adapters.credentials.assertion import Signer
from gateway.adapters.credentials.client_credentials import ClientCredentials
from gateway.adapters.credentials.credential import Credential
from gateway.adapters.credentials.issued import IssuedTokens
from gateway.adapters.credentials.secret import Fixed
from gateway.adapters.credentials.signing import FixedKeys
from gateway.adapters.credentials.token_endpoint import Client
from gateway.adapters.credentials.token_exchange import Exchanging, TokenExchange
from gateway.adapters.discovery import Discovery, DiscoveryTimes
from gateway.adapters.fetching import Fetcher
from gateway.errors import BackendFailed
from gateway.identity.outbound import ACCESS_TOKEN, EXCHANGE, JWT_TOKEN, Wanted
from gateway.identity.private_keys import read_keys
from gateway.model import Caller, Identity
from tests.adapters.backends.scripted import Received, backends, done, eventually, failure, http, modern, run, scripted, text
from tests.adapters.issuing import CLIENT_SECRET, ISSUER, Asked, Clock, Issuing, asking, caller, endpoint, issuing

ANN, BOB = caller("ann"), caller("bob")
WANTED = Wanted(("read", "write"), "crm-audience", "https://crm.example.com/mcp")
MEMBERS = {"scope": "read write", "audience": "crm-audience", "resource": "https://crm.example.com/mcp"}


async def numbered(asked: Asked) -> None:
    asked.token(f"t{asked.writer.get_extra_info('peername')[1]}")


def counting(expires_in: Any = 3600) -> Callable[[Asked], Awaitable[None]]:
    """Issues t1, t2, …"""
    count = 0

    async def script(asked: Asked) -> None:
        nonlocal count
        count += 1
        asked.token(f"t{count}", expires_in)

    return script


def own(server: Issuing, clock: Clock | None = None, **more: Any) -> ClientCredentials:
    clock = clock or Clock()
    return ClientCredentials(endpoint(server, clock=clock, **more), WANTED, IssuedTokens("crm", clock_s=clock))


def exchanged(server: Issuing, clock: Clock | None = None, **told: Any) -> TokenExchange:
    clock = clock or Clock()
    exchanging = Exchanging(**{"wanted": WANTED, "issuer": ISSUER, **told})
    return TokenExchange(endpoint(server, clock=clock), exchanging, IssuedTokens("crm", clock_s=clock), clock_s=clock)


async def shown(credential: Credential, who: Caller | None = None) -> str:
    return (await credential.headers(asking(who)))["Authorization"].removeprefix("Bearer ")


async def refused(credential: Credential, who: Caller | None = None) -> str:
    """The detail of a credential that could not be had."""
    with pytest.raises(BackendFailed) as failed:
        await credential.headers(asking(who))
    assert (failed.value.cause, failed.value.sent) == ("credential", False)
    assert CLIENT_SECRET not in str(failed.value)
    return failed.value.detail


# --- how they are kept ---


def test_a_token_is_asked_for_once_by_all_who_wait_and_then_kept() -> None:
    async def main() -> None:
        async with issuing(counting()) as server:
            credential = own(server)
            assert await asyncio.gather(*(shown(credential, who) for who in [ANN, BOB, None] * 10)) == ["t1"] * 30
            assert [each.form for each in server.asked] == [{"grant_type": "client_credentials", **MEMBERS}]
            assert server.asked[0].basic == ("gateway", CLIENT_SECRET)
            await credential.close()

    run(main())


def test_a_token_is_renewed_ahead_of_its_end_while_the_old_one_still_serves() -> None:
    async def main() -> None:
        clock, gate = Clock(), asyncio.Event()
        count = 0

        async def slow(asked: Asked) -> None:
            nonlocal count
            count += 1
            if count == 2:
                await gate.wait()
            asked.token(f"t{count}", 400)

        async with issuing(slow) as server:
            credential = own(server, clock)
            assert await shown(credential) == "t1"
            clock.now_s += 345  # a minute before its end
            assert [await shown(credential) for _ in range(3)] == ["t1"] * 3
            await eventually(lambda: len(server.asked) == 2)
            gate.set()
            while await shown(credential) != "t2":  # noqa: ASYNC110 — what is awaited comes over a socket
                await asyncio.sleep(0.01)
            assert len(server.asked) == 2
            await credential.close()

    run(main())


def test_a_token_that_has_ended_is_not_shown_while_its_successor_is_late() -> None:
    async def main() -> None:
        clock = Clock()

        async with issuing(counting(400)) as server:
            credential = own(server, clock)
            assert await shown(credential) == "t1"
            clock.now_s += 396
            assert await shown(credential) == "t2"
            await credential.close()

    run(main())


def test_one_waiter_that_gives_up_ends_nothing_for_the_others() -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def slow(asked: Asked) -> None:
            await gate.wait()
            asked.token("t1")

        async with issuing(slow) as server:
            credential = own(server)
            first, second = (asyncio.create_task(shown(credential)) for _ in range(2))
            await eventually(lambda: len(server.asked) == 1)
            first.cancel()
            gate.set()
            assert await second == "t1"
            await credential.close()

    run(main())


def test_the_least_used_subject_is_forgotten_first() -> None:
    async def main() -> None:
        async with issuing(counting()) as server:
            tokens = IssuedTokens("crm", most=2)
            credential = TokenExchange(endpoint(server), Exchanging(WANTED, ISSUER), tokens)
            got = [await shown(credential, caller(name)) for name in ("ann", "bob", "ann", "cem", "ann", "bob")]
            assert (got, len(tokens)) == (["t1", "t2", "t1", "t3", "t1", "t4"], 2)
            await credential.close()

    run(main())


# --- a backend that refuses ---


def door(accepted: set[str]) -> Callable[[Received], Awaitable[None]]:
    async def answer(received: Received) -> None:
        if received.headers.get("authorization", "").removeprefix("Bearer ") in accepted:
            await modern(done)(received)
        else:
            received.head(401, Content_Length="0", WWW_Authenticate='Bearer resource_metadata="https://theirs.example.com"')

    return answer


def test_a_refused_token_is_dropped_once_and_the_request_sent_once_more() -> None:
    async def main() -> None:
        accepted = {"t1"}
        async with (
            issuing(counting()) as server,
            scripted(door(accepted)) as backend,
            backends(http(backend, credential=exchanged(server, own=False), era="modern")) as behind,
        ):
            assert await text(behind, asking(ANN)) == "done"
            accepted.clear()
            accepted.add("t2")
            assert await text(behind, asking(ANN)) == "done"
            tokens = [each.headers["authorization"] for each in backend.of("tools/call")]
            assert tokens == ["Bearer t1", "Bearer t1", "Bearer t2"]

    run(main())


def test_a_backend_that_refuses_every_token_costs_one_more_try_and_no_flood_of_tokens() -> None:
    async def main() -> None:
        async with (
            issuing(counting()) as server,
            scripted(door(set())) as backend,
            backends(http(backend, credential=own(server), era="modern")) as behind,
        ):
            for _ in range(5):
                assert await failure(behind, asking(ANN)) == ("unauthorized", False)
            assert (len(server.asked), len(backend.received)) == (2, 6)
            assert behind.status()[0].state == "up"

    run(main())


def test_one_subjects_refused_token_costs_another_nothing() -> None:
    async def main() -> None:
        async with issuing(counting()) as server:
            credential = exchanged(server)
            assert [await shown(credential, who) for who in (ANN, BOB)] == ["t1", "t2"]
            assert await credential.rejected(asking(ANN), {"Authorization": "Bearer t1"})
            assert await credential.rejected(asking(ANN), {"Authorization": "Bearer t1"})  # another request met it, too
            assert [await shown(credential, who) for who in (ANN, BOB)] == ["t3", "t2"]
            assert not await credential.rejected(asking(ANN), {"Authorization": "Bearer t3"})
            await credential.close()

    run(main())


# --- for whom ---


def test_a_users_token_is_exchanged_at_its_own_issuer_and_the_result_shown_to_the_backend() -> None:
    async def main() -> None:
        async with issuing(counting()) as server:
            credential = exchanged(server)
            assert [await shown(credential, who) for who in (ANN, BOB, ANN)] == ["t1", "t2", "t1"]
            form = {"grant_type": EXCHANGE, "subject_token_type": ACCESS_TOKEN, "requested_token_type": ACCESS_TOKEN, **MEMBERS}
            assert [each.form for each in server.asked] == [
                {**form, "subject_token": "token-of-ann"},
                {**form, "subject_token": "token-of-bob"},
            ]
            await credential.close()

    run(main())


def test_the_gateways_own_requests_go_with_its_own_token_or_with_none() -> None:
    async def main() -> None:
        async with issuing(counting()) as server:
            credential, silent = exchanged(server), exchanged(server, own=False)
            assert await shown(credential, None) == "t1"
            assert server.asked[0].form == {"grant_type": "client_credentials", **MEMBERS}
            assert await silent.headers(asking(None)) == {}
            assert not await silent.rejected(asking(None), {})
            await credential.close()
            await silent.close()

    run(main())


@pytest.mark.parametrize(
    "who",
    [
        pytest.param(caller("ann", ""), id="no_token"),
        pytest.param(caller("ann", subject={"authentication": "api_key"}), id="api_key"),
        pytest.param(caller("ann", subject={"authentication": "asserted"}), id="named_by_a_workload"),
        pytest.param(caller("ann", subject={"authentication": "mtls"}), id="certificate"),
        pytest.param(caller("ann", subject={"identity": Identity("https://other.example.com", "ann")}), id="another_issuer"),
        pytest.param(caller("ann", subject={"type": "anonymous"}), id="anonymous"),
        pytest.param(caller("ann", expires_at_s=999.0), id="ended"),
    ],
)
def test_a_caller_who_has_nothing_to_exchange_is_refused_before_anything_is_sent(who: Caller) -> None:
    async def main() -> None:
        async with issuing(counting()) as server:
            credential = exchanged(server)
            who_asks = Caller(who.subject, who.agent_id, who.source_ip, expires_at_s=who.expires_at_s, token=who.token or None)
            await refused(credential, who_asks)
            assert server.asked == []
            await credential.close()

    run(main())


def test_a_token_obtained_with_wide_scopes_does_not_serve_a_request_that_came_with_narrow_ones() -> None:
    async def main() -> None:
        async with issuing(counting()) as server:
            credential = exchanged(server)
            assert await shown(credential, caller("ann", "wide")) == "t1"
            assert await shown(credential, caller("ann", "narrow")) == "t2"
            await credential.close()

    run(main())


def test_a_token_does_not_outlive_the_credential_that_it_was_obtained_with() -> None:
    async def main() -> None:
        clock = Clock()
        async with issuing(counting()) as server:
            credential = exchanged(server, clock)
            ending = caller("ann", expires_at_s=clock.now_s + 100)
            assert await shown(credential, ending) == "t1"
            clock.now_s += 96
            assert await shown(credential, ending) == "t2"
            clock.now_s += 5
            assert await refused(credential, ending) == "the caller's own credential has ended"
            await credential.close()

    run(main())


def test_the_gateway_states_who_the_user_is_and_that_it_acts_where_the_settings_say_so() -> None:
    async def main() -> None:
        keys = FixedKeys.ephemeral()
        signer = Signer(keys, "https://gateway.example.com")
        async with issuing(counting()) as server:
            credential = exchanged(server, issuer=None, signer=signer, audience=ISSUER, actor=True)
            asserted = caller("ann", "", subject={"authentication": "asserted", "actors": (Identity("urn:keys", "desk"),)})
            assert await shown(credential, asserted) == "t1"
            form = server.asked[0].form
            public = (await keys.newest()).key.private.public_key()
            stated = [
                jwt.decode(form[name], public, algorithms=["ES256"], audience=ISSUER) for name in ("subject_token", "actor_token")
            ]
            about = [{name: each.get(name) for name in ("iss", "sub", "sub_iss", "sub_type", "agent", "act")} for each in stated]
            gateway = "https://gateway.example.com"
            assert about == [
                {
                    "iss": gateway,
                    "sub": "ann",
                    "sub_iss": ISSUER,
                    "sub_type": "user",
                    "agent": "agent",
                    "act": {"sub": "desk", "iss": "urn:keys"},
                },
                {"iss": gateway, "sub": gateway, "sub_iss": gateway, "sub_type": "gateway", "agent": None, "act": None},
            ]
            assert (form["subject_token_type"], form["actor_token_type"]) == (JWT_TOKEN, JWT_TOKEN)
            await credential.close()

    run(main())


# --- how the gateway proves who it is ---


def test_the_client_secret_can_go_in_the_form() -> None:
    async def main() -> None:
        async with issuing(counting()) as server:
            credential = own(server, client=Client("gate way", "post", Fixed(CLIENT_SECRET)))
            await shown(credential)
            assert server.asked[0].form == {
                "grant_type": "client_credentials",
                "client_id": "gate way",
                "client_secret": CLIENT_SECRET,
                **MEMBERS,
            }
            assert "authorization" not in server.asked[0].headers
            await credential.close()

    run(main())


def test_a_secret_with_strange_characters_survives_basic_authentication() -> None:
    async def main() -> None:
        async with issuing(counting()) as server:
            credential = own(server, client=Client("a:b c", "basic", Fixed("p%:+/ =")))
            await shown(credential)
            assert server.asked[0].basic == ("a:b c", "p%:+/ =")
            await credential.close()

    run(main())


def test_a_signed_proof_replaces_the_client_secret() -> None:
    async def main() -> None:
        private = generate_private_key(SECP256R1())
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        async with issuing(counting()) as server:
            credential = own(server, client=Client("gateway", "private_key_jwt", Fixed(pem, readable=read_keys), "k1"))
            await shown(credential)
            form = server.asked[0].form
            url = server.url + "/token"
            claims = jwt.decode(form["client_assertion"], private.public_key(), algorithms=["ES256"], audience=url)
            assert (claims["iss"], claims["sub"], claims["exp"] - claims["iat"]) == ("gateway", "gateway", 60)
            assert jwt.get_unverified_header(form["client_assertion"]) == {"alg": "ES256", "typ": "JWT", "kid": "k1"}
            assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            await credential.close()

    run(main())


# --- a token endpoint that fails ---


async def refuses(asked: Asked) -> None:
    asked.json(400, {"error": "invalid_grant", "error_description": f"bad {CLIENT_SECRET}"})


async def garbage(asked: Asked) -> None:
    asked.raw(200, b"<html>")


async def huge(asked: Asked) -> None:
    asked.token("t", padding="x" * 100_000)


async def redirects(asked: Asked) -> None:
    asked.raw(307, b"", Location="http://127.0.0.1:9/elsewhere")


async def silent(asked: Asked) -> None:
    await asyncio.Event().wait()


async def hangs_up(asked: Asked) -> None:
    asked.writer.close()


async def proof_wanted(asked: Asked) -> None:
    asked.json(200, {"access_token": "t", "token_type": "DPoP", "expires_in": 60})


async def id_token(asked: Asked) -> None:
    asked.token("t", issued_token_type="urn:ietf:params:oauth:token-type:id_token")


async def breaks_header(asked: Asked) -> None:
    asked.token("t\r\nX-Evil: 1")


FAILING = [refuses, garbage, huge, redirects, silent, hangs_up, proof_wanted, id_token, breaks_header]


@pytest.mark.parametrize("script", FAILING)
def test_a_token_endpoint_that_fails_costs_its_backend_one_clear_refusal_and_nothing_is_sent(
    caplog: pytest.LogCaptureFixture, script: Callable[[Asked], Awaitable[None]]
) -> None:
    async def main() -> None:
        async with issuing(script) as server, scripted(modern(done)) as backend:
            credential = own(server, timeout_s=0.3)
            async with backends(http(backend, credential=credential, era="modern")) as behind:
                for _ in range(5):
                    assert await failure(behind, asking(ANN)) == ("credential", False)
                assert len(server.asked) == 1  # who asks again at once is told the same
                assert backend.received == []
                assert behind.status()[0].state == "unknown"

    with caplog.at_level(logging.DEBUG):
        run(main())
    assert CLIENT_SECRET not in caplog.text
    assert [each.levelname for each in caplog.records if each.name == "gateway.credentials"] == ["WARNING"]


def test_a_token_endpoint_that_is_back_serves_after_a_moment() -> None:
    async def main() -> None:
        clock, up = Clock(), False

        async def script(asked: Asked) -> None:
            if up:
                asked.token("t1")
            else:
                asked.raw(503, b"")

        async with issuing(script) as server:
            credential = own(server, clock)
            assert "HTTP 503" in await refused(credential)
            up = True
            assert "HTTP 503" in await refused(credential)
            clock.now_s += 1
            assert await shown(credential) == "t1"
            await credential.close()

    run(main())


def test_a_kept_token_serves_while_its_endpoint_is_down() -> None:
    async def main() -> None:
        clock, up = Clock(), True

        async def script(asked: Asked) -> None:
            if up:
                asked.token("t1", 400)
            else:
                asked.raw(503, b"")

        async with issuing(script) as server:
            credential = own(server, clock)
            assert await shown(credential) == "t1"
            up = False
            clock.now_s += 350
            for _ in range(3):
                assert await shown(credential) == "t1"
                await eventually(lambda: len(server.asked) >= 2)
            clock.now_s += 46
            assert "HTTP 503" in await refused(credential)
            await credential.close()

    run(main())


def test_an_endpoint_is_discovered_and_found_again_when_it_has_moved_and_a_refusal_alone_asks_for_nothing_anew() -> None:
    async def main() -> None:
        clock, where, status = Clock(), "/old", 200

        async def script(asked: Asked) -> None:
            if asked.path.startswith("/.well-known/"):
                asked.json(200, {"issuer": server.url, "token_endpoint": server.url + where})
            elif asked.path != where:
                asked.raw(404, b"")
            elif status == 200:
                asked.token(f"by{asked.path}")
            else:
                asked.json(status, {"error": "invalid_grant"})

        async with issuing(script) as server:
            place = Discovery(server.url, fetcher := Fetcher(timeout_s=2), times=DiscoveryTimes(retry_s=1), clock_s=clock)
            credential = ClientCredentials(endpoint(server, clock=clock, place=place), WANTED, IssuedTokens("crm", clock_s=clock))
            status = 400
            for _ in range(3):
                assert "HTTP 400" in await refused(credential)
                clock.now_s += 2
            assert [each.path for each in server.asked].count("/old") == 3
            assert len(server.asked) == 4
            where, status = "/new", 200
            assert "HTTP 404" in await refused(credential)
            clock.now_s += 2
            while True:  # the old place is asked while the new one is looked up
                try:
                    found = await shown(credential)
                except BackendFailed:
                    clock.now_s += 2
                else:
                    break
            assert found == "by/new"
            await credential.close()
            await fetcher.close()

    run(main())


@pytest.mark.parametrize("expires_in", [0, -1, True, "soon", [1], 1e400])
def test_a_lifetime_that_is_none_is_no_lifetime(expires_in: Any) -> None:
    async def main() -> None:
        async with issuing(counting(expires_in)) as server:
            credential = own(server)
            assert await refused(credential)
            await credential.close()

    run(main())


def test_without_a_stated_lifetime_a_token_counts_for_a_minute() -> None:
    async def main() -> None:
        clock = Clock()

        async def script(asked: Asked) -> None:
            asked.json(200, {"access_token": f"t{len(server.asked)}", "token_type": "bearer"})

        async with issuing(script) as server:
            credential = own(server, clock)
            assert await shown(credential) == "t1"
            clock.now_s += 30
            assert await shown(credential) == "t1"
            clock.now_s += 26
            assert await shown(credential) == "t2"
            await credential.close()

    run(main())


def test_nothing_that_holds_a_token_shows_it() -> None:
    secret = base64.b64encode(json.dumps({"sub": "ann"}).encode()).decode()
    assert secret not in repr(asking(caller("ann", secret)))
