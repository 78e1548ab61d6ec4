"""A policy set that is asked not only for its answer but for what the answer depends on."""

import asyncio
import hashlib
import re
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
LONG_CHARS = 16_000  # of what is left of one package's refusals: nobody reads it, and it is asked for a thousand times
CONNECTIONS = 4
LIBRARY = "mcp/lib/"
EXCEPTIONS = frozenset({"items", "blocks", "waivers", "rules"})  # of the facts, told in other ways
_VARIABLE = re.compile(rb'"(?:\$|__local|__not|_)[^"]*"')  # as OPA calls them: numbered anew in each answer


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
    long: set[tuple[str, str]] = field(default_factory=set, repr=False)  # packages and verbs of which too much is left, as met
    _grounds: dict[str, str] = field(default_factory=dict, repr=False)
    _weighed: set[str] = field(default_factory=set, repr=False)
    _data: dict[tuple[str, bytes], Json] = field(default_factory=dict, repr=False)  # as read before: a set never changes
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONNECTIONS), repr=False)

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
        answer, text = await self._compiled(query, given, unknowns)
        return read(answer.get("result"), given, unknowns, len(text))

    async def shape(self, query: str, given: JsonObject, unknowns: Sequence[str]) -> str:
        """Equal where the same is left of `query` but for the item's public name, which messages hold. Raises `Undecided`."""
        _, text = await self._compiled(query, given, unknowns)
        names: dict[bytes, bytes] = {}
        text = _VARIABLE.sub(lambda match: names.setdefault(match[0], b'"$%d"' % len(names)), text)
        resources = given.get("resources")
        for item in resources if isinstance(resources, list) else ():
            if isinstance(item, dict) and isinstance(name := item.get("public_name"), str):
                text = text.replace(msgspec.json.encode(name), b'""')
        return hashlib.sha256(text).hexdigest()

    async def ground(self, file: str, item: JsonObject) -> str:
        """Equal where the rules of `file` must ask the same of this item: of their text, the library's, and the facts."""
        if file not in self._grounds:
            facts = await self.value("mcp/facts")
            told = facts if isinstance(facts, dict) else {}
            texts = [self.copy.texts[name] for name in sorted(self.copy.texts) if name == file or name.startswith(LIBRARY)]
            settled = msgspec.json.encode({name: told[name] for name in sorted(told) if name not in EXCEPTIONS}, order="sorted")
            self._grounds[file] = hashlib.sha256(b"\0".join([*texts, settled])).hexdigest()
        known = await self.value("mcp/facts/items")
        places = (item.get("type"), item.get("name")), ("resource_template", item.get("template"))  # what is read of a URI
        said = [[_inside(known, item.get("backend"), *place, name) for name in ("labels", "extract")] for place in places]
        return hashlib.sha256(msgspec.json.encode([self._grounds[file], said])).hexdigest()

    async def _compiled(self, query: str, given: JsonObject, unknowns: Sequence[str]) -> tuple[dict[str, Any], bytes]:
        self.check_version()
        options = {"disableInlining": self.rules.kept_whole}
        return await self._post("/v1/compile", {"query": query, "input": given, "unknowns": unknowns, "options": options})

    def unweighed(self, packages: str) -> bool:
        """Whether these were not yet asked one by one for which of them is long; they are from now on."""
        known = len(self._weighed)
        self._weighed.add(packages)
        return len(self._weighed) > known

    async def value(self, path: str, given: JsonObject | None = None) -> Json:
        """What is at `path` of the data (`mcp/facts`), for this input where it needs one; None: nothing. Raises `Undecided`."""
        key = (path, msgspec.json.encode(given))
        if key not in self._data:
            answer, _ = await self._post(f"/v1/data/{path}", {"input": given or {}})
            self._data[key] = answer.get("result")
        return self._data[key]

    async def _post(self, path: str, body: object) -> tuple[dict[str, Any], bytes]:
        """The answer, and its text."""
        try:
            async with self._room, asyncio.timeout(WITHIN_S):  # its time begins when there is a connection for it
                async with self._http.post(f"http://opa{path}", data=msgspec.json.encode(body)) as answer:
                    text = await answer.read()
                if answer.status != 200:
                    raise Undecided("status", f"OPA answered {answer.status}: {text[:300].decode(errors='backslashreplace')}")
                told = msgspec.json.decode(text)
        except TimeoutError as error:  # before OSError, of which it is one
            raise Undecided("late", f"a partial evaluation took more than {WITHIN_S:g} s") from error
        except (aiohttp.ClientError, OSError, msgspec.DecodeError) as error:
            raise Undecided("unreachable", f"OPA did not answer a partial evaluation: {error}") from error
        if not isinstance(told, dict):
            raise Undecided("garbage", "OPA's answer is no object")
        return told, text


def _inside(known: Json, *names: Json) -> Json:
    for name in names:
        known = known.get(str(name)) if isinstance(known, dict) else None
    return known


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
