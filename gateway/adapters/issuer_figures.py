"""What Prometheus scrapes about issuers: read when it asks, so that no request pays for it. The labels are the settings' own."""

from collections.abc import Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.adapters.introspection import Introspection
from gateway.adapters.jwks import KeyRing


class IssuerFigures(Collector):
    """A collector for `Metrics.register`."""

    def __init__(self, rings: Mapping[str, KeyRing], introspections: Iterable[Introspection] = ()) -> None:
        self._rings = dict(rings)
        self._introspections = tuple(introspections)

    def collect(self) -> Iterable[Metric]:
        age = GaugeMetricFamily(
            "mcp_gateway_issuer_keys_age_seconds", "Since the issuer last confirmed its keys; absent: never", labels=["issuer"]
        )
        count = GaugeMetricFamily("mcp_gateway_issuer_keys", "Keys of the issuer that may verify tokens", labels=["issuer"])
        failures = CounterMetricFamily(
            "mcp_gateway_issuer_key_fetch_failures", "Fetches of the issuer's keys that failed", labels=["issuer"]
        )
        calls = CounterMetricFamily(
            "mcp_gateway_introspection_calls",
            "Questions about opaque tokens by their answer; busy: not asked, since too many were",
            labels=["issuer", "outcome"],
        )
        for issuer, ring in self._rings.items():
            if ring.age_s is not None:
                age.add_metric([issuer], ring.age_s)
            count.add_metric([issuer], 0 if ring.keys is None else len(ring.keys.keys))
            failures.add_metric([issuer], ring.failures)
        for introspection in self._introspections:
            for outcome, number in introspection.calls.items():
                calls.add_metric([introspection.issuer, outcome], number)
        return (age, count, failures, calls)
