"""The port `Meter` on Prometheus: every label takes its values from a closed or bounded set, whatever callers send.

Children are bound once and kept in plain dicts: `labels()` costs five times what the counting does.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.registry import Collector

from gateway.errors import BACKEND_CAUSES, UNDECIDED_CAUSES, Kind
from gateway.identity.grant import REJECTED_CAUSES

Metric = TypeVar("Metric", Counter, Histogram)

OTHER = "other"
MAX_RULE_CODES = 1000  # rules are the policy authors', so this is a guard and not a budget

SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True)
class Words:
    """The values that labels may take; anything else is counted as `other`."""

    methods: Iterable[str]
    backends: Iterable[str]
    obligations: Iterable[str] = ("redact", "require_approval", "rate_limit", "inspect_result", "audit")
    outcomes: Iterable[str] = (
        *("ok", "tool_error", "denied", "invisible", "unknown", "limited", "undecided", "unrecorded"),
        *("backend_failed", "backend_error", "withheld", "refused", "cancelled", "internal"),
    )


class Metrics:
    """Implements `Meter`; `exposition` is what Prometheus scrapes."""

    def __init__(self, words: Words) -> None:
        registry = CollectorRegistry(auto_describe=False)
        self._registry = registry
        self._methods = frozenset(words.methods)
        self._backends = frozenset(words.backends)
        self._outcomes = frozenset(words.outcomes)
        self._exchanges = Counter(
            "mcp_gateway_exchanges", "Exchanges by how they ended", ("method", "backend", "outcome"), registry=registry
        )
        self._exchange_children: dict[tuple[str, str, str], Counter] = {}
        exchange_s = _histogram(registry, "mcp_gateway_exchange_seconds", "Whole exchanges", ("method",))
        self._exchange_s = _bound(exchange_s, (*self._methods, OTHER))
        self._own_s = _histogram(registry, "mcp_gateway_own_seconds", "The gateway's own part of an exchange", ())
        self._denials = Counter("mcp_gateway_denials", "Denials by rule and code", ("rule", "code"), registry=registry)
        self._denial_children: dict[tuple[str, str], Counter] = {}
        self._fired = Counter(
            "mcp_gateway_policy_rule_fired", "Exchanges in which a rule of the policy spoke", ("rule", "verb"), registry=registry
        )
        self._fired_children: dict[tuple[str, str], Counter] = {}
        obligations = Counter("mcp_gateway_obligations", "Obligations carried out", ("type",), registry=registry)
        self._obligations = _bound(obligations, (*words.obligations, OTHER))
        decision_s = _histogram(registry, "mcp_gateway_decision_seconds", "Waiting for the policy's answer", ("phase",))
        self._decision_s = _bound(decision_s, ("list", "request", "result", OTHER))
        undecided = Counter("mcp_gateway_undecided", "Questions without a usable answer", ("cause",), registry=registry)
        self._undecided = _bound(undecided, (*sorted(UNDECIDED_CAUSES), OTHER))
        backend_s = _histogram(registry, "mcp_gateway_backend_seconds", "Waiting for a backend", ("backend",))
        self._backend_s = _bound(backend_s, (*self._backends, OTHER))
        failures = Counter("mcp_gateway_backend_failures", "Failed requests to backends", ("backend", "cause"), registry=registry)
        self._backend_failures = {
            (backend, cause): failures.labels(backend, cause)
            for backend in (*self._backends, OTHER)
            for cause in (*sorted(BACKEND_CAUSES), OTHER)
        }
        rejected = Counter("mcp_gateway_rejected", "Messages refused before any decision", ("kind",), registry=registry)
        self._rejected = _bound(rejected, (*(kind.value for kind in Kind), OTHER))
        failed = Counter("mcp_gateway_failed_logins", "Credentials that did not verify", ("cause",), registry=registry)
        self._failed_logins = _bound(failed, (*sorted(REJECTED_CAUSES), OTHER))
        missing = Counter(
            "mcp_gateway_list_missing", "Lists that went out without this backend's part", ("backend",), registry=registry
        )
        self._missing = _bound(missing, (*self._backends, OTHER))
        self.state = StateGauges(registry)

    def exchange(self, *, method: str, backend: str, outcome: str, duration_s: float, own_s: float) -> None:
        key = (
            method if method in self._methods else OTHER,
            backend if backend in self._backends or not backend else OTHER,
            outcome if outcome in self._outcomes else OTHER,
        )
        child = self._exchange_children.get(key)
        if child is None:
            child = self._exchange_children[key] = self._exchanges.labels(*key)
        child.inc()
        self._exchange_s[key[0]].observe(duration_s)
        self._own_s.observe(own_s)

    def denial(self, *, rule: str, code: str) -> None:
        child = self._denial_children.get((rule, code))
        if child is None:
            if len(self._denial_children) >= MAX_RULE_CODES:
                rule, code = OTHER, OTHER
            child = self._denial_children[rule, code] = self._denials.labels(rule, code)
        child.inc()

    def fired(self, *, rule: str, verb: str) -> None:
        child = self._fired_children.get((rule, verb))
        if child is None:
            if len(self._fired_children) >= MAX_RULE_CODES:
                rule, verb = OTHER, OTHER
            child = self._fired_children[rule, verb] = self._fired.labels(rule, verb)
        child.inc()

    def obligation(self, *, type: str) -> None:
        _known(self._obligations, type).inc()

    def decision(self, *, phase: str, duration_s: float) -> None:
        _known(self._decision_s, phase).observe(duration_s)

    def undecided(self, *, cause: str) -> None:
        _known(self._undecided, cause).inc()

    def backend(self, *, backend: str, duration_s: float, cause: str) -> None:
        _known(self._backend_s, backend).observe(duration_s)
        if cause != "ok":
            key = (backend if backend in self._backends else OTHER, cause if cause in BACKEND_CAUSES else OTHER)
            self._backend_failures[key].inc()

    def rejected(self, *, kind: str) -> None:
        _known(self._rejected, kind).inc()

    def failed_login(self, cause: str) -> None:
        _known(self._failed_logins, cause).inc()

    def missing(self, *, backend: str) -> None:
        _known(self._missing, backend).inc()

    def register(self, collector: Collector) -> None:
        """Add a collector of another adapter's own figures."""
        self._registry.register(collector)

    def exposition(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self._registry)


class StateGauges:
    """How things stand now; whoever knows sets them, or gives a callable that is asked at each scrape."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._catalog = Gauge("mcp_gateway_catalog_items", "Items in the catalog", ("backend", "type"), registry=registry)
        self._backend_up = Gauge("mcp_gateway_backend_up", "1: the backend answers", ("backend",), registry=registry)
        self._policy = Gauge("mcp_gateway_policy_info", "1: this policy revision is in force", ("revision",), registry=registry)
        self._policy_since = Gauge(
            "mcp_gateway_policy_activated_timestamp_seconds", "When the policy in force was activated", registry=registry
        )
        self._policy_age = Gauge("mcp_gateway_policy_age_seconds", "How long the policy is in force", registry=registry)
        self._policy_rejected = Counter(
            "mcp_gateway_policy_rejections", "Policy sets that were refused when loaded", registry=registry
        )
        self._opa_restarts = Counter("mcp_gateway_opa_restarts", "OPA processes that died and were replaced", registry=registry)
        self._limited_sources = Gauge(
            "mcp_gateway_limited_sources", "Addresses refused for their failed logins", registry=registry
        )
        self._audit_ok = Gauge("mcp_gateway_audit_writable", "1: the audit log takes records", registry=registry)
        self._audit_failures = Gauge("mcp_gateway_audit_refused_records", "Records refused since the start", registry=registry)
        self._sessions = Gauge("mcp_gateway_sessions", "Open legacy sessions", registry=registry)
        self._streams = Gauge("mcp_gateway_streams", "Open subscription streams", registry=registry)
        self._in_flight = Gauge("mcp_gateway_exchanges_in_flight", "Exchanges under way", registry=registry)

    def catalog(self, *, backend: str, type: str, items: int) -> None:
        self._catalog.labels(backend, type).set(items)

    def backend_up(self, *, backend: str, up: bool) -> None:
        self._backend_up.labels(backend).set(up)

    def policy(self, *, revision: str, since_s: float, now: Callable[[], float]) -> None:
        """`since_s` is a Unix time; the age is read off `now` at each scrape."""
        self._policy.clear()
        self._policy.labels(revision).set(1)
        self._policy_since.set(since_s)
        self._policy_age.set_function(lambda: now() - since_s)

    def policy_rejected(self) -> None:
        self._policy_rejected.inc()

    def opa_restarted(self) -> None:
        self._opa_restarts.inc()

    def watch(self, readings: Mapping[str, Callable[[], float]]) -> None:
        """Figures read at each scrape, by their names below."""
        gauges = {
            "limited_sources": self._limited_sources,
            "audit_ok": self._audit_ok,
            "audit_refused_records": self._audit_failures,
            "sessions": self._sessions,
            "streams": self._streams,
            "exchanges_in_flight": self._in_flight,
        }
        for name, reading in readings.items():
            gauges[name].set_function(reading)


def _histogram(registry: CollectorRegistry, name: str, text: str, labels: tuple[str, ...]) -> Histogram:
    return Histogram(name, text, labels, buckets=SECONDS, registry=registry)


def _bound(metric: Metric, values: Iterable[str]) -> dict[str, Metric]:
    return {value: metric.labels(value) for value in values}


def _known(children: dict[str, Metric], value: str) -> Metric:
    return children[value if value in children else OTHER]
