"""Figures of the roll-out for Prometheus, read at each scrape: what stays behind must show before it matters.

How old the signature in force is and when it counts no more, whether something older decides than there is, and when each
bundle server answered last.
"""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.adapters.opa.feed import FeedStatus
from gateway.adapters.opa.status import PolicyStatus


class RolloutFigures(Collector):
    """`feeds`: by what readiness calls each bundle server."""

    def __init__(self, policy: Callable[[], PolicyStatus], feeds: Mapping[str, Callable[[], FeedStatus]]) -> None:
        self._policy = policy
        self._feeds = feeds

    def collect(self) -> Iterable[Metric]:
        now = self._policy()
        yield _one(
            "mcp_gateway_policy_newest_refused", "1: the newest policy set or facts are refused", now.rejection is not None
        )
        yield _one("mcp_gateway_policy_fallback", "1: the last good set decides, from the history", bool(now.fallback))
        pinned = now.pinned is not None or now.facts_pinned is not None
        yield _one("mcp_gateway_policy_pinned", "1: something was gone back to, and newer sets wait", pinned)
        for name, text, time_s in (
            ("signed", "When the policy in force was signed, or its facts, whichever is older", now.signed_s),
            ("expires", "When the signature in force counts no more", now.expires_s),
        ):
            if time_s is not None:
                yield _one(f"mcp_gateway_policy_{name}_timestamp_seconds", text, time_s)
        if self._feeds:
            yield from self._servers()

    def _servers(self) -> Iterable[Metric]:
        up = GaugeMetricFamily("mcp_gateway_policy_server_up", "1: the bundle server serves what is good", labels=["server"])
        answered = GaugeMetricFamily(
            "mcp_gateway_policy_server_answered_timestamp_seconds",
            "When the bundle server last served what is good, or said that there is nothing newer",
            labels=["server"],
        )
        for name, status in self._feeds.items():
            told = status()
            up.add_metric([name], float(not told.problem))
            if told.asked_s is not None:
                answered.add_metric([name], told.asked_s)
        yield from (up, answered)


def _one(name: str, text: str, value: float) -> Metric:
    family = GaugeMetricFamily(name, text)
    family.add_metric([], float(value))
    return family
