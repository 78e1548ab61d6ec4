"""What the facts declare of a prompt's argument and of a template's URIs is read, and rules judge it, as with tools."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from examples.demo.stack import first_line, started
from tests.flows.running import TESTERS, Http, Running, gateway, granting, said

INSIDE = """\
# METADATA
# title: only what lies in the folder
# schemas:
#   - input: schema.input
package mcp.servers.files.inside

import data.mcp.lib.extracted
import data.mcp.lib.finding

# METADATA
# title: this is not in the folder
# custom:
#   code: outside
deny contains finding.refusal(rego.metadata.rule()) if {
	some path in extracted.paths
	not path.inside
}
"""
PATH = {"kind": "path", "roots": ["/srv"]}
DECLARED = {
    "prompt": {"review": {"extract": {"file": PATH}}},
    "resource_template": {"file:///srv/{name}": {"extract": {"uri": {**PATH, "roots": ["/srv/public"]}}}},
}
ERAS = pytest.mark.parametrize("era", ["modern", "legacy"])


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("uris")
    policies = granting(folder, "files")
    (policies / "mcp/servers/files/inside.rego").write_text(INSIDE)
    declared = policies / "mcp/facts/items/files/data.json"
    declared.parent.mkdir(parents=True)
    declared.write_text(json.dumps(DECLARED))
    with ExitStack() as stopping:
        log = folder / "files.log"
        process = started(["-m", "tests.flows.files_server"], log, stopping)
        url = f"http://127.0.0.1:{first_line(process, log, 'port').split()[1]}/mcp"
        running = stopping.enter_context(gateway(folder, {"files": url}, {"ann": {"groups": list(TESTERS)}}, policies=policies))
        yield running
        assert "Traceback" not in running.log


def asked(running: Running, era: str, method: str, params: dict[str, Any]) -> str:
    """The text that the caller gets, or the message of the error."""
    with Http(running, "ann") as http:
        if era == "legacy":
            http.begin()
        answer = said(http.legacy(method, params) if era == "legacy" else http.modern(method, params))
    if "error" in answer:
        return str(answer["error"]["message"])
    result = answer["result"]
    return str(result["contents"][0]["text"] if "contents" in result else result["messages"][0]["content"]["text"])


@ERAS
def test_the_argument_of_a_prompt_is_read(running: Running, era: str) -> None:
    def prompt(file: str) -> str:
        return asked(running, era, "prompts/get", {"name": "files__review", "arguments": {"file": file}})

    assert prompt("/srv/a") == "Review /srv/a."
    assert "this is not in the folder" in prompt("/srv/../etc/passwd")
    assert "cannot be read with certainty" in prompt("~/a")


@ERAS
def test_the_uri_of_a_resource_is_read_as_its_template_declares(running: Running, era: str) -> None:
    def resource(uri: str) -> str:
        return asked(running, era, "resources/read", {"uri": f"gw-files+{uri}"})

    assert resource("file:///srv/public") == "content of public"
    assert "this is not in the folder" in resource("file:///srv/secret")
    assert "cannot be read with certainty" in resource("file:///srv/$(a)")
