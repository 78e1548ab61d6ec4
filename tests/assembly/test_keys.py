"""The keys of the settings and those of the key file are one set, in which an id names one key only."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.adapters.key_file import KeyChange, edit
from gateway.assembly.keys import WorkloadKeys
from gateway.identity.api_keys import issued
from gateway.identity.grant import Rejected
from gateway.identity.key_file import KeyRecord, tombstone
from gateway.settings.load import SettingsError
from gateway.settings.model import Settings

NOW = datetime(2026, 1, 31, tzinfo=UTC)
FIXED, FIXED_SHA256 = issued("fixed", bytes(range(32)))
OTHER, OTHER_SHA256 = issued("fixed", bytes(32))
FILED = KeyRecord(id="filed", subject="filed", created=NOW, sha256=OTHER_SHA256)
CLASHING = KeyRecord(id="fixed", subject="intruder", created=NOW, sha256=OTHER_SHA256)


def _settings(path: Path) -> Settings:
    identity = {"api_keys": [{"id": "fixed", "sha256": FIXED_SHA256, "subject": "fixed"}], "key_file": path}
    return Settings.model_validate({"backends": {"crm": {"url": "http://127.0.0.1:1/mcp"}}, "identity": identity})


def test_an_id_in_both_places_stops_the_start_also_when_it_was_revoked(tmp_path: Path) -> None:
    path = tmp_path / "keys.jsonl"
    for record in (CLASHING, tombstone(CLASHING, now=NOW)):
        edit(path, lambda records, record=record: (record,))  # type: ignore[misc]
        with pytest.raises(SettingsError) as told:
            WorkloadKeys(_settings(path))
        assert str(told.value) == f"identity.key_file: {path}: identity.api_keys has a key with the id fixed too"


def test_a_file_that_comes_to_name_a_key_of_the_settings_is_not_in_force(tmp_path: Path) -> None:
    path = tmp_path / "keys.jsonl"
    edit(path, lambda records: (FILED,))
    told: list[KeyChange] = []

    async def main() -> None:
        keys = WorkloadKeys(_settings(path), told.append)
        keys.start()
        try:
            edit(path, lambda records: (FILED, CLASHING))
            async with asyncio.timeout(10):
                while len(told) < 2:  # noqa: ASYNC110 — what is awaited happens on the disk
                    await asyncio.sleep(0.01)
            assert (await keys.method.verified(FIXED, resource="", now_s=0)).subject.identity.id == "fixed"
            with pytest.raises(Rejected):
                await keys.method.verified(OTHER, resource="", now_s=0)
        finally:
            await keys.close()

    asyncio.run(main())
    assert told[1].problem == "identity.api_keys has a key with the id fixed too"
