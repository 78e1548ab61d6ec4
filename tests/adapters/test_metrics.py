"""What Prometheus and an operator see: bounded labels, one listener, ready only when everything is right."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.adapters.metrics import MAX_RULE_CODES, Metrics, Words
from gateway.adapters.operations import Check, Operations
from gateway.ports import Meter


def _metrics() -> Metrics:
    return Metrics(Words(methods=("tools/call", "tools/list"), backends=("crm", "deploy")))


def _samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for family in families for sample in family.samples}


def _value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return _samples(metrics).get((f"mcp_gateway_{name}", tuple(sorted(labels.items()))))


def _meter(metrics: Meter) -> Meter:
    """mypy's word that the port is kept."""
    return metrics


def test_every_event_of_the_port_is_counted_where_it_belongs() -> None:
    metrics = _metrics()
    meter = _meter(metrics)
    meter.exchange(method="tools/call", backend="crm", outcome="ok", duration_s=0.02, own_s=0.0002)
    meter.exchange(method="tools/list", backend="", outcome="ok", duration_s=0.002, own_s=0.0002)
    meter.denial(rule="servers/crm/access", code="not_yours")
    meter.obligation(type="redact")
    meter.decision(phase="request", duration_s=0.0008)
    meter.undecided(cause="late")
    meter.backend(backend="crm", duration_s=0.02, cause="ok")
    meter.backend(backend="crm", duration_s=5, cause="late")
    meter.rejected(kind="unauthenticated")
    meter.missing(backend="deploy")
    assert _value(metrics, "exchanges_total", method="tools/call", backend="crm", outcome="ok") == 1
    assert _value(metrics, "exchanges_total", method="tools/list", backend="", outcome="ok") == 1
    assert _value(metrics, "exchange_seconds_count", method="tools/call") == 1
    assert _value(metrics, "own_seconds_bucket", le="0.00025") == 2
    assert _value(metrics, "denials_total", rule="servers/crm/access", code="not_yours") == 1
    assert _value(metrics, "obligations_total", type="redact") == 1
    assert _value(metrics, "decision_seconds_bucket", phase="request", le="0.001") == 1
    assert _value(metrics, "undecided_total", cause="late") == 1
    assert _value(metrics, "backend_seconds_count", backend="crm") == 2
    assert _value(metrics, "backend_failures_total", backend="crm", cause="late") == 1
    assert _value(metrics, "rejected_total", kind="unauthenticated") == 1
    assert _value(metrics, "list_missing_total", backend="deploy") == 1


def test_a_counter_that_never_moved_is_there_with_zero() -> None:
    assert _value(_metrics(), "undecided_total", cause="unreachable") == 0


def test_words_nobody_foresaw_are_counted_together() -> None:
    metrics = _metrics()
    for number in range(3000):
        word = f"made-up-{number}"
        metrics.exchange(method=word, backend=word, outcome=word, duration_s=1, own_s=1)
        metrics.denial(rule=word, code=word)
        metrics.obligation(type=word)
        metrics.decision(phase=word, duration_s=1)
        metrics.undecided(cause=word)
        metrics.backend(backend=word, duration_s=1, cause=word)
        metrics.rejected(kind=word)
        metrics.missing(backend=word)
    samples = _samples(metrics)
    assert samples["mcp_gateway_exchanges_total", (("backend", "other"), ("method", "other"), ("outcome", "other"))] == 3000
    assert samples["mcp_gateway_denials_total", (("code", "other"), ("rule", "other"))] == 3000 - MAX_RULE_CODES
    assert samples["mcp_gateway_rejected_total", (("kind", "other"),)] == 3000
    assert len(metrics._denial_children) <= MAX_RULE_CODES + 1


def test_the_policy_in_force_is_one_series_and_its_age_grows() -> None:
    metrics = _metrics()
    now_s = [100.0]
    metrics.state.policy(revision="r1", since_s=90.0, now=lambda: now_s[0])
    metrics.state.policy(revision="r2", since_s=95.0, now=lambda: now_s[0])
    now_s[0] = 110.0
    assert (_value(metrics, "policy_info", revision="r1"), _value(metrics, "policy_info", revision="r2")) == (None, 1)
    assert _value(metrics, "policy_age_seconds") == 15


def test_how_things_stand_is_read_at_each_scrape() -> None:
    metrics = _metrics()
    metrics.state.watch({"audit_ok": lambda: 0.0, "sessions": lambda: 7})
    metrics.state.catalog(backend="crm", type="tool", items=5)
    metrics.state.backend_up(backend="crm", up=False)
    metrics.state.opa_restarted()
    assert [
        _value(metrics, "audit_writable"),
        _value(metrics, "sessions"),
        _value(metrics, "catalog_items", backend="crm", type="tool"),
        _value(metrics, "backend_up", backend="crm"),
        _value(metrics, "opa_restarts_total"),
    ] == [0, 7, 5, 0, 1]


# --- the operator's listener --------------------------------------------------------------------------------------------


def _ask(path: str, *checks: Check, method: str = "GET", accept: str = "") -> tuple[int, dict[bytes, bytes], str]:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    def listed() -> Sequence[Check]:
        return checks

    application = Operations(metrics=_metrics().exposition, checks=listed)
    scope = {"type": "http", "method": method, "path": path, "headers": [(b"accept", accept.encode())]}
    asyncio.run(application(scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"].decode()


OPA_RIGHT = Check("opa", True, "revision r1")
AUDIT_FULL = Check("audit", False, "No space\nleft")


def test_ready_needs_every_check_and_names_what_is_wrong() -> None:
    assert _ask("/readyz", OPA_RIGHT)[::2] == (200, "ready\nok   opa: revision r1\n")
    assert _ask("/readyz", OPA_RIGHT, AUDIT_FULL)[::2] == (503, "not ready\nok   opa: revision r1\nFAIL audit: No space left\n")


def test_a_note_is_no_reason_not_to_be_ready() -> None:
    edit = Check("policy-edit", True, "not in force", note=True)
    assert _ask("/readyz", OPA_RIGHT, edit)[::2] == (200, "ready\nok   opa: revision r1\nnote policy-edit: not in force\n")


def test_nothing_checked_is_not_ready() -> None:
    assert _ask("/readyz")[0] == 503


def test_readiness_is_told_as_json_to_whom_asks_for_it() -> None:
    status, headers, body = _ask("/readyz", OPA_RIGHT, AUDIT_FULL, accept="application/json")
    assert (status, headers[b"content-type"], json.loads(body)) == (
        503,
        b"application/json",
        {
            "ready": False,
            "checks": [
                {"name": "opa", "ok": True, "detail": "revision r1", "note": False},
                {"name": "audit", "ok": False, "detail": "No space\nleft", "note": False},
            ],
        },
    )


def test_metrics_and_liveness_are_served() -> None:
    status, headers, body = _ask("/metrics")
    assert (status, headers[b"content-type"].startswith(b"text/plain; version="), "mcp_gateway_own_seconds" in body) == (
        200,
        True,
        True,
    )
    assert _ask("/livez")[::2] == (200, "alive\n")


@pytest.mark.parametrize(("path", "method", "status"), [("/", "GET", 404), ("/metrics/", "GET", 404), ("/readyz", "POST", 405)])
def test_there_is_nothing_else(path: str, method: str, status: int) -> None:
    assert _ask(path, method=method)[0] == status
