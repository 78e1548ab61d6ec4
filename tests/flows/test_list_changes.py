"""A list has changed for a subject when what it is shown of it has: not what the policy takes out of it."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.flows.mirror import Mirror, mirror
from tests.flows.running import META, MODERN, TESTERS, Http, Running, gateway, granting, said, soon

QUIET = """\
# METADATA
# title: ticket numbers stay out of descriptions
package mcp.servers.desk.quiet

import data.mcp.lib.finding

# METADATA
# title: a ticket number
# custom:
#   code: ticket
oblige contains finding.duty(rego.metadata.rule(), "redact", {
	"target": "item",
	"pattern": `T-[0-9]+`,
	"action": "remove",
})
"""
LISTEN = {"notifications": {"toolsListChanged": True}, "_meta": META}
HEADERS = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "subscriptions/listen"}


@pytest.fixture
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Running, Mirror]]:
    policies = granting(tmp_path, "desk")
    (policies / "mcp/servers/desk/quiet.rego").write_text(QUIET)
    with mirror() as (seen, url):
        seen.description = "Says who. T-1"
        backends = {"desk": {"url": url, "lists_per_subject": request.param}}
        callers = {"tester": {"groups": TESTERS}}
        with gateway(tmp_path, backends, callers, policies=policies, catalog={"refresh_s": 0.3}) as running:
            yield running, seen


def heard(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    return (json.loads(line[5:]) for line in lines if line.startswith("data:"))


@pytest.mark.parametrize("place", [False, True], ids=["the gateway's list", "the subject's own"], indirect=True)
def test_a_change_that_the_policy_takes_out_is_told_to_nobody(place: tuple[Running, Mirror]) -> None:
    running, seen = place
    with ExitStack() as stopping:
        http = stopping.enter_context(Http(running, "tester"))
        body = {"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": LISTEN}
        messages = heard(stopping.enter_context(http.client.stream("POST", http.url, json=body, headers=HEADERS)).iter_lines())
        assert next(messages)["method"] == "notifications/subscriptions/acknowledged"
        assert said(http.modern("tools/list"))["result"]["tools"][0]["description"] == "Says who. "

        seen.description = "Says who. T-2"
        soon(lambda: sum("changed" in line.get("detail", {}) for line in running.audit()) == 1)
        seen.description = "Says who you are. T-2"
        assert next(messages)["method"] == "notifications/tools/list_changed"
        assert said(http.modern("tools/list"))["result"]["tools"][0]["description"] == "Says who you are. "
        changes = [line["detail"] for line in running.audit() if "changed" in line.get("detail", {})]
        assert len(changes) == 2
