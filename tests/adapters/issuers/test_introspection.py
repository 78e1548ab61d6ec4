"""Opaque tokens against a real introspection endpoint: who is let in, what the provider is asked, what it cannot do."""

import asyncio
import base64
import logging
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.adapters.discovery import Discovery
from gateway.adapters.fetching import Fetcher
from gateway.adapters.introspection import Asking, Bounds, Introspection, Terms
from gateway.identity.grant import Confirmation, Grant, Rejected
from gateway.identity.introspected import BadAnswer, answered, granted_by
from gateway.identity.tokens import TrustedIssuer
from gateway.model import Caller, Identity, Subject
from tests.adapters.issuers.provider import Answer, Asked, Provider, provider, run, token, until

NOW_S = 1_800_000_000
HERE = "https://mcp.example.com/mcp"
ISSUER = "https://id.example.com"
RULES = TrustedIssuer(ISSUER)
TOKEN = "0p4que-token"
SECRET = "s3cret:/+& of the client"
ACTIVE: dict[str, Any] = {
    "active": True,
    "iss": ISSUER,
    "aud": HERE,
    "sub": "alice",
    "client_id": "cursor",
    "scope": "mcp:read mcp:write",
    "token_type": "Bearer",
    "exp": NOW_S + 600,
}
ALICE = Subject("user", Identity(ISSUER, "alice"), "jwt", scopes=("mcp:read", "mcp:write"))


def _introspection(issuer: Provider, **more: Any) -> Introspection:
    asking = more.pop("asking", Asking("gateway", SECRET, f"{issuer.url}/introspect"))
    terms = Terms(*(more.pop(name, default) for name, default in (("rules", RULES), ("jwts", False), ("missing", frozenset()))))
    return Introspection(terms, asking, Fetcher(timeout_s=more.pop("timeout_s", 3)), **more)


async def _granted(method: Introspection, token: str, *, now_s: float = NOW_S, resource: str = HERE) -> Grant:
    assert method.recognises(token)
    return await method.verified(token, resource=resource, now_s=now_s)


async def _refused(method: Introspection, token: str, *, now_s: float = NOW_S, resource: str = HERE) -> str:
    with pytest.raises(Rejected) as rejected:
        await _granted(method, token, now_s=now_s, resource=resource)
    assert token not in rejected.value.message
    return rejected.value.cause


def test_an_active_token_names_its_subject_and_the_provider_is_asked_once() -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.answers["/introspect"] = Answer(ACTIVE)
            method = _introspection(issuer)
            grants = await asyncio.gather(*(_granted(method, TOKEN) for _ in range(20)))
            grants.append(await _granted(method, TOKEN))
            named = grants[0].credential
            assert named.startswith("token:")
            assert set(map(repr, grants)) == {repr(Grant(ALICE, "cursor", None, NOW_S + 630.0, credential=named))}
            asked = issuer.asked[0]
            assert (len(issuer.asked), asked.method, asked.path) == (1, "POST", "/introspect")
            assert parse_qs(asked.body) == {"token": [TOKEN], "token_type_hint": ["access_token"]}
            sent = base64.b64decode(asked.headers["authorization"].removeprefix("Basic ")).decode()
            assert sent == "gateway:s3cret%3A%2F%2B%26+of+the+client"
            assert TOKEN not in str(asked.headers) + asked.path
            await method.close()

    run(main)


def test_the_client_may_authenticate_in_the_form() -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.answers["/introspect"] = Answer(ACTIVE)
            method = _introspection(issuer, asking=Asking("gateway", SECRET, f"{issuer.url}/introspect", "post"))
            await _granted(method, TOKEN)
            form = parse_qs(issuer.asked[0].body)
            assert (form["client_id"], form["client_secret"]) == (["gateway"], [SECRET])
            assert "authorization" not in issuer.asked[0].headers
            await method.close()

    run(main)


def test_the_endpoint_is_the_one_that_the_metadata_names() -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.discoverable()
            issuer.answers["/introspect"] = Answer({**ACTIVE, "iss": issuer.url})
            fetcher = Fetcher(timeout_s=3)
            method = Introspection(
                Terms(TrustedIssuer(issuer.url)), Asking("gateway", SECRET), fetcher, Discovery(issuer.url, fetcher)
            )
            assert (await _granted(method, TOKEN)).subject.identity == Identity(issuer.url, "alice")
            await method.close()

    run(main)


def test_metadata_without_the_endpoint_makes_the_issuer_unavailable() -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.discoverable(introspection_endpoint=None)
            fetcher = Fetcher(timeout_s=3)
            method = Introspection(
                Terms(TrustedIssuer(issuer.url)), Asking("gateway", SECRET), fetcher, Discovery(issuer.url, fetcher)
            )
            assert await _refused(method, TOKEN) == "issuer_unavailable"
            assert method.failure == f"{issuer.url}: its metadata names no `introspection_endpoint`"
            await method.close()

    run(main)


@pytest.mark.parametrize(("exp_s", "remember_s", "kept_s"), [(600, 30, 30), (600, 300, 300), (20, 30, 20), (600, 0, 0)])
def test_an_answer_is_remembered_no_longer_than_settings_and_token_allow(exp_s: int, remember_s: float, kept_s: int) -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.answers["/introspect"] = Answer({**ACTIVE, "exp": NOW_S + exp_s})
            method = _introspection(issuer, bounds=Bounds(remember_s=remember_s))
            await _granted(method, TOKEN)
            if kept_s:
                await _granted(method, TOKEN, now_s=NOW_S + kept_s - 0.1)
                assert len(issuer.asked) == 1
            issuer.answers["/introspect"] = Answer({"active": False})
            assert await _refused(method, TOKEN, now_s=NOW_S + kept_s) == "inactive"
            assert len(issuer.asked) == 2
            await method.close()

    run(main)


def test_a_token_that_is_not_active_is_refused_and_not_asked_about_again_at_once() -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.answers["/introspect"] = Answer({"active": False})
            method = _introspection(issuer)
            for later_s in (0, 5, 9.9):
                assert await _refused(method, TOKEN, now_s=NOW_S + later_s) == "inactive"
            assert len(issuer.asked) == 1
            issuer.answers["/introspect"] = Answer(ACTIVE)
            assert (await _granted(method, TOKEN, now_s=NOW_S + 10)).subject == ALICE
            await method.close()

    run(main)


def test_a_remembered_token_opens_only_the_surface_that_it_is_for() -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.answers["/introspect"] = Answer(ACTIVE)
            method = _introspection(issuer)
            await _granted(method, TOKEN)
            assert await _refused(method, TOKEN, resource=f"{HERE}/other") == "audience"
            everywhere = _introspection(issuer, rules=TrustedIssuer(ISSUER, frozenset({"api"})))
            issuer.answers["/introspect"] = Answer({**ACTIVE, "aud": ["api", "else"]})
            await _granted(everywhere, TOKEN, resource=f"{HERE}/other")
            await method.close()
            await everywhere.close()

    run(main)


NOT_FOR_US: dict[str, tuple[dict[str, Any], str]] = {
    "another issuer": ({"iss": "https://evil.example"}, "issuer"),
    "an issuer that is no text": ({"iss": None}, "issuer"),
    "another audience": ({"aud": "https://other.example/mcp"}, "audience"),
    "no audience": ({"aud": ...}, "audience"),
    "no end": ({"exp": ...}, "claims"),
    "an end that is no time": ({"exp": "tomorrow"}, "claims"),
    "ended": ({"exp": NOW_S - 31}, "expired"),
    "not begun": ({"nbf": NOW_S + 31}, "not_yet_valid"),
    "of tomorrow": ({"iat": NOW_S + 86400}, "not_yet_valid"),
    "no subject": ({"sub": ...}, "claims"),
    "no client": ({"client_id": ...}, "claims"),
    "a subject that is no text": ({"sub": 7}, "claims"),
    "a line break in the subject": ({"sub": "alice\nroot"}, "claims"),
    "no type": ({"token_type": ...}, "type"),
    "a refresh token": ({"token_type": "refresh_token"}, "type"),
    "a refresh token of Hydra": ({"token_use": "refresh_token"}, "type"),
    "a refresh token of Keycloak": ({"typ": "Refresh"}, "type"),
    "an offline token of Keycloak": ({"typ": "Offline"}, "type"),
    "an ID token of Keycloak": ({"typ": "ID"}, "type"),
    "an ID token of Cognito": ({"token_use": "id"}, "type"),
    "an ID token by its hash of another": ({"at_hash": "x"}, "type"),
    "a type that is no text": ({"token_type": ["Bearer"]}, "type"),
    "scopes that are no texts": ({"scope": [1]}, "claims"),
    "bound, and not to which key": ({"token_type": "DPoP"}, "unbound"),
    "bound in an unknown way": ({"cnf": {"kid": "x"}}, "bound"),
    "no cnf": ({"cnf": None}, "bound"),
}


@pytest.mark.parametrize("name", NOT_FOR_US)
def test_an_active_token_that_is_not_for_us_is_refused(name: str) -> None:
    async def main() -> None:
        changed, cause = NOT_FOR_US[name]
        async with provider() as issuer:
            issuer.answers["/introspect"] = Answer({k: v for k, v in {**ACTIVE, **changed}.items() if v is not ...})
            method = _introspection(issuer)
            assert [await _refused(method, TOKEN) for _ in range(2)] == [cause] * 2
            assert len(issuer.asked) == 1, "remembered, though refused"
            await method.close()

    run(main)


MISSHAPEN = {
    "active in words": Answer({**ACTIVE, "active": "true"}),
    "active as a number": Answer({**ACTIVE, "active": 1}),
    "active as null": Answer({**ACTIVE, "active": None}),
    "silent": Answer({k: v for k, v in ACTIVE.items() if k != "active"}),
    "twice active": Answer(b'{"active":false,"active":true}'),
    "a list": Answer([ACTIVE]),
    "html": Answer(b"<html>", headers={"content-type": "text/html"}),
    "nothing": Answer(b""),
    "huge": Answer({**ACTIVE, "x": "y" * 70_000}),
    "endless": Answer(endless=True),
    "a redirect": Answer(ACTIVE, 307, {"location": "/elsewhere"}),
    "our secret refused": Answer({"error": "invalid_client"}, 401),
    "an error": Answer(ACTIVE, 500),
    "created": Answer(ACTIVE, 201),
    "late": Answer(ACTIVE, slow_s=5),
}


@pytest.mark.parametrize("name", MISSHAPEN)
def test_a_misshapen_answer_lets_nobody_in_and_does_not_blame_the_token(name: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.answers["/introspect"] = MISSHAPEN[name]
            method = _introspection(issuer, timeout_s=0.3, bounds=Bounds(pause_s=0))
            assert await _refused(method, TOKEN) == "issuer_unavailable"
            assert await _refused(method, TOKEN) == "issuer_unavailable"
            assert (method.calls["unavailable"], "/elsewhere" in issuer.counts) == (2, False)
            failure = method.failure
            assert failure is not None
            issuer.answers["/introspect"] = Answer(ACTIVE)
            assert (await _granted(method, TOKEN)).subject == ALICE, "it heals by itself, and no answer was kept"
            assert method.failure is None
            await method.close()
            told = caplog.text + failure
            assert [each for each in (TOKEN, "s3cret") if each in told] == []

    with caplog.at_level(logging.DEBUG):
        run(main)


def test_a_provider_that_is_gone_is_asked_once_a_second_and_nobody_waits_for_it() -> None:
    async def main() -> None:
        now_s = [0.0]
        async with provider() as issuer:
            asking = Asking("gateway", SECRET, "http://127.0.0.1:9/introspect")
            method = _introspection(issuer, asking=asking, clock_s=lambda: now_s[0])
            for number in range(30):
                assert await _refused(method, f"0p4que-{number}") == "issuer_unavailable"
            assert method.calls["unavailable"] == 1
            now_s[0] = 1.0
            assert await _refused(method, TOKEN) == "issuer_unavailable"
            assert method.calls["unavailable"] == 2
            await method.close()

    run(main)


def test_a_token_that_breaks_the_provider_shuts_out_nobody_else() -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.answers["/introspect"] = lambda asked: Answer(b"", 500) if "token=bad" in asked.body else Answer(ACTIVE)
            method = _introspection(issuer)
            assert await _refused(method, "bad") == "issuer_unavailable"
            assert (await _granted(method, "good")).subject == ALICE
            await method.close()

    run(main)


def test_guessed_tokens_do_not_hammer_the_provider_and_harm_no_remembered_one() -> None:
    async def main() -> None:
        now_s = [0.0]
        async with provider() as issuer:
            issuer.answers["/introspect"] = lambda asked: Answer(ACTIVE if "token=good" in asked.body else {"active": False})
            method = _introspection(issuer, bounds=Bounds(calls_per_s=5), clock_s=lambda: now_s[0])
            await _granted(method, "good")
            causes = [await _refused(method, f"guess-{number}") for number in range(50)]
            assert causes == ["inactive"] + ["issuer_busy"] * 49, "half of what may be asked at once is not for guesses"
            assert (await _granted(method, "good")).subject == ALICE
            assert len(issuer.asked) == 2
            assert [(await _granted(method, "good", now_s=NOW_S + 31 * past)).subject for past in (1, 2)] == [ALICE, ALICE]
            assert len(issuer.asked) == 4, "it was forgotten, and is asked about while guesses are not"
            now_s[0] = 0.8
            assert [await _refused(method, f"more-{number}") for number in range(3)] == ["inactive"] * 2 + ["issuer_busy"]
            assert method.calls == {"active": 3, "inactive": 3, "refused": 0, "unavailable": 0, "busy": 50}
            await method.close()

    run(main)


def test_questions_under_way_are_bounded() -> None:
    async def main() -> None:
        async with provider() as issuer:
            gate = asyncio.Event()
            issuer.answers["/introspect"] = Answer(ACTIVE)
            method = _introspection(issuer, bounds=Bounds(max_running=3))
            for good in ("good-1", "good-2"):
                await _granted(method, good)
            issuer.answers["/introspect"] = Answer(ACTIVE, after=gate)
            waiting = [asyncio.ensure_future(_granted(method, f"0p4que-{number}")) for number in range(2)]
            await until(lambda: issuer.at_once == 2)
            assert await _refused(method, "t3") == "issuer_busy"
            waiting.append(asyncio.ensure_future(_granted(method, "good-1", now_s=NOW_S + 31)))
            await until(lambda: issuer.at_once == 3)
            assert await _refused(method, "good-2", now_s=NOW_S + 31) == "issuer_busy"
            gate.set()
            assert {grant.subject.identity.id for grant in await asyncio.gather(*waiting)} == {"alice"}
            await method.close()

    run(main)


def test_whoever_stops_waiting_ends_nobody_elses_question() -> None:
    async def main() -> None:
        async with provider() as issuer:
            gate = asyncio.Event()
            issuer.answers["/introspect"] = Answer(ACTIVE, after=gate)
            method = _introspection(issuer)
            first, second = (asyncio.ensure_future(_granted(method, TOKEN)) for _ in range(2))
            await issuer.arrived.wait()
            first.cancel()
            gate.set()
            assert (await second).subject == ALICE
            assert len(issuer.asked) == 1
            await method.close()

    run(main)


def test_a_bound_token_carries_what_must_be_proven() -> None:
    async def main() -> None:
        async with provider() as issuer:
            thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
            issuer.answers["/introspect"] = Answer({**ACTIVE, "token_type": "DPoP", "cnf": {"jkt": thumbprint}})
            method = _introspection(issuer)
            assert (await _granted(method, TOKEN)).confirmation == Confirmation(jkt=thumbprint)
            await method.close()

    run(main)


def test_departures_are_off_until_they_are_named() -> None:
    async def main() -> None:
        async with provider() as issuer:
            bare = {k: v for k, v in ACTIVE.items() if k not in {"sub", "token_type"}}
            issuer.answers["/introspect"] = Answer(bare)
            method = _introspection(issuer, missing=frozenset({"sub", "token_type"}))
            grant = await _granted(method, TOKEN)
            assert (grant.subject.type, grant.subject.identity, grant.agent_id) == (
                "workload",
                Identity(ISSUER, "cursor"),
                "cursor",
            )
            await method.close()

    run(main)


def test_jwts_are_introspected_only_where_it_is_said_and_only_this_issuers() -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.publish("k")
            issuer.answers["/introspect"] = Answer(ACTIVE)
            ours, theirs = (token(issuer.keys["k"], "k", {"iss": each}) for each in (ISSUER, "https://else.example"))
            method, opaque_only = _introspection(issuer, jwts=True), _introspection(issuer)
            recognised = [method.recognises(each) for each in (ours, theirs, "a.b.c", "opaque", ours, theirs)]
            assert recognised == [True, False, False, True, True, False]
            assert (opaque_only.recognises(ours), opaque_only.recognises("opaque")) == (False, True)
            assert (await _granted(method, ours)).subject == ALICE
            issuer.answers["/introspect"] = Answer({"active": False})
            assert await _refused(method, ours, now_s=NOW_S + 30) == "inactive", "revoked, though its signature is good"
            await method.close()
            await opaque_only.close()

    run(main)


def test_an_introspected_jwt_must_say_itself_that_it_is_an_access_token() -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.publish("k")
            issuer.answers["/introspect"] = Answer(ACTIVE)
            said: list[tuple[str, dict[str, str]]] = [
                ("JWT", {}),
                ("JWT", {"typ": "Refresh"}),
                ("logout+jwt", {}),
                ("at+jwt", {}),
            ]
            told = [jwt.encode({"iss": ISSUER, **claims}, issuer.keys["k"], "ES256", {"typ": typ}) for typ, claims in said]
            strict, lax = _introspection(issuer, jwts=True), _introspection(issuer, jwts=True, rules=replace(RULES, any_typ=True))
            assert [await _refused(strict, each) for each in told[:3]] == ["type"] * 3
            assert [await _refused(lax, each) for each in told[1:3]] == ["type"] * 2
            assert not issuer.asked
            assert [(await _granted(lax, each)).subject for each in (told[0], told[3])] == [ALICE] * 2
            assert (await _granted(strict, told[3])).subject == ALICE
            await strict.close()
            await lax.close()

    run(main)


def test_what_a_revoked_token_opened_is_not_good_for_longer_than_its_answer() -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.answers["/introspect"] = Answer(ACTIVE)
            method = _introspection(issuer)
            await _granted(method, TOKEN)
            caller = Caller(ALICE, "cursor", "192.0.2.7", token=TOKEN)
            assert method.still_good(caller, "default", now_s=NOW_S + 29)
            assert method.still_good(caller, "default", now_s=NOW_S + 31), "asked again, and not yet answered"
            await until(lambda: method.calls["active"] == 2)
            assert method.still_good(caller, "default", now_s=NOW_S + 60)
            issuer.answers["/introspect"] = Answer({"active": False})
            assert method.still_good(caller, "default", now_s=NOW_S + 62)
            await until(lambda: method.calls["inactive"] == 1)
            assert not method.still_good(caller, "default", now_s=NOW_S + 62)
            assert not method.still_good(replace(caller, token=None), "default", now_s=NOW_S)
            await method.close()

    run(main)


def test_what_is_open_asks_no_more_than_every_five_seconds_however_short_answers_count() -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.answers["/introspect"] = Answer(ACTIVE)
            method = _introspection(issuer, bounds=Bounds(remember_s=0.0))
            await _granted(method, TOKEN)
            caller = Caller(ALICE, "cursor", "192.0.2.7", token=TOKEN)
            for beat in range(20):
                assert method.still_good(caller, "default", now_s=NOW_S + beat / 4)
                assert not method._running
            assert method.still_good(caller, "default", now_s=NOW_S + 5)
            await until(lambda: method.calls["active"] == 2)
            issuer.answers["/introspect"] = Answer(b"", 503)
            for beat in range(20, 60):
                assert method.still_good(caller, "default", now_s=NOW_S + beat / 4)
                await until(lambda: not method._running)
            assert (method.calls["active"], method.calls["unavailable"]) == (2, 1)
            await method.close()

    run(main)


def test_guesses_do_not_end_what_is_open() -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.answers["/introspect"] = lambda asked: Answer(ACTIVE if TOKEN in asked.body else {"active": False})
            method = _introspection(issuer, bounds=Bounds(calls_per_s=4), clock_s=lambda: 0.0)
            await _granted(method, TOKEN)
            for number in range(20):
                await _refused(method, f"guess-{number}")
            caller = Caller(ALICE, "cursor", "192.0.2.7", token=TOKEN)
            assert method.still_good(caller, "default", now_s=NOW_S + 31)
            await until(lambda: method.calls["active"] == 2)
            assert method.still_good(caller, "default", now_s=NOW_S + 60), "as its issuer has just said"
            await method.close()

    run(main)


@pytest.mark.parametrize("calls_per_s", [1, 2])
def test_the_smallest_budget_still_asks_about_a_new_token(calls_per_s: int) -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.answers["/introspect"] = Answer(ACTIVE)
            method = _introspection(issuer, bounds=Bounds(calls_per_s=calls_per_s, max_running=1), clock_s=lambda: 0.0)
            assert (await _granted(method, TOKEN)).subject == ALICE
            await method.close()

    run(main)


def test_what_is_open_does_not_outlive_a_provider_that_stays_away() -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.answers["/introspect"] = Answer(ACTIVE)
            method = _introspection(issuer)
            await _granted(method, TOKEN)
            issuer.answers["/introspect"] = Answer(b"", 503)
            caller = Caller(ALICE, "cursor", "192.0.2.7", token=TOKEN)
            for looked in range(40):
                assert method.still_good(caller, "default", now_s=NOW_S + 31 + looked / 100)
            await until(lambda: method.calls["unavailable"] == 1)
            assert len(issuer.asked) == 2
            assert method.still_good(caller, "default", now_s=NOW_S + 89)
            assert not method.still_good(caller, "default", now_s=NOW_S + 90)
            await method.close()

    run(main)


def test_neither_secret_nor_token_is_in_any_repr() -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.answers["/introspect"] = Answer(ACTIVE)
            method = _introspection(issuer)
            grant = await _granted(method, TOKEN)
            assert "s3cret" not in repr(method._asking)
            assert TOKEN not in repr(grant) + repr(vars(method))
            await method.close()

    run(main)


def test_a_slow_provider_holds_nobody_but_those_who_need_it() -> None:
    async def main() -> None:
        async with provider() as issuer:
            gate = asyncio.Event()

            def slow(asked: Asked) -> Answer:
                return Answer(ACTIVE, after=gate) if "token=slow" in asked.body else Answer(ACTIVE)

            issuer.answers["/introspect"] = slow
            method = _introspection(issuer)
            waiting = asyncio.ensure_future(_granted(method, "slow"))
            await issuer.arrived.wait()
            for number in range(20):
                await _granted(method, f"quick-{number}")
            assert not waiting.done()
            gate.set()
            assert (await waiting).subject == ALICE
            await method.close()

    run(main)


_PLAIN = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
_JSON = _PLAIN | st.lists(_PLAIN, max_size=2) | st.dictionaries(st.text(max_size=4), _PLAIN, max_size=2)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from([*ACTIVE, "nbf", "iat", "act", "cnf", "groups", "acr", "amr", "token_use"]), _JSON))
def test_any_answer_is_a_grant_or_refused_and_only_true_is_active(changed: dict[str, Any]) -> None:
    try:
        grant = granted_by({**ACTIVE, **changed}, RULES, missing_allowed=frozenset(), now_s=NOW_S)
    except Rejected:
        return
    assert changed.get("active", True) is True
    assert grant.subject.identity.issuer == ISSUER


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_an_answer_or_refused(body: bytes) -> None:
    try:
        assert isinstance(answered(body)["active"], bool)
    except BadAnswer:
        return
