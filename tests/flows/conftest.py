"""One gateway before one test server of each era, for all tests that change nothing about it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.running import TESTERS, Running, gateway, granting
from tests.peers.sdk_server import started_server


@pytest.fixture(scope="session")
def places() -> Iterator[dict[str, str]]:
    """The URL of each backend: `new` is modern, `old` is legacy."""
    with started_server("--name", "new", "--era", "modern") as new, started_server("--name", "old", "--era", "legacy") as old:
        yield {"new": new.url, "old": old.url}


@pytest.fixture(scope="session")
def open_gateway(places: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Everything of both is granted to `tester`, on the default surface and bare on one surface each."""
    folder: Path = tmp_path_factory.mktemp("open")
    surfaces = {"default": {}, **{f"bare-{name}": {"backends": [name], "bare": True} for name in places}}
    callers = {"tester": {"groups": TESTERS}}
    limits = {"list_page_items": 10, "keep_alive_s": 0.5}
    with gateway(folder, places, callers, policies=granting(folder, *places), surfaces=surfaces, limits=limits) as running:
        yield running
        assert "Traceback" not in running.log
