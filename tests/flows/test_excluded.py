"""What a surface excludes does not exist on it: not in a list, not by its URI, not as a link in a result."""

from pathlib import Path
from typing import Any

from tests.flows.running import TESTERS, Http, gateway, granting, said
from tests.peers.sdk_server import started_server

GUIDE = "gw-peer+doc://guide"


def test_an_excluded_resource_is_neither_listed_nor_read_nor_linked(tmp_path: Path) -> None:
    surfaces = {"default": {}, "narrow": {"exclude": ["resource:*guide"]}}
    policies = granting(tmp_path, "peer")

    def answers(http: Http) -> tuple[bool, dict[str, Any], list[str]]:
        listed = said(http.modern("resources/list"))["result"]["resources"]
        linked = said(http.modern("tools/call", {"name": "peer__link", "arguments": {}}))["result"]["content"]
        read = said(http.modern("resources/read", {"uri": GUIDE}))
        return GUIDE in [each["uri"] for each in listed], read, [block["type"] for block in linked]

    with (
        started_server("--name", "peer", "--era", "modern") as peer,
        gateway(tmp_path, {"peer": peer.url}, {"tester": {"groups": TESTERS}}, policies=policies, surfaces=surfaces) as running,
        Http(running, "tester") as wide,
        Http(running, "tester", "narrow") as narrow,
    ):
        listed, read, linked = answers(wide)
        assert (listed, "result" in read, linked) == (True, True, ["resource_link", "text"])
        listed, read, linked = answers(narrow)
        assert (listed, linked) == (False, ["text"])
        assert read["error"]["message"] == f"Resource not found: {GUIDE}"
