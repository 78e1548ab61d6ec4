"""An issuer's keys while it rotates them, is slow, is gone, or means harm. Against real sockets."""

import asyncio
import json
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from gateway.adapters.access_tokens import AccessTokens
from gateway.adapters.discovery import Discovery, DiscoveryTimes
from gateway.adapters.fetching import Document, Fetcher, SourceFailed, max_age_s
from gateway.adapters.jwks import MAX_WAITING, DiscoveredSource, FileSource, KeyRing, KeyTimes, UrlSource
from gateway.identity.grant import Grant, Rejected
from gateway.identity.signing_keys import BadKeySet, read_key_set
from gateway.identity.tokens import TrustedIssuer
from tests.adapters.issuers.provider import Answer, Provider, key_set, provider, run, token, until

NOW_S = 1_800_000_000
HERE = "https://mcp.example.com/mcp"
EAGER = KeyTimes(throttle_s=0.0, retry_s=0.02)


def _discovered(issuer: Provider, times: KeyTimes = EAGER, timeout_s: float = 3) -> KeyRing:
    fetcher = Fetcher(timeout_s=timeout_s)
    return KeyRing(DiscoveredSource(Discovery(issuer.url, fetcher, times=DiscoveryTimes(retry_s=0.0)), fetcher), times)


def _method(issuer: Provider, ring: KeyRing) -> AccessTokens:
    method = AccessTokens([(TrustedIssuer(issuer.url, algorithms=frozenset({"ES256"})), ring)])
    method.start()
    return method


def _token(issuer: Provider, kid: str, number: int = 0, **more: Any) -> str:
    claims = {"iss": issuer.url, "aud": HERE, "sub": "alice", "client_id": "cursor", "iat": NOW_S, "exp": NOW_S + 600}
    return token(issuer.keys[kid], kid, {**claims, "jti": f"{kid}-{number}", **more})


async def _granted(method: AccessTokens, token: str) -> Grant:
    return await method.verified(token, resource=HERE, now_s=NOW_S)


async def _cause(method: AccessTokens, token: str) -> str:
    with pytest.raises(Rejected) as rejected:
        await _granted(method, token)
    return rejected.value.cause


def test_a_rotation_fails_no_request_of_the_traffic_around_it() -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.discoverable()
            issuer.publish("k0")
            method = _method(issuer, _discovered(issuer, KeyTimes(throttle_s=0.05)))
            signing, sent, failed, ended = ["k0"], [0], [], asyncio.Event()

            async def traffic() -> None:
                while not ended.is_set():
                    sent[0] += 1
                    try:
                        await _granted(method, _token(issuer, signing[0], sent[0]))
                    except Rejected as rejected:
                        failed.append((signing[0], rejected.cause))
                    await asyncio.sleep(0)

            async def sent_over(number: int) -> None:
                await until(lambda: sent[0] > number)

            users = [asyncio.ensure_future(traffic()) for _ in range(5)]
            for rotation in range(1, 6):
                issuer.publish(f"k{rotation - 1}", f"k{rotation}")  # published, and used in the same moment
                signing[0], before = f"k{rotation}", sent[0]
                await sent_over(before + 20)
            ended.set()
            await asyncio.gather(*users)
            assert (failed, sent[0] > 100) == ([], True)
            assert issuer.counts["/jwks"] <= 15, "single flight: five users asked for one fetch of each rotation"
            assert issuer.most_at_once == 1
            await method.close()

    run(main)


def test_a_rotation_right_after_a_fetch_waits_for_the_next_one_instead_of_failing() -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.discoverable()
            issuer.publish("old")
            method = _method(issuer, _discovered(issuer, KeyTimes(throttle_s=0.5, wait_s=5)))
            await _granted(method, _token(issuer, "old"))
            issuer.publish("old", "new")
            began_s = time.monotonic()
            await _granted(method, _token(issuer, "new"))
            assert time.monotonic() - began_s > 0.2, "throttled"
            assert issuer.counts["/jwks"] == 2
            await method.close()

    run(main)


def test_a_request_during_an_older_fetch_waits_for_one_that_began_after_it() -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.publish("old")
            old = issuer.answers["/jwks"]
            method = _method(issuer, KeyRing(UrlSource(f"{issuer.url}/jwks"), EAGER))
            await _granted(method, _token(issuer, "old"))
            gate = asyncio.Event()
            assert isinstance(old, Answer)
            issuer.answers["/jwks"] = Answer(old.body, after=gate)
            issuer.keys["stranger"] = issuer.keys["old"]
            first = asyncio.ensure_future(_cause(method, _token(issuer, "stranger")))
            await until(lambda: issuer.counts["/jwks"] == 2)
            issuer.publish("old", "new")  # while the fetch under way will still answer without it
            second = asyncio.ensure_future(_granted(method, _token(issuer, "new")))
            await asyncio.sleep(0)
            gate.set()
            assert (await first, (await second).agent_id) == ("signing_key", "cursor")
            await method.close()

    run(main)


def test_strangers_key_ids_ask_for_no_more_than_one_fetch_in_each_interval() -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.publish("k")
            ring = KeyRing(UrlSource(f"{issuer.url}/jwks"), KeyTimes(throttle_s=0.3))
            method = _method(issuer, ring)
            await _granted(method, _token(issuer, "k"))
            for number in range(40):
                issuer.keys[f"s{number}"] = issuer.keys["k"]
            began_s = time.monotonic()
            for batch in range(4):
                causes = await asyncio.gather(*(_cause(method, _token(issuer, f"s{10 * batch + each}")) for each in range(10)))
                assert set(causes) == {"signing_key"}
            assert issuer.counts["/jwks"] <= 2 + (time.monotonic() - began_s) / 0.3
            await method.close()

    run(main)


def test_those_who_wait_for_keys_are_bounded() -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.publish("k")
            ring = KeyRing(UrlSource(f"{issuer.url}/jwks"), EAGER)
            ring.start()
            await ring.renewed()
            gate = asyncio.Event()
            issuer.answers["/jwks"] = Answer(issuer.answers["/jwks"].body, after=gate)  # type: ignore[union-attr]
            waiting = [asyncio.ensure_future(ring.renewed()) for _ in range(MAX_WAITING)]
            await until(lambda: issuer.at_once == 1)
            async with asyncio.timeout(0.5):
                assert await ring.renewed() is None, "one more does not wait, and nobody looked for it"
            gate.set()
            assert set(map(type, await asyncio.gather(*waiting))) == {type(ring.keys)}
            await ring.close()

    run(main)


def test_a_rotation_blames_no_token_while_a_stranger_fills_the_waiting_room() -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.publish("k")
            method = _method(issuer, KeyRing(UrlSource(f"{issuer.url}/jwks"), EAGER))
            await _granted(method, _token(issuer, "k"))
            issuer.publish("k", "new")
            gate = asyncio.Event()
            issuer.answers["/jwks"] = Answer(issuer.answers["/jwks"].body, after=gate)  # type: ignore[union-attr]
            issuer.keys["strange"] = issuer.keys["k"]
            strange = [asyncio.ensure_future(_cause(method, _token(issuer, "strange", number))) for number in range(MAX_WAITING)]
            await until(lambda: issuer.at_once == 1)
            assert await _cause(method, _token(issuer, "new")) == "keys_unavailable"
            gate.set()
            assert set(await asyncio.gather(*strange)) == {"signing_key"}
            assert (await _granted(method, _token(issuer, "new"))).agent_id == "cursor"
            await method.close()

    run(main)


def test_a_token_that_waited_in_vain_for_its_key_is_not_blamed() -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.publish("k")
            times = KeyTimes(throttle_s=0.0, wait_s=0.05)
            method = _method(issuer, KeyRing(UrlSource(f"{issuer.url}/jwks"), times))
            await _granted(method, _token(issuer, "k"))
            issuer.publish("k", "new")
            issuer.answers["/jwks"] = Answer(issuer.answers["/jwks"].body, after=asyncio.Event())  # type: ignore[union-attr]
            assert await _cause(method, _token(issuer, "new")) == "keys_unavailable"
            await method.close()

    run(main)


def test_an_issuer_that_is_slow_holds_nobody_whose_key_is_known() -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.discoverable()
            issuer.publish("known")
            method = _method(issuer, _discovered(issuer))
            await _granted(method, _token(issuer, "known"))
            issuer.publish("known", "new")
            answer = issuer.answers["/jwks"]
            assert isinstance(answer, Answer)
            answer.after = asyncio.Event()
            waiting = asyncio.ensure_future(_granted(method, _token(issuer, "new")))
            for number in range(50):
                await _granted(method, _token(issuer, "known", number))
                await asyncio.sleep(0)
            assert not waiting.done()
            answer.after.set()
            assert (await waiting).agent_id == "cursor"
            await method.close()

    run(main)


def test_an_issuer_that_is_down_at_the_start_is_told_and_heals_by_itself() -> None:
    async def main() -> None:
        async with provider() as issuer:
            method = _method(issuer, _discovered(issuer))
            issuer.keys["k"] = ec.generate_private_key(ec.SECP256R1())
            assert await _cause(method, _token(issuer, "k")) == "keys_unavailable"
            assert list(method.failures()) == [issuer.url]
            issuer.discoverable()
            issuer.publish("k")
            await until(lambda: not method.failures())
            assert (await _granted(method, _token(issuer, "k"))).agent_id == "cursor"
            await method.close()

    run(main)


def test_an_issuer_that_goes_away_leaves_its_keys_in_use_and_takes_them_up_again() -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.discoverable()
            issuer.publish("k")
            ring = _discovered(issuer)
            method = _method(issuer, ring)
            await _granted(method, _token(issuer, "k"))
            issuer.answers.clear()
            issuer.keys["stranger"] = issuer.keys["k"]
            assert await _cause(method, _token(issuer, "stranger")) == "signing_key"
            assert (ring.failures > 0, list(method.failures())) == (True, [issuer.url])
            assert (await _granted(method, _token(issuer, "k", 2))).agent_id == "cursor"
            issuer.discoverable(jwks_uri=f"{issuer.url}/moved")
            issuer.publish("k", "new")
            issuer.answers["/moved"] = issuer.answers.pop("/jwks")
            await until(lambda: not method.failures())
            assert (await _granted(method, _token(issuer, "new"))).agent_id == "cursor", "its metadata was asked for again"
            assert ring.age_s is not None
            await method.close()

    run(main)


@pytest.mark.parametrize(
    ("cache_control", "fetches_again"),
    [("max-age=0", True), ("no-store", True), ("max-age=1", True), ("max-age=86400", False), (None, False)],
)
def test_cache_control_shortens_the_time_between_fetches_within_bounds(cache_control: str | None, fetches_again: bool) -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.publish("k", headers={} if cache_control is None else {"cache-control": cache_control})
            times = KeyTimes(refresh_s=1.0, least_refresh_s=0.1)
            ring = KeyRing(UrlSource(f"{issuer.url}/jwks"), times)
            ring.start()
            began_s = time.monotonic()
            await until(lambda: issuer.counts["/jwks"] == 2)
            took_s = time.monotonic() - began_s
            assert (took_s < 0.8) == (fetches_again and cache_control != "max-age=1")
            assert 0.09 < took_s < 3, "never at once, and never later than `refresh_s`"
            await ring.close()

    run(main)


@pytest.mark.parametrize(
    ("header", "granted_s"),
    [
        (None, None),
        ("", None),
        ("public", None),
        ("public, max-age=600, must-revalidate", 600.0),
        ("MAX-AGE = 60", 60.0),
        ('max-age="5"', 5.0),
        ("max-age=600, no-cache", 0.0),
        ("no-store", 0.0),
        ("s-maxage=10", None),
        ("max-age=-1", None),
        ("max-age=999999999999", None),
    ],
)
def test_cache_control_is_read_with_care(header: str | None, granted_s: float | None) -> None:
    assert max_age_s(header) == granted_s


EC_KEY, RSA_KEY, WEAK_KEY = (
    ec.generate_private_key(ec.SECP256R1()),
    rsa.generate_private_key(65537, 2048),
    rsa.generate_private_key(65537, 1024),
)
PRIVATE = {**json.loads(ECAlgorithm.to_jwk(EC_KEY)), "kid": "k", "alg": "ES256"}
SECRET_KEY = {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "kid": "k", "alg": "HS256"}
WEAK = {**RSAAlgorithm.to_jwk(WEAK_KEY.public_key(), as_dict=True), "kid": "k"}

HOSTILE = {
    "a private key": (Answer({"keys": [PRIVATE]}), "private or symmetric"),
    "a secret": (Answer({"keys": [SECRET_KEY]}), "private or symmetric"),
    "a weak key": (Answer({"keys": [WEAK]}), "1024 bits"),
    "no keys": (Answer({"keys": []}), "no key in it"),
    "too many": (Answer({"keys": [{}] * 100}), "at most 64"),
    "metadata instead": (Answer({"issuer": "x"}), "not a JWK Set"),
    "html": (Answer(b"<html>"), "not JSON"),
    "deep": (Answer(b"[" * 100_000), "not JSON"),
    "endless": (Answer(endless=True), "larger than"),
    "a redirect": (Answer(status=302, headers={"location": "/elsewhere"}), "HTTP 302"),
    "late": (Answer(slow_s=5), "no answer within"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_key_set_replaces_no_key_and_is_told(name: str) -> None:
    async def main() -> None:
        answer, why = HOSTILE[name]
        async with provider() as issuer:
            issuer.publish("k")
            good = issuer.answers["/jwks"]
            issuer.answers["/elsewhere"] = good
            ring = KeyRing(UrlSource(f"{issuer.url}/jwks", timeout_s=0.3), KeyTimes(throttle_s=0.0, retry_s=60))
            ring.start()
            known = await ring.renewed()
            issuer.answers["/jwks"] = answer
            assert await ring.renewed() is known
            assert known is not None
            assert why in str(ring.failure)
            assert "c2Vj" not in str(ring.failure)
            assert PRIVATE["d"] not in str(ring.failure)
            issuer.answers["/jwks"] = good
            assert await ring.renewed() is known
            assert (ring.failure, "/elsewhere" in issuer.counts) == (None, False)
            await ring.close()

    run(main)


class Odd:
    """A source that fails in a way that nobody foresaw while it is `broken`, and has a key otherwise."""

    def __init__(self) -> None:
        self.broken = True
        self._body = json.dumps(key_set(k=ec.generate_private_key(ec.SECP256R1()))).encode()

    async def read(self) -> Document:
        if self.broken:
            raise ZeroDivisionError("odd")
        return Document(self._body)

    async def close(self) -> None:
        return


def test_a_fetch_that_meets_an_unforeseen_error_is_a_failure_that_is_told_and_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        source = Odd()
        ring = KeyRing(source, KeyTimes(refresh_s=0.01, throttle_s=0.0, retry_s=0.01), of="https://id.example.com")
        ring.start()
        await until(lambda: ring.failures == 3)
        assert (ring.keys, ring.failure) == (None, "an internal error (ZeroDivisionError), see the log")
        source.broken = False
        await until(lambda: ring.failure is None)
        source.broken, before = True, ring.keys
        await until(lambda: ring.failure is not None)
        assert before is not None
        assert ring.keys is before
        await ring.close()

    run(main)
    crashes = [record.getMessage() for record in caplog.records if record.exc_info]
    assert crashes == ["fetching the keys of https://id.example.com crashed"] * 2, "once for each time that it begins to fail"


def test_of_two_keys_with_one_id_each_verifies_its_own_tokens_and_no_other() -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.publish("a", "b", "stranger")
            twins = key_set(a=issuer.keys["a"])["keys"] + key_set(b=issuer.keys["b"])["keys"]
            issuer.answers["/jwks"] = Answer({"keys": [{**each, "kid": "twin"} for each in twins]})
            method = _method(issuer, KeyRing(UrlSource(f"{issuer.url}/jwks"), EAGER))
            told = {}
            for name in ("a", "b", "stranger"):
                issuer.keys["twin"] = issuer.keys[name]
                try:
                    told[name] = (await _granted(method, _token(issuer, "twin", sub=name))).subject.identity.id
                except Rejected as rejected:
                    told[name] = rejected.cause
            assert told == {"a": "a", "b": "b", "stranger": "signature"}
            await method.close()

    run(main)


def test_metadata_without_keys_is_a_failure_that_says_so() -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.discoverable(jwks_uri=None)
            ring = _discovered(issuer)
            ring.start()
            assert await ring.renewed() is None
            assert ring.failure == f"{issuer.url}: its metadata names no `jwks_uri`"
            await ring.close()

    run(main)


def test_a_file_that_is_gone_or_endless_leaves_the_keys_in_use(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "jwks.json"
        path.write_text(json.dumps(key_set(k=EC_KEY)))
        ring = KeyRing(FileSource(path), EAGER)
        ring.start()
        known = await ring.renewed()
        path.unlink()
        assert await ring.renewed() is known
        assert ring.failure == f"{path}: No such file or directory"
        with pytest.raises(SourceFailed):
            await FileSource(tmp_path).read()
        assert isinstance(await FileSource(Path("/dev/zero")).read(), Document)
        await ring.close()

    run(main)


def test_an_issuer_with_a_ca_of_its_own_is_believed_only_with_it(tmp_path: Path) -> None:
    async def main() -> None:
        authority = trustme.CA()
        ca_file = tmp_path / "ca.pem"
        authority.cert_pem.write_to_path(str(ca_file))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        issuer = Provider()
        server = await asyncio.start_server(issuer.serve, "127.0.0.1", 0, ssl=context)
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        issuer.answers["/.well-known/openid-configuration"] = Answer({"issuer": url, "jwks_uri": f"{url}/jwks"})
        trusting, stranger = Discovery(url, Fetcher(ca_file=ca_file)), Discovery(url)
        assert (await trusting.metadata()).jwks_uri == f"{url}/jwks"
        with pytest.raises(SourceFailed, match="unable to get local issuer certificate"):
            await stranger.metadata()
        await trusting.close()
        await stranger.close()
        server.close()

    run(main)


def test_a_ca_file_that_is_none_is_refused_with_its_name(tmp_path: Path) -> None:
    empty = tmp_path / "ca.pem"
    empty.write_text("not a certificate")
    for path, why in ((empty, "not certificates in PEM"), (tmp_path / "gone.pem", "No such file")):
        with pytest.raises(ValueError, match=why):
            Fetcher(ca_file=path)


def test_the_environments_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")

    async def main() -> None:
        async with provider() as issuer:
            issuer.discoverable()
            discovery = Discovery(issuer.url)
            assert (await discovery.metadata()).issuer == issuer.url
            await discovery.close()

    run(main)


_TEXT = st.text(alphabet="ABab01-_", max_size=90) | st.sampled_from(["AQAB", "", "P-256", "sig", "ES256"])
_VALUE = _TEXT | st.none() | st.integers() | st.lists(_TEXT, max_size=2) | st.booleans()
_JWK: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"kty": st.sampled_from(["RSA", "EC", "OKP", "oct", None, []])},
    optional={
        "crv": st.sampled_from(["P-256", "secp256k1", "Ed25519", "X448", None, []]),
        **dict.fromkeys(("n", "e", "x", "y", "kid", "alg", "use", "key_ops"), _VALUE),
    },
)


@settings(max_examples=200, deadline=None)
@given(st.lists(_JWK | _VALUE, max_size=2))
def test_no_key_set_ends_the_renewal_of_keys(keys: list[Any]) -> None:
    """Anything else than these two would end the background task, and no key would ever be renewed again."""
    try:
        read = read_key_set(json.dumps({"keys": keys}).encode(), digest="")
    except BadKeySet:
        return
    assert len(read.keys) + len(read.unfit) == len(keys)
