"""A bundle server: what is good is taken with its ETag, what is not never arrives, and the last good one stays."""

import asyncio
import gzip
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from gateway.adapters.opa import feed as feed_module
from gateway.adapters.opa.client import Limits
from gateway.adapters.opa.decider import PolicySetDecider
from gateway.adapters.opa.feed import ENDED, BundleFeed, BundleServer
from gateway.policy import bundle
from gateway.policy.bundle_signature import Trust
from tests.adapters.opa.test_bundles import CRASHING, TRUST, contents, read_or_crash, source, write
from tests.adapters.opa.test_decider import RULES, Edit, until, within
from tests.policy.test_tarball import crafted


class Served:
    """Serves `body` under its tag, and keeps what was asked."""

    def __init__(self, server: HTTPServer) -> None:
        self.body = b""
        self.status = 200
        self.headers: dict[str, str] = {}
        self.asked: list[dict[str, str]] = []
        server.expect_request("/b.tar.gz").respond_with_handler(self.answer)
        self.url = server.url_for("/b.tar.gz")

    def answer(self, request: Request) -> Response:
        self.asked.append({name.lower(): value for name, value in request.headers})
        tag = f'"{hash(self.body)}"'
        if self.status == 200 and request.headers.get("If-None-Match") == tag:
            return Response(status=304)
        return Response(self.body, self.status, {"ETag": tag, **self.headers})


@asynccontextmanager
async def feeding(
    url: str,
    file: Path,
    *,
    trust: Trust | None = TRUST,
    token: str | None = None,
    tls: ssl.SSLContext | None = None,
    wait_s: float = 0,
) -> AsyncIterator[BundleFeed]:
    feed = BundleFeed(BundleServer(url, tls, token, poll_s=0.02, wait_s=wait_s), file, trust)
    await feed.start()
    try:
        yield feed
    finally:
        await feed.close()


def test_new_bundle_is_put_in_force_and_is_not_sent_twice(policies: Path, opa: str, edit: Edit, httpserver: HTTPServer) -> None:
    served, wanted = Served(httpserver), source(policies)
    made = policies.with_name("made.tar.gz")
    served.body = write(contents(policies), made).read_bytes()

    async def main() -> None:
        async with feeding(served.url, wanted.folder, token="s3cret") as feed:
            decider = PolicySetDecider(wanted, opa, Limits(), lambda _: None)
            await decider.start()
            try:
                first = decider.revision
                assert first is not None
                await until(lambda: len(served.asked) > 2, 10.0)
                assert served.asked[0]["authorization"] == "Bearer s3cret"
                assert [("if-none-match" in each) for each in served.asked[:2]] == [False, True]
                edit(RULES, "# generation 0", "# generation 1")
                served.body = write(contents(policies), made).read_bytes()
                await until(lambda: decider.revision not in {None, first}, 15.0)
                assert feed.status().problem == ""
            finally:
                await decider.close()

    within(40, main())


def test_what_is_no_good_bundle_never_reaches_the_file_and_says_why(
    policies: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(feed_module, "LONGEST_PAUSE_S", 0.05)
    served, wanted, made = Served(httpserver), source(policies), policies.with_name("made.tar.gz")
    served.body = good = write(contents(policies), made).read_bytes()

    async def main() -> None:
        async with feeding(served.url, wanted.folder) as feed:

            async def problem(change: Callable[[], None]) -> str:
                before = feed.status().problem
                change()
                await until(lambda: feed.status().problem not in {"", before}, 10.0)
                assert wanted.folder.read_bytes() == good
                return feed.status().problem.removeprefix(f"{served.url}: ")

            def compressed() -> None:
                served.status, served.headers = 200, {"Content-Encoding": "gzip"}

            def bodied(body: bytes) -> Callable[[], None]:
                return lambda: setattr(served, "body", body)

            told = [
                await problem(bodied(b"<html>")),
                await problem(bodied(write(contents(policies), made, keyid=None).read_bytes())),
                await problem(bodied(write(contents(policies), made, extra=b"# more\n").read_bytes())),
                await problem(lambda: setattr(served, "status", 302)),
                await problem(lambda: setattr(served, "status", 503)),
                await problem(compressed),
            ]
            assert told == [
                "the bundle is no whole gzip file",
                "the bundle is not signed, and policy.require_signed is set",
                "the bundle is not what was signed: a file was changed, added or left out since",
                "HTTP 302",
                "HTTP 503",
                "an encoded answer, which was not asked for",
            ]
            served.headers, served.body = {}, good
            await until(lambda: feed.status().problem == "", 10.0)

    within(40, main())


@pytest.mark.parametrize("name", crafted())
def test_crafted_archive_is_refused_and_the_server_is_asked_on(
    policies: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(feed_module, "FIRST_PAUSE_S", 0.02)
    served, wanted = Served(httpserver), source(policies)
    served.body = gzip.compress(crafted()[name])

    async def main() -> None:
        async with feeding(served.url, wanted.folder) as feed:
            assert feed.status().problem.startswith(f"{served.url}: the bundle holds ")
            served.body = good = write(contents(policies), policies.with_name("made.tar.gz")).read_bytes()
            await until(lambda: feed.status().problem == "", 10.0)
            assert wanted.folder.read_bytes() == good

    within(20, main())


def test_error_that_nobody_foresaw_is_told_and_the_server_is_asked_on(
    policies: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(feed_module, "FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(bundle, "read", read_or_crash(bundle.read))
    served, wanted = Served(httpserver), source(policies)
    served.body = CRASHING

    async def main() -> None:
        async with feeding(served.url, wanted.folder) as feed:
            assert feed.status().problem == "an internal error (OverflowError), see the log"
            served.body = write(contents(policies), policies.with_name("made.tar.gz")).read_bytes()
            await until(lambda: feed.status().problem == "", 10.0)

    within(20, main())
    assert next(each.getMessage() for each in caplog.records if each.exc_info) == "taking what the bundle server sent crashed"


def test_feed_that_has_ended_is_not_up(policies: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    served = Served(httpserver)
    served.body = write(contents(policies), policies.with_name("made.tar.gz")).read_bytes()

    async def crashing(_: BundleFeed, *, wait: bool) -> None:
        if wait:  # not at the start
            raise OverflowError

    monkeypatch.setattr(BundleFeed, "_attempt", crashing)

    async def main() -> None:
        async with feeding(served.url, source(policies).folder) as feed:
            await until(lambda: feed.status().problem == ENDED, 10.0)

    within(10, main())


def test_bundle_over_the_bound_is_not_read_to_its_end(
    policies: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "MAX_PACKED_BYTES", 1000)
    served = Served(httpserver)
    served.body = b"x" * 100_000

    async def main() -> None:
        async with feeding(served.url, policies.with_name("b.tar.gz")) as feed:
            assert feed.status().problem == f"{served.url}: larger than 1000 bytes"

    within(10, main())


def test_last_good_bundle_decides_after_a_restart_without_the_server(policies: Path, opa: str, httpserver: HTTPServer) -> None:
    served, wanted = Served(httpserver), source(policies)
    served.body = write(contents(policies), policies.with_name("made.tar.gz")).read_bytes()

    async def main() -> None:
        async with feeding(served.url, wanted.folder):
            pass
        async with feeding("http://127.0.0.1:1/b.tar.gz", wanted.folder) as feed:
            assert feed.status().problem == "http://127.0.0.1:1/b.tar.gz: ConnectError"
            decider = PolicySetDecider(wanted, opa, Limits(), lambda _: None)
            await decider.start()
            try:
                assert decider.revision is not None
            finally:
                await decider.close()

    within(20, main())


def test_long_polling_is_asked_for_and_a_server_that_does_not_wait_is_not_asked_in_a_circle(
    policies: Path, httpserver: HTTPServer
) -> None:
    served = Served(httpserver)
    served.body = write(contents(policies), policies.with_name("made.tar.gz")).read_bytes()

    async def main() -> None:
        began = time.monotonic()
        async with feeding(served.url, source(policies).folder, wait_s=30):
            await until(lambda: len(served.asked) >= 4, 10.0)
        assert time.monotonic() - began >= 0.04
        assert [each.get("prefer") for each in served.asked[:2]] == [None, "modes=snapshot;wait=30"]

    within(20, main())


def test_server_whose_certificate_is_not_of_the_ca_is_not_believed(policies: Path) -> None:
    ours, other = trustme.CA(), trustme.CA()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.issue_cert("localhost").configure_cert(serving)
    made = write(contents(policies), policies.with_name("made.tar.gz")).read_bytes()

    async def main() -> None:
        for authority, problem in ((ours, ""), (other, "ConnectError")):
            trusting = ssl.create_default_context()
            authority.configure_trust(trusting)
            with HTTPServer(host="localhost", ssl_context=serving) as server:
                served = Served(server)
                served.body = made
                async with feeding(served.url, policies.with_name(f"{problem}.tar.gz"), tls=trusting) as feed:
                    assert feed.status().problem.removeprefix(f"{served.url}: ") == problem

    asyncio.run(main())
