"""Who is let in, end to end: headers in, a caller or a challenge out; real key servers, real signatures."""

import asyncio
import hashlib
import json
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from gateway.adapters.access_tokens import AccessTokens
from gateway.adapters.authenticator import ApiKeys, Front, Method, SurfaceAccess
from gateway.adapters.fetching import Document
from gateway.adapters.jwks import FileSource, KeyRing, KeyTimes, UrlSource
from gateway.errors import Kind, Refusal
from gateway.identity.api_keys import ApiKey, issued
from gateway.identity.grant import NamesUsers
from gateway.identity.surfaces import check_surface
from gateway.identity.tokens import TrustedIssuer
from gateway.identity.workloads import TrustedWorkloads
from gateway.model import Caller, Identity, Presented, Subject

NOW_S = 1_800_000_000
ISSUER = "https://id.example.com"
AUDIENCE = "https://mcp.example.com/mcp"
OLD, NEW = (rsa.generate_private_key(65537, 2048) for _ in range(2))
KEY, SHA256 = issued("bot1", bytes(range(32)))
BOT_KEY = ApiKey("bot1", bytes.fromhex(SHA256), "bot", groups=("bots",), surfaces=frozenset({"default"}))
TRUSTED_KEY, TRUSTED_SHA256 = issued("desk", bytes(range(1, 33)))
TRUSTED = ApiKey("desk", bytes.fromhex(TRUSTED_SHA256), "desk", names_users=NamesUsers(ISSUER, ("support",)))
RULES = TrustedIssuer(ISSUER)
METADATA = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"
SURFACES = {
    "default": SurfaceAccess(AUDIENCE, scopes=("mcp:read",), resource_metadata=METADATA),
    "open": SurfaceAccess(AUDIENCE + "/open", anonymous=True),
}
PROMPT = KeyTimes(refresh_s=60, throttle_s=0.0, retry_s=0.05, wait_s=3)


def _key_set(**keys: rsa.RSAPrivateKey) -> dict[str, Any]:
    return {"keys": [{**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid} for kid, key in keys.items()]}


def _token(key: rsa.RSAPrivateKey = OLD, kid: str = "old", **more: Any) -> str:
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "client_id": "cursor", "jti": "1", "iat": NOW_S, "exp": NOW_S + 600}
    return jwt.encode({**claims, **more}, key, algorithm="RS256", headers={"typ": "at+jwt", "kid": kid})


def _run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(15):
            await test()

    asyncio.run(bounded())


def _front(tokens: AccessTokens | None = None, clock_s: Callable[[], float] = lambda: NOW_S) -> Front:
    methods: list[Method] = [ApiKeys([BOT_KEY, TRUSTED]), *([] if tokens is None else [tokens])]
    return Front(methods, SURFACES, clock_s=clock_s)


async def _caller(front: Front, token: str | None, surface: str = "default", **headers: str) -> Caller:
    sent = [] if token is None else [("authorization", f"Bearer {token}")]
    return await front.authenticate(Presented([*sent, *headers.items()], "POST", "192.0.2.7"), surface=surface)


async def _refusal(front: Front, token: str | None, surface: str = "default", **headers: str) -> Refusal:
    with pytest.raises(Refusal) as refused:
        await _caller(front, token, surface, **headers)
    return refused.value


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 — what is waited for lives in another thread
        await asyncio.sleep(0.01)


def test_an_api_key_names_its_workload() -> None:
    async def main() -> None:
        subject = Subject("workload", Identity("urn:mcp-gateway:keys", "bot"), "api_key", groups=("bots",))
        assert await _caller(_front(), KEY) == Caller(subject, "bot", "192.0.2.7", frozenset({"default"}), None, "key:bot1")

    _run(main)


def test_no_credential_is_challenged_without_an_error() -> None:
    async def main() -> None:
        refusal = await _refusal(_front(), None)
        assert (refusal.kind, refusal.cause, refusal.headers) == (
            Kind.UNAUTHENTICATED,
            "no_credential",
            {
                "WWW-Authenticate": 'Bearer scope="mcp:read", '
                'resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp"'
            },
        )

    _run(main)


def test_a_bad_credential_is_challenged_with_the_error_and_never_repeated() -> None:
    async def main() -> None:
        for token, cause in ((KEY[:-3] + "AAA", "unknown_key"), ("some-opaque-token", "unrecognised"), ("a.b.c", "unrecognised")):
            refusal = await _refusal(_front(), token)
            assert refusal.cause == cause
            assert 'error="invalid_token"' in refusal.headers["WWW-Authenticate"]
            assert token not in str(refusal) + refusal.headers["WWW-Authenticate"]

    _run(main)


def test_anonymous_callers_are_let_in_only_where_the_surface_says_so() -> None:
    async def main() -> None:
        anonymous = Subject("anonymous", Identity("urn:mcp-gateway:anonymous", "anonymous"), "none")
        assert await _caller(_front(), None, "open") == Caller(anonymous, None, "192.0.2.7")
        assert (await _refusal(_front(), None, "no-such-surface")).cause == "no_credential"

    _run(main)


def test_a_bad_credential_does_not_become_an_anonymous_caller() -> None:
    async def main() -> None:
        assert (await _refusal(_front(), KEY[:-3] + "AAA", "open")).cause == "unknown_key"
        with pytest.raises(Refusal):
            await _front().authenticate(Presented([("authorization", "")], "POST", "192.0.2.7"), surface="open")

    _run(main)


def test_a_key_for_one_surface_opens_no_other() -> None:
    async def main() -> None:
        caller = await _front().authenticate(Presented([("authorization", f"Bearer {KEY}")], "POST", "192.0.2.7"), surface="open")
        with pytest.raises(Refusal) as refused:
            check_surface(caller, "open")
        assert (refused.value.kind, refused.value.cause) == (Kind.FORBIDDEN_SURFACE, "credential_surface")

    _run(main)


def test_only_a_trusted_workload_may_name_its_end_user() -> None:
    async def main() -> None:
        caller = await _caller(_front(), TRUSTED_KEY, **{"x-end-user": "alice"})
        assert (caller.subject.identity, caller.subject.authentication, caller.agent_id) == (
            Identity(ISSUER, "alice"),
            "asserted",
            "desk",
        )
        assert (await _refusal(_front(), KEY, **{"x-end-user": "alice"})).cause == "end_user"
        assert (await _refusal(_front(), None, "open", **{"x-end-user": "alice"})).cause == "end_user"

    _run(main)


def test_two_users_behind_one_workload_have_different_keys() -> None:
    async def main() -> None:
        front = _front()
        keys = {(await _caller(front, TRUSTED_KEY, **headers)).key for headers in ({}, {"x-end-user": "a"}, {"x-end-user": "b"})}
        assert len(keys) == 3

    _run(main)


def test_a_replaced_key_stops_counting_at_once() -> None:
    async def main() -> None:
        keys = ApiKeys([BOT_KEY])
        front = Front([keys], SURFACES, clock_s=lambda: NOW_S)
        await _caller(front, KEY)
        keys.replace([])
        assert (await _refusal(front, KEY)).cause == "unknown_key"

    _run(main)


# --- access tokens ------------------------------------------------------------------------------------------------------


def _tokens(source: Any, times: KeyTimes = PROMPT) -> AccessTokens:
    tokens = AccessTokens([(RULES, KeyRing(source, times))])
    tokens.start()
    return tokens


def test_the_first_request_waits_for_the_keys_and_then_a_rotation_fails_nobody(httpserver: HTTPServer) -> None:
    async def main() -> None:
        published = _key_set(old=OLD)
        httpserver.expect_request("/jwks").respond_with_handler(lambda _: Response(json.dumps(published)))
        tokens = _tokens(UrlSource(httpserver.url_for("/jwks"), timeout_s=3))
        front = _front(tokens)
        assert (await _caller(front, _token())).agent_id == "cursor"
        published["keys"] = _key_set(old=OLD, new=NEW)["keys"]
        callers = await asyncio.gather(*(_caller(front, _token(NEW, "new", jti=str(n))) for n in range(20)))
        assert {caller.subject.identity.id for caller in callers} == {"alice"}
        assert len(httpserver.log) <= 3, "single flight: twenty requests asked for one fetch"
        published["keys"] = _key_set(new=NEW)["keys"]
        await _refusal(front, _token(kid="gone"))  # has the keys fetched anew
        assert (await _refusal(front, _token())).cause == "signing_key", "a remembered token dies with its key"
        await tokens.close()

    _run(main)


def test_a_new_key_forgets_no_token_that_another_one_verified(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "jwks.json"
        path.write_text(json.dumps(_key_set(old=OLD)))
        ring = KeyRing(FileSource(path), PROMPT)
        tokens = AccessTokens([(RULES, ring)])
        tokens.start()
        front = _front(tokens)
        token = _token()
        caller = await _caller(front, token)
        (first,) = tokens._remembered.values()
        path.write_text(json.dumps(_key_set(new=NEW, old=OLD)))
        await ring.renewed()
        assert (await _caller(front, token), [*tokens._remembered.values()]) == (caller, [first])
        assert next(iter(tokens._remembered.values())) is first, "as it was remembered: not verified anew"
        path.write_text(json.dumps(_key_set(old=NEW)))  # another key of the same name
        await ring.renewed()
        assert not front.still_good(caller, "default")
        assert (await _refusal(front, token)).cause == "signature"
        assert tokens.promise(token, now_s=NOW_S) == "likely", "what does not verify any more is a guess like any other"
        await tokens.close()

    _run(main)


def test_strangers_key_ids_do_not_drive_the_issuer(httpserver: HTTPServer) -> None:
    async def main() -> None:
        httpserver.expect_request("/jwks").respond_with_json(_key_set(old=OLD))
        tokens = _tokens(UrlSource(httpserver.url_for("/jwks"), timeout_s=3), KeyTimes(throttle_s=60))
        front = _front(tokens)
        await _caller(front, _token())
        for number in range(50):
            assert (await _refusal(front, _token(kid=f"k{number}"))).cause == "signing_key"
        assert len(httpserver.log) == 1
        await tokens.close()

    _run(main)


def test_the_last_keys_stay_in_use_while_the_issuer_is_down(httpserver: HTTPServer) -> None:
    async def main() -> None:
        answers: list[Response] = [Response(json.dumps(_key_set(old=OLD)))]
        bad = [Response("broken", 500), Response("<html>"), Response('{"keys":[]}'), Response("", 302, {"location": "/jwks"})]
        httpserver.expect_request("/jwks").respond_with_handler(lambda _: answers[-1])
        ring = KeyRing(UrlSource(httpserver.url_for("/jwks"), timeout_s=3), PROMPT)
        tokens = AccessTokens([(RULES, ring)])
        tokens.start()
        front = _front(tokens)
        await _caller(front, _token())
        for answer in bad:
            answers.append(answer)
            await ring.renewed()
            assert list(tokens.failures()) == [ISSUER]
            await _caller(front, _token(jti="another"))
        answers.append(Response(json.dumps(_key_set(old=OLD, new=NEW))))
        await _caller(front, _token(NEW, "new"))
        assert tokens.failures() == {}
        await tokens.close()

    _run(main)


def test_without_any_keys_the_token_is_refused_but_not_blamed() -> None:
    async def main() -> None:
        tokens = _tokens(UrlSource("http://127.0.0.1:9/jwks", timeout_s=1))
        refusal = await _refusal(_front(tokens), _token())
        assert refusal.cause == "keys_unavailable"
        assert "error=" not in refusal.headers["WWW-Authenticate"]
        await tokens.close()

    _run(main)


def test_a_slow_issuer_never_holds_the_event_loop(httpserver: HTTPServer) -> None:
    async def main() -> None:
        asked, release = threading.Event(), threading.Event()

        def slow(_: Request) -> Response:
            asked.set()
            release.wait(10)
            return Response(json.dumps(_key_set(old=OLD)))

        httpserver.expect_request("/jwks").respond_with_handler(slow)
        tokens = _tokens(UrlSource(httpserver.url_for("/jwks"), timeout_s=10), KeyTimes(wait_s=10))
        front = _front(tokens)
        waiting = asyncio.ensure_future(_caller(front, _token()))
        await _until(asked.is_set)
        longest_s = 0.0
        for _ in range(50):
            before_s = time.perf_counter()
            await _caller(front, KEY)
            await asyncio.sleep(0)
            longest_s = max(longest_s, time.perf_counter() - before_s)
        assert not waiting.done()
        assert longest_s < 0.5
        release.set()
        assert (await waiting).agent_id == "cursor"
        await tokens.close()

    _run(main)


def test_a_remembered_token_is_not_verified_twice_and_still_expires() -> None:
    async def main() -> None:
        now_s = [float(NOW_S)]
        folder_free = _Fixed(json.dumps(_key_set(old=OLD)).encode())
        tokens = _tokens(folder_free)
        front = _front(tokens, lambda: now_s[0])
        token = _token()
        first = await _caller(front, token)
        began_s = time.process_time()
        for _ in range(1000):
            await _caller(front, token)
        assert (time.process_time() - began_s) / 1000 < 0.000_1, "a verification alone takes longer"
        assert await _caller(front, token) == first
        now_s[0] = NOW_S + 629.9
        await _caller(front, token)
        now_s[0] = NOW_S + 630
        assert (await _refusal(front, token)).cause == "expired"
        await tokens.close()

    _run(main)


def test_a_token_remembered_for_one_surface_opens_no_other() -> None:
    async def main() -> None:
        tokens = _tokens(_Fixed(json.dumps(_key_set(old=OLD)).encode()))
        front = _front(tokens)
        here, there, both = _token(), _token(aud=AUDIENCE + "/open"), _token(aud=[AUDIENCE, AUDIENCE + "/open"])
        for _ in range(2):
            assert (await _caller(front, here)).subject.identity.id == "alice"
            assert (await _refusal(front, here, "open")).cause == "audience"
            assert (await _refusal(front, there)).cause == "audience"
            assert (await _caller(front, there, "open")).subject.identity.id == "alice"
            for surface in SURFACES:
                assert (await _caller(front, both, surface)).subject.identity.id == "alice"
        await tokens.close()

    _run(main)


def test_a_caller_is_named_by_its_token_without_revealing_it() -> None:
    async def main() -> None:
        tokens = _tokens(_Fixed(json.dumps(_key_set(old=OLD)).encode()))
        token = _token()
        caller = await _caller(_front(tokens), token)
        assert (caller.credential, caller.token) == ("jwt:" + hashlib.sha256(token.encode()).hexdigest()[:16], token)
        assert token not in repr(caller)
        await tokens.close()

    _run(main)


def test_what_a_user_whom_a_token_names_has_open_stays_until_the_key_of_that_token_is_gone(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "jwks.json"
        path.write_text(json.dumps(_key_set(old=OLD)))
        rules = TrustedIssuer(ISSUER, workloads=(TrustedWorkloads("desk", names_users=True),))
        ring = KeyRing(FileSource(path), PROMPT)
        tokens = AccessTokens([(rules, ring)])
        tokens.start()
        front = _front(tokens)
        token = _token(sub="desk", client_id="desk")
        caller = await _caller(front, token, **{"x-end-user": "alice"})
        assert (caller.subject.authentication, caller.token) == ("asserted", token)
        assert front.still_good(caller, "default")
        path.write_text(json.dumps(_key_set(new=NEW)))
        await ring.renewed()
        assert not front.still_good(caller, "default")
        await tokens.close()

    _run(main)


def test_an_api_key_is_no_token_that_could_be_shown_to_an_issuer() -> None:
    async def main() -> None:
        caller = await _caller(_front(), TRUSTED_KEY, **{"x-end-user": "alice"})
        assert (caller.subject.authentication, caller.credential, caller.token) == ("asserted", "key:desk", None)
        assert (await _caller(_front(), KEY)).token is None

    _run(main)


def test_remembered_tokens_are_bounded() -> None:
    async def main() -> None:
        tokens = AccessTokens([(RULES, KeyRing(_Fixed(json.dumps(_key_set(old=OLD)).encode()), PROMPT))], max_remembered=3)
        tokens.start()
        front = _front(tokens)
        for number in range(10):
            await _caller(front, _token(jti=str(number)))
        assert len(tokens._remembered) == 3
        await tokens.close()

    _run(main)


def test_keys_from_a_file_are_read_again_when_a_new_one_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "jwks.json"
        path.write_text(json.dumps(_key_set(old=OLD)))
        tokens = _tokens(FileSource(path))
        front = _front(tokens)
        await _caller(front, _token())
        path.write_text(json.dumps(_key_set(new=NEW)))
        await _caller(front, _token(NEW, "new"))
        assert (await _refusal(front, _token())).cause == "signing_key"
        await tokens.close()

    _run(main)


@pytest.mark.parametrize(
    "url", ["http://id.example.com/jwks", "http://192.0.2.1/jwks", "ftp://localhost/jwks", "file:///etc/passwd"]
)
def test_keys_are_not_fetched_in_the_clear_beyond_loopback(url: str) -> None:
    with pytest.raises(ValueError, match="https only"):
        UrlSource(url, timeout_s=1)


def test_an_endless_key_set_is_given_up(httpserver: HTTPServer) -> None:
    async def main() -> None:
        httpserver.expect_request("/jwks").respond_with_data(b" " * (600 * 1024))
        ring = KeyRing(UrlSource(httpserver.url_for("/jwks"), timeout_s=3), PROMPT)
        ring.start()
        await ring.renewed()
        assert ring.keys is None
        assert ring.failure is not None
        assert "larger than" in ring.failure
        await ring.close()

    _run(main)


class _Fixed:
    """A key source that never changes."""

    def __init__(self, document: bytes) -> None:
        self._document = document

    async def read(self) -> Document:
        return Document(self._document)

    async def close(self) -> None:
        return
