"""How long a client may keep a list: never longer than what is left of the time that the backend granted."""

from pathlib import Path

from tests.faults.stage import Asked, Backend
from tests.flows.running import TESTERS, Http, gateway, granting, said, soon

GRANTED_MS = 60_000


class Granting(Backend):
    """A backend whose list of tools may be kept for a minute, and no other list."""

    def play(self, asked: Asked) -> None:
        if asked.message["method"] == "tools/list":
            asked.result({"resultType": "complete", "tools": self.tools, "ttlMs": GRANTED_MS, "cacheScope": "public"})
        else:
            super().play(asked)


def test_a_list_may_be_kept_only_for_what_is_left_of_its_freshness(tmp_path: Path) -> None:
    peer = Granting("peer")
    peer.start()
    try:
        policies = granting(tmp_path, "peer")
        with (
            gateway(tmp_path, {"peer": peer.url}, {"tester": {"groups": TESTERS}}, policies=policies) as running,
            Http(running, "tester") as http,
        ):

            def left_ms() -> int:
                return int(said(http.modern("tools/list"))["result"]["ttlMs"])

            first_ms = left_ms()
            assert 0 < first_ms < GRANTED_MS
            soon(lambda: left_ms() < first_ms)
            assert said(http.modern("prompts/list"))["result"]["ttlMs"] == 0
    finally:
        peer.end()
