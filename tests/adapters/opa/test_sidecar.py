"""A sidecar is believed only while its revision is known and its canaries are right."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import trustme

from gateway.adapters.opa import canary
from gateway.adapters.opa.client import Limits, Target
from gateway.adapters.opa.findings import PolicyRejected
from gateway.adapters.opa.sidecar import SidecarDecider, Trust, UnsafeUrl, canaries, target
from gateway.adapters.opa.status import PolicyEvent
from gateway.errors import Undecided
from gateway.model import Resource
from gateway.policy.extract import Declared, Extractions

ALLOWED = b'{"input":{"backend":"crm"}}'
CANARIES = (
    canary.Canary("allow", ALLOWED, (0,), (0,)),
    canary.Canary("deny", b'{"input":{"backend":"other"}}', (), ()),
)


class FakeOpa:
    """A server that answers as it is told to, at a moment's notice."""

    def __init__(self) -> None:
        self.revision = "r1"
        self.allows_everything = False
        self.loaded = True
        self.facts: object = {"version": 1}
        self.asked = 0
        self.authorization: set[str] = set()
        self._writers: list[asyncio.StreamWriter] = []

    def told(self) -> bytes:
        return msgspec.json.encode({"provenance": {"bundles": {"b": {"revision": self.revision}}}, "result": self.facts})

    def answer(self, body: bytes) -> bytes:
        self.asked += 1
        positions = [0] if self.allows_everything or b"crm" in body else []
        told: dict[str, object] = {"provenance": {"bundles": {"b": {"revision": self.revision}}}}
        if self.loaded:
            told["result"] = {"version": 1, "visible": positions, "allowed": positions}
        return msgspec.json.encode(told)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
                self.authorization.add(fields.get("authorization", ""))
                body = await reader.readexactly(int(fields["content-length"]))
                answer = self.told() if head[0].startswith("POST /v1/data/mcp/facts?") else self.answer(body)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer))
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            writer.close()

    async def end(self, server: asyncio.Server) -> None:
        server.close()
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)


@asynccontextmanager
async def listening(opa: FakeOpa, path: Path) -> AsyncIterator[Target]:
    server = await asyncio.start_unix_server(opa.serve, str(path))
    yield Target(socket_path=str(path))
    await opa.end(server)


@asynccontextmanager
async def believing(to: Target, events: list[PolicyEvent]) -> AsyncIterator[SidecarDecider]:
    decider = SidecarDecider(to, Limits(deadline_s=0.5), CANARIES, events.append)
    await decider.start()
    try:
        yield decider
    finally:
        await decider.close()


async def outcome(decider: SidecarDecider) -> str:
    """The revision that decided, or the cause of being undecided."""
    try:
        return (await decider.decide(ALLOWED)).revision
    except Undecided as error:
        return error.cause


async def until_ready(decider: SidecarDecider) -> None:
    async with asyncio.timeout(5):
        while not decider.status().ready:  # noqa: ASYNC110  # readiness is polled by nature
            await asyncio.sleep(0.01)


def test_a_proved_revision_decides_and_a_new_one_is_proved_before_it_does(tmp_path: Path) -> None:
    async def main() -> None:
        opa, events = FakeOpa(), list[PolicyEvent]()
        async with listening(opa, tmp_path / "s") as to, believing(to, events) as decider:
            assert await outcome(decider) == "r1"
            opa.revision, asked = "r2", opa.asked
            assert await outcome(decider) == "r2"
            assert opa.asked - asked == 4  # decisions: the question, which revision it is, both canaries
            assert events == [PolicyEvent("enforced", "r1", None), PolicyEvent("enforced", "r2", "r1")]

    asyncio.run(main())


def test_a_beat_that_meets_an_unforeseen_error_makes_unready_and_is_begun_again(tmp_path: Path) -> None:
    async def main() -> None:
        opa, looked, again = FakeOpa(), 0, asyncio.Event()

        async def health() -> bool:
            nonlocal looked
            looked += 1
            if looked == 2:  # the first one is that of the start
                raise ZeroDivisionError
            if looked == 3:
                again.set()
            return True

        async with listening(opa, tmp_path / "s") as to:
            decider = SidecarDecider(to, Limits(deadline_s=0.5), CANARIES, lambda event: None, health)
            await decider.start()
            before = decider.status()
            async with asyncio.timeout(10):
                await again.wait()
            problem = "looking at the sidecar met an internal error (ZeroDivisionError), see the log"
            assert (before.ready, decider.status()) == (True, replace(before, problem=problem))
            assert await outcome(decider) == "r1"
            await decider.close()

    asyncio.run(main())


def test_a_new_revision_that_allows_everything_decides_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        opa, events = FakeOpa(), list[PolicyEvent]()
        async with listening(opa, tmp_path / "s") as to, believing(to, events) as decider:
            opa.revision, opa.allows_everything = "r2", True
            assert [await outcome(decider) for _ in range(3)] == ["revision", "no_policy", "no_policy"]
            assert (decider.status().canaries, decider.revision) == ("wrong", None)
            assert [(event.kind, event.revision) for event in events] == [("enforced", "r1"), ("rejected", None)]
            opa.allows_everything = False
            await until_ready(decider)
            assert await outcome(decider) == "r2"

    asyncio.run(main())


def declaring(root: str) -> dict[str, object]:
    extract = {"path": {"kind": "path", "roots": [root]}}
    return {"version": 1, "items": {"files": {"tool": {"read": {"extract": extract}}}}}


def test_what_a_revision_declares_is_known_as_soon_as_it_decides(tmp_path: Path) -> None:
    async def main() -> None:
        opa = FakeOpa()
        opa.facts = declaring("/srv/old")
        tool = Resource("tool", "files__read", backend="files", name="read")
        async with listening(opa, tmp_path / "s") as to, believing(to, []) as decider:
            assert decider.extractions.revision == "r1"
            assert decider.extractions.of(tool) == (Declared("path", ("path",), "path", ("/srv/old",)),)
            opa.facts, opa.revision = declaring("/srv/new"), "r2"
            assert await outcome(decider) == "r2"
            assert decider.extractions.revision == "r2"
            assert decider.extractions.of(tool) == (Declared("path", ("path",), "path", ("/srv/new",)),)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (None, "version None of the contract is not served"),
        ({"version": 2}, "version 2 of the contract is not served by this gateway, which serves 1"),
        ({"version": True}, "version True of the contract is not served"),
        (declaring("not/absolute"), "has a root or base that is no absolute, plain path"),
    ],
)
def test_facts_that_are_of_no_use_put_nothing_in_force_and_say_why(tmp_path: Path, facts: object, why: str) -> None:
    async def main() -> None:
        opa, events = FakeOpa(), list[PolicyEvent]()
        opa.facts = facts
        async with listening(opa, tmp_path / "s") as to, believing(to, events) as decider:
            assert await outcome(decider) == "no_policy"
            assert why in decider.status().problem
            assert decider.extractions == Extractions()
            assert [event.kind for event in events] == ["rejected"]
            opa.facts = {"version": 1}
            await until_ready(decider)
            assert await outcome(decider) == "r1"

    asyncio.run(main())


def test_facts_of_another_revision_than_the_canaries_put_nothing_in_force(tmp_path: Path) -> None:
    async def main() -> None:
        opa = FakeOpa()
        opa.told = lambda: msgspec.json.encode({"provenance": {"bundles": {"b": {"revision": "r0"}}}, "result": {"version": 1}})  # type: ignore[method-assign]
        async with listening(opa, tmp_path / "s") as to, believing(to, []) as decider:
            assert await outcome(decider) == "no_policy"
            assert "the facts are of revision 'r0', decisions of 'r1'" in decider.status().problem

    asyncio.run(main())


def test_a_sidecar_that_keeps_its_facts_to_itself_decides_nothing_and_says_what_to_do(tmp_path: Path) -> None:
    async def main() -> None:
        opa = FakeOpa()
        opa.told = lambda: msgspec.json.encode({"provenance": {"bundles": {"b": {"revision": "r1"}}}})  # type: ignore[method-assign]
        async with listening(opa, tmp_path / "s") as to, believing(to, []) as decider:
            assert await outcome(decider) == "no_policy"
            assert "let it read data.mcp.facts" in decider.status().problem

    asyncio.run(main())


def test_a_sidecar_without_a_revision_decides_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        opa = FakeOpa()
        opa.revision = ""
        async with listening(opa, tmp_path / "s") as to, believing(to, []) as decider:
            assert await outcome(decider) == "no_policy"
            assert "names no revision" in decider.status().problem

    asyncio.run(main())


def test_a_sidecar_without_policies_decides_nothing_until_it_has_some(tmp_path: Path) -> None:
    async def main() -> None:
        opa = FakeOpa()
        opa.loaded = False
        async with listening(opa, tmp_path / "s") as to, believing(to, []) as decider:
            assert await outcome(decider) == "no_policy"
            opa.loaded = True
            await until_ready(decider)
            assert await outcome(decider) == "r1"

    asyncio.run(main())


def test_a_sidecar_that_starts_later_is_found(tmp_path: Path) -> None:
    async def main() -> None:
        async with believing(Target(socket_path=str(tmp_path / "s")), []) as decider:
            assert await outcome(decider) == "no_policy"
            async with listening(FakeOpa(), tmp_path / "s"):
                await until_ready(decider)
                assert await outcome(decider) == "r1"

    asyncio.run(main())


def test_https_needs_the_right_authority_and_carries_the_token(tmp_path: Path) -> None:
    async def main() -> None:
        authority = trustme.CA()
        mine, other = tmp_path / "ca.pem", tmp_path / "other.pem"
        authority.cert_pem.write_to_path(str(mine))
        trustme.CA().cert_pem.write_to_path(str(other))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(context)
        opa = FakeOpa()
        server = await asyncio.start_server(opa.serve, "localhost", 0, ssl=context)
        url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
        async with believing(target(url, Trust(ca=mine, token="secret")), []) as decider:
            assert await outcome(decider) == "r1"
        async with believing(target(url, Trust(ca=other)), []) as decider:
            assert await outcome(decider) == "no_policy"
        assert opa.authorization == {"Bearer secret"}
        await opa.end(server)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://opa.example.com:8181", "plain http beyond loopback"),
        ("http://10.0.0.1", "plain http beyond loopback"),
        ("ftp://localhost", "not an http, https or unix: URL"),
        ("http://user:pw@localhost", "scheme, host and port alone"),
        ("http://localhost/v1/data/other", "scheme, host and port alone"),
        ("http://localhost:99999", "is no URL"),
        ("unix:", "names no socket"),
    ],
)
def test_an_unsafe_url_is_refused_with_what_to_do(url: str, why: str) -> None:
    with pytest.raises(UnsafeUrl, match=why):
        target(url, Trust())


@pytest.mark.parametrize(
    ("url", "to"),
    [
        ("http://localhost:8181", Target(host="localhost", port=8181)),
        ("http://127.0.0.9", Target(host="127.0.0.9", port=8181)),
        ("http://[::1]:9/", Target(host="::1", port=9)),
        ("unix:/run/opa.sock", Target(socket_path="/run/opa.sock")),
        ("unix:///run/opa.sock", Target(socket_path="/run/opa.sock")),
    ],
)
def test_a_safe_url_leads_to_its_target(url: str, to: Target) -> None:
    assert target(url, Trust()) == to


def test_plain_http_beyond_loopback_is_accepted_when_told_safe() -> None:
    assert target("http://opa:8181", Trust(allow_plain_http=True)) == Target(host="opa", port=8181)


def test_canaries_that_could_not_fail_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "data.json"
    file.write_text('[{"name": "n", "input": {}, "expect": {"visible": [0], "allowed": [0]}}]')
    with pytest.raises(PolicyRejected, match="no canary expects to be denied"):
        canaries(file)
    file.write_text('[{"name": "n", "input": {}, "expect": {"visible": [0], "allowed": []}}]')
    with pytest.raises(PolicyRejected, match="no canary expects to be allowed"):
        canaries(file)
    file.write_text('[{"name": "n", "input": {}, "expected": {}}]')
    with pytest.raises(PolicyRejected, match="is not a list of canaries"):
        canaries(file)
