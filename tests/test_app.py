"""How the gateway ends."""

import asyncio
import json
from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.settings.load import load

SETTINGS = """
backends: {crm: {url: "http://127.0.0.1:1/mcp"}}
opa: {binary: sh}  # never started
identity: {api_keys: [{id: ci, sha256: "%s", subject: ci}]}
""" % ("0" * 64)


class Stuck(RuntimeError):
    pass


class Catalogs:
    """Has nothing to end, and fails to."""

    async def close(self) -> None:
        raise Stuck


def test_where_one_part_fails_to_end_the_others_end_all_the_same_and_the_audit_says_that_it_stopped(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(SETTINGS)
    settings = load(file, {})

    async def main() -> None:
        gateway = Gateway(settings, "http://127.0.0.1:1")
        gateway._catalogs = Catalogs()  # type: ignore[assignment]
        await gateway._audit.start({"type": "start"})
        async with asyncio.timeout(20):
            with pytest.raises(Stuck):
                await gateway.close()

    asyncio.run(main())
    (book,) = settings.audit.folder.glob("audit-*.jsonl")
    assert [json.loads(line)["type"] for line in book.read_text().splitlines()] == ["start", "stop"]
