"""The policies that this repository ships, through the whole life cycle on the real OPA, and a real OPA as a sidecar."""

import asyncio
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from gateway.adapters.opa.client import Limits
from gateway.adapters.opa.decider import PolicySetDecider
from gateway.adapters.opa.findings import PolicyRejected
from gateway.adapters.opa.sidecar import SidecarDecider, Trust, canaries, target
from gateway.adapters.opa.snapshot import Source
from gateway.adapters.opa.upkeep import health

ROOT = Path(__file__).resolve().parents[3]
CAPABILITIES = ROOT / "tools" / "opa" / "capabilities.json"


@pytest.fixture
def shipped(tmp_path: Path) -> Source:
    """A copy of the shipped policies, to be edited."""
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    shutil.copytree(ROOT / "schemas", tmp_path / "schemas")
    return Source(tmp_path / "policies", tmp_path / "schemas", CAPABILITIES)


def test_the_shipped_policies_are_enforced(opa: str, shipped: Source) -> None:
    async def main() -> None:
        decider = PolicySetDecider(shipped, opa, Limits(), lambda _: None)
        try:
            async with asyncio.timeout(20):
                await decider.load()
            assert decider.status().ready
        finally:
            await decider.close()

    asyncio.run(main())


EDITS = {
    "a clock": (
        "mcp/servers/crm/night.rego",
        "# METADATA\n# schemas:\n#   - input: schema.input\npackage mcp.servers.crm.night\n\n"
        "# METADATA\n# title: closed\n# custom:\n#   code: closed\n"
        'deny contains {"code": "closed", "positions": {0}} if time.now_ns() > 0\n',
        "undefined function time.now_ns",
    ),
    "the network": (
        "mcp/servers/crm/remote.rego",
        "package mcp.servers.crm.remote\n\n"
        'allow contains 0 if http.send({"method": "GET", "url": "http://127.0.0.1"}).status_code == 200\n',
        "undefined function http.send",
    ),
    "a verb that is no set": ("mcp/servers/crm/loose.rego", "package mcp.servers.crm.loose\n\nallow if true\n", "allow"),
    "data where rules live": ("mcp/servers/crm/loose/data.json", '{"allow": [0]}\n', "outside mcp/facts"),
    "another's package": ("mcp/servers/crm/stolen.rego", "package mcp.servers.deploy.access\n\n_x := 1\n", "package"),
}


@pytest.mark.parametrize("case", EDITS)
def test_what_opa_would_load_and_misread_is_refused_with_its_file(opa: str, shipped: Source, case: str) -> None:
    name, text, message = EDITS[case]
    path = shipped.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)

    async def main() -> None:
        decider = PolicySetDecider(shipped, opa, Limits(), lambda _: None)
        try:
            async with asyncio.timeout(20):
                with pytest.raises(PolicyRejected) as refused:
                    await decider.load()
            told = [found for found in refused.value.findings if found.file == name]
            assert any(message in found.message for found in told), refused.value.findings
            assert decider.revision is None
        finally:
            await decider.close()

    asyncio.run(main())


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_a_real_sidecar_is_healthy_and_decides(opa: str, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.tar.gz"
    subprocess.run([opa, "build", "-b", ".", "--revision", "v7", "-o", str(bundle)], cwd=ROOT / "policies", check=True)
    url = f"http://127.0.0.1:{free_port()}"

    async def main() -> None:
        check = health(url, Trust())
        assert check is not None
        assert await check() is False
        file = ROOT / "policies" / "mcp" / "canaries" / "data.json"
        decider = SidecarDecider(target(url, Trust()), Limits(), canaries(file), lambda _: None, check)
        await decider.start()
        assert not decider.status().ready
        command = ["run", "--server", "--addr", url, "--skip-version-check", "--log-level", "error", "--bundle", str(bundle)]
        sidecar = await asyncio.create_subprocess_exec(opa, *command, stderr=asyncio.subprocess.DEVNULL)
        try:
            async with asyncio.timeout(10):
                while not decider.status().ready:  # noqa: ASYNC110  # readiness is polled by nature
                    await asyncio.sleep(0.02)
            assert (decider.revision, decider.status().problem) == ("v7", "")
        finally:
            await decider.close()
            sidecar.kill()
            await sidecar.wait()

    asyncio.run(main())


def test_a_socket_or_a_ca_of_our_own_leaves_health_to_the_canaries(tmp_path: Path) -> None:
    assert health("unix:/run/opa.sock", Trust()) is None
