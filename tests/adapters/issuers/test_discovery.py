"""Discovery against a real server: found where it may be, kept while the server is down, and never believed too much."""

import asyncio
import gzip

import pytest

from gateway.adapters.discovery import Discovery, DiscoveryTimes
from gateway.adapters.fetching import Fetcher, SourceFailed
from gateway.identity.issuer_metadata import Metadata
from tests.adapters.issuers.provider import Answer, Provider, provider, run, until

OPENID = "/.well-known/openid-configuration"
PLAIN = "/.well-known/oauth-authorization-server"
PROMPT = DiscoveryTimes(refresh_s=0.0, retry_s=0.0)


def _known(issuer: Provider) -> Metadata:
    return Metadata(issuer.url, f"{issuer.url}/jwks", None, f"{issuer.url}/introspect")


@pytest.mark.parametrize("place", [OPENID, PLAIN])
def test_metadata_is_found_at_either_place(place: str) -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.discoverable(place)
            discovery = Discovery(issuer.url)
            assert await discovery.metadata() == _known(issuer)
            assert issuer.asked[-1].path == place
            await discovery.close()

    run(main)


def test_metadata_of_a_tenant_is_found_by_path_insertion() -> None:
    async def main() -> None:
        async with provider() as issuer:
            tenant = f"{issuer.url}/tenant"
            issuer.discoverable(f"{PLAIN}/tenant", issuer=tenant)
            discovery = Discovery(tenant)
            assert (await discovery.metadata()).issuer == tenant
            assert [each.path for each in issuer.asked] == [f"/tenant{OPENID}", f"{PLAIN}/tenant"]
            await discovery.close()

    run(main)


def test_a_page_for_everything_does_not_hide_the_metadata_beside_it() -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.answers[OPENID] = Answer(b"<html>")
            issuer.discoverable(PLAIN)
            discovery = Discovery(issuer.url, times=PROMPT)
            assert await discovery.metadata() == _known(issuer)
            await discovery.metadata()
            await until(lambda: len(issuer.asked) == 3)
            assert issuer.asked[-1].path == PLAIN, "what was found once is asked first"
            await discovery.close()

    run(main)


def test_the_settings_may_name_the_place() -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.discoverable("/elsewhere")
            discovery = Discovery(issuer.url, url=f"{issuer.url}/elsewhere")
            assert await discovery.metadata() == _known(issuer)
            assert issuer.counts == {"/elsewhere": 1}
            await discovery.close()

    run(main)


HOSTILE = {
    "another issuer": ({"issuer": "https://id.example.com"}, "character by character"),
    "the issuer with a slash": ({"issuer": "{url}/"}, "character by character"),
    "keys on another scheme": ({"issuer": "{url}", "jwks_uri": "file:///etc/passwd"}, "must be an https URL"),
    "keys in the clear": ({"issuer": "{url}", "jwks_uri": "http://192.0.2.1/jwks"}, "must be an https URL"),
    "no object": ([], "not a JSON object"),
    "html": (Answer(b"<!doctype html><title>Sign in</title>", headers={"content-type": "text/html"}), "not JSON"),
    "huge": (Answer(b"{" + b" " * (200 * 1024)), "larger than 131072 bytes"),
    "endless": (Answer(endless=True), "larger than 131072 bytes"),
    "a redirect": (Answer(status=302, headers={"location": "/elsewhere"}), "HTTP 302"),
    "an error": (Answer(status=500), "HTTP 500"),
    "a bomb": (Answer(gzip.compress(b" " * 10_000_000), headers={"content-encoding": "gzip"}), "not asked for"),
    "late": (Answer(slow_s=5), "no answer within"),
    "no HTTP": (Answer(headers={"bad header\x00": "x"}), "ProtocolError"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_metadata_counts_for_nothing_and_what_was_known_stays(name: str) -> None:
    async def main() -> None:
        told, why = HOSTILE[name]
        async with provider() as issuer:
            issuer.discoverable("/elsewhere")
            answer = told if isinstance(told, Answer) else Answer(_spelt(told, issuer.url))
            good = issuer.answers["/elsewhere"]
            issuer.answers[OPENID] = issuer.answers[PLAIN] = answer
            discovery = Discovery(issuer.url, Fetcher(timeout_s=0.3), times=PROMPT)
            with pytest.raises(SourceFailed, match=why):
                await discovery.metadata()
            issuer.answers[OPENID] = good
            assert await discovery.metadata() == _known(issuer)
            issuer.answers[OPENID] = answer
            await discovery.metadata()
            await until(lambda: discovery.failure is not None)
            assert await discovery.metadata() == _known(issuer)
            assert "/elsewhere" not in issuer.counts
            await discovery.close()

    run(main)


def _spelt(told: object, url: str) -> object:
    return {name: value.format(url=url) for name, value in told.items()} if isinstance(told, dict) else told


def test_many_ask_and_one_fetches() -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.discoverable()
            discovery = Discovery(issuer.url)
            found = await asyncio.gather(*(discovery.metadata() for _ in range(50)))
            assert (set(found), len(issuer.asked)) == ({_known(issuer)}, 1)
            await discovery.close()

    run(main)


def test_whoever_stops_waiting_ends_nobody_elses_fetch() -> None:
    async def main() -> None:
        async with provider() as issuer:
            issuer.discoverable()
            answer, gate = issuer.answers[OPENID], asyncio.Event()
            assert isinstance(answer, Answer)
            answer.after = gate
            discovery = Discovery(issuer.url)
            first, second = (asyncio.ensure_future(discovery.metadata()) for _ in range(2))
            await issuer.arrived.wait()
            first.cancel()
            gate.set()
            assert await second == _known(issuer)
            assert len(issuer.asked) == 1
            await discovery.close()

    run(main)


def test_a_failure_is_not_repeated_at_once() -> None:
    async def main() -> None:
        async with provider() as issuer:
            now_s = [0.0]
            discovery = Discovery(issuer.url, clock_s=lambda: now_s[0])
            for _ in range(20):
                with pytest.raises(SourceFailed):
                    await discovery.metadata()
            assert len(issuer.asked) == 2, "each place once"
            now_s[0] = 1.1
            issuer.discoverable()
            assert await discovery.metadata() == _known(issuer)
            assert discovery.failure is None
            await discovery.close()

    run(main)


def test_a_provider_that_is_not_there_is_asked_once_and_told_plainly() -> None:
    async def main() -> None:
        discovery = Discovery("http://127.0.0.1:9")
        with pytest.raises(SourceFailed) as failed:
            await discovery.metadata()
        assert str(failed.value) == "http://127.0.0.1:9/.well-known/openid-configuration: ConnectError"
        await discovery.close()

    run(main)
