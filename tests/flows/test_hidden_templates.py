"""A template that a policy hides and one that does not exist are answered alike, also to the client that would complete them."""

from pathlib import Path
from typing import Any

from tests.flows.running import TESTERS, Http, Running, gateway, granting, said
from tests.peers.sdk_server import started_server

HIDDEN = "gw-peer+doc://pages/{number}"
ABSENT = ["gw-peer+doc://nowhere/{number}", "gw-nobody+doc://pages/{number}", "doc://pages/{number}", "{", "gw-peer+doc://a/../b"]


def completed(running: Running, era: str, uri: str) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """The status, the answer with the name taken out, and the record."""
    params = {"ref": {"type": "ref/resource", "uri": uri}, "argument": {"name": "number", "value": "1"}}
    with Http(running, "tester") as http:
        if era == "legacy":
            http.begin()
        answer = http.modern("completion/complete", params) if era == "modern" else http.legacy("completion/complete", params)
    error = said(answer)["error"]
    assert error["data"] == {"uri": uri}
    told = {"code": error["code"], "message": error["message"].replace(uri, "<name>")}
    record = next(line for line in reversed(running.audit()) if line.get("method") == "completion/complete")
    return answer.status_code, told, record


def test_a_hidden_template_cannot_be_told_from_an_absent_one_by_completing_it(tmp_path: Path) -> None:
    policies = granting(tmp_path, "peer", condition='input.resources[position].type != "resource_template"')
    with (
        started_server("--name", "peer", "--era", "modern") as peer,
        gateway(tmp_path, {"peer": peer.url}, {"tester": {"groups": TESTERS}}, policies=policies) as running,
    ):
        for era in ("modern", "legacy"):
            status, told, record = completed(running, era, HIDDEN)
            assert told["message"] == "Resource not found: <name>"
            assert record["decisions"], record
            for uri in ABSENT:
                other_status, other_told, other_record = completed(running, era, uri)
                assert (other_status, other_told) == (status, told), uri
                assert len(other_record["decisions"]) == len(record["decisions"]), uri
