"""A policy set that is asked not only for its answer but for what the answer depends on."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from gateway.adapters.opa import compile, snapshot
from gateway.adapters.opa.place import private_folder
from gateway.adapters.opa.process import Launch
from gateway.adapters.opa.snapshot import Snapshot, Source
from gateway.adapters.opa.spoken import spoken
from gateway.errors import Undecided
from gateway.lifecycle.asking import PATIENCE, Asked, running
from gateway.lifecycle.conditions.residue import Partial, read
from gateway.lifecycle.conditions.rules import Rules, rules
from gateway.model import Json, JsonObject
from gateway.policy.contract import SERVED, VERSION_1, Contracts
from gateway.ports import Verdict

WITHIN_S = 30.0  # of one partial evaluation
CONNECTIONS = 4


class OtherWords(Undecided):
    """The set is asked in another version of the contract than conditions are told in."""

    def __init__(self, version: int) -> None:
        super().__init__("undefined")
        self.version = version

    def __str__(self) -> str:
        return f"conditions are told of policy sets of version 1, and this is one of version {self.version}"


@dataclass(frozen=True, slots=True)
class Opened:
    """A running set, its rules by place, and partial evaluation."""

    binary: str
    copy: Snapshot
    rules: Rules
    _asked: Asked = field(repr=False)
    _http: aiohttp.ClientSession = field(repr=False)
    _data: dict[tuple[str, bytes], Json] = field(default_factory=dict, repr=False)  # as read before: a set never changes

    @property
    def revision(self) -> str:
        return self.copy.revision

    async def ask(self, document: JsonObject) -> Verdict:
        """The answer to `{"input": …}`, as in production. Raises `Undecided`."""
        return await self._asked.judged(msgspec.json.encode(document))

    def check_version(self) -> None:
        """Raises `OtherWords` where the rules read a document in other words than those that conditions are told in."""
        if self._asked.contract is not VERSION_1:
            raise OtherWords(self._asked.contract.version)

    async def partial(self, query: str, given: JsonObject, unknowns: Sequence[str]) -> Partial:
        """What is left of `query` when all but `unknowns` is known. Raises `Undecided`."""
        self.check_version()
        options = {"disableInlining": self.rules.kept_whole}
        asked = {"query": query, "input": given, "unknowns": unknowns, "options": options}
        answer = await self._post("/v1/compile", asked)
        return read(answer.get("result"), given, unknowns)

    async def value(self, path: str, given: JsonObject | None = None) -> Json:
        """What is at `path` of the data (`mcp/facts`), for this input where it needs one; None: nothing. Raises `Undecided`."""
        key = (path, msgspec.json.encode(given))
        if key not in self._data:
            self._data[key] = (await self._post(f"/v1/data/{path}", {"input": given or {}})).get("result")
        return self._data[key]

    async def _post(self, path: str, body: object) -> dict[str, Any]:
        try:
            async with asyncio.timeout(WITHIN_S), self._http.post(f"http://opa{path}", data=msgspec.json.encode(body)) as answer:
                text = await answer.read()
                if answer.status != 200:
                    raise Undecided("status", f"OPA answered {answer.status}: {text[:300].decode(errors='backslashreplace')}")
                told = msgspec.json.decode(text)
        except (aiohttp.ClientError, OSError, msgspec.DecodeError) as error:
            raise Undecided("unreachable", f"OPA did not answer a partial evaluation: {error}") from error
        except TimeoutError as error:
            raise Undecided("late", f"a partial evaluation took more than {WITHIN_S:g} s") from error
        if not isinstance(told, dict):
            raise Undecided("garbage", "OPA's answer is no object")
        return told


@asynccontextmanager
async def opened(binary: str, source: Source, contracts: Contracts = SERVED) -> AsyncIterator[Opened]:
    """The policy set in `source`, running. Raises `PolicyRejected` where it does not compile, and `OpaUnusable`."""
    with private_folder() as name:
        folder = Path(name)
        copy = await asyncio.to_thread(snapshot.take, source, folder)
        contract = spoken(copy, contracts)
        bundle = await compile.build(binary, copy, folder)
        found = await rules(binary, copy)
        socket_path = Launch(binary, bundle, folder, PATIENCE).socket_path
        connector = aiohttp.UnixConnector(str(socket_path), limit=CONNECTIONS)
        async with (
            running(binary, bundle, folder, revision=copy.revision, contract=contract) as asked,
            aiohttp.ClientSession(connector=connector, headers={"Content-Type": "application/json"}) as http,
        ):
            yield Opened(binary, copy, found, asked, http)
