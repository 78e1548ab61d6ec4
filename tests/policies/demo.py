"""The shipped policies with every item of the facts pinned to one made-up fingerprint, and questions about them."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import yaml

ROOT = Path(__file__).resolve().parents[2]
QUESTION = "/v1/data/mcp/authz/decision?strict-builtin-errors=true&provenance=true"
PINNED = "sha256:" + "1" * 64
NOW_NS = 1_700_000_000_000_000_000


@dataclass(frozen=True)
class Opa:
    """A running OPA: `ask` gives status and body."""

    client: httpx2.Client

    def ask(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        answer = self.client.post(QUESTION, content=json.dumps({"input": asked}))
        return answer.status_code, answer.json()

    def decide(self, asked: dict[str, Any]) -> dict[str, Any]:
        status, body = self.ask(asked)
        assert status == 200, body
        return body["result"]  # type: ignore[no-any-return]


def schema(name: str) -> dict[str, Any]:
    return json.loads((ROOT / "schemas" / f"{name}.json").read_text())  # type: ignore[no-any-return]


def pinned(folder: Path, **facts: Any) -> Path:
    """A copy of the policies in `folder`, its facts pinned and changed by `facts`."""
    copied = folder / "policies"
    shutil.copytree(ROOT / "policies", copied, ignore=shutil.ignore_patterns("items"))  # the real pins
    path = copied / "mcp" / "facts" / "data.yaml"
    told = yaml.safe_load(path.read_text()) | facts
    for backend, types in told["items"].items():
        for items in types.values() if backend != "canary" else ():
            for item in items.values():
                item["fingerprint"] = PINNED
    path.write_text(yaml.safe_dump(told))
    return copied


def everything() -> list[dict[str, Any]]:
    """All items of the two demo backends."""
    told = yaml.safe_load((ROOT / "policies" / "mcp" / "facts" / "data.yaml").read_text())["items"]
    return [
        resource(type, backend, key)
        for backend in ("crm", "deploy")
        for type in ("tool", "prompt", "resource", "resource_template")
        for key in told[backend].get(type, {})
    ]


def resource(type: str, backend: str, key: str) -> dict[str, Any]:
    named = {"tool": "name", "prompt": "name", "resource": "uri", "resource_template": "template"}[type]
    public = f"{backend}__{key}" if named == "name" else key
    return {
        "type": type,
        "backend": backend,
        named: key,
        "id": public,
        "public_name": public,
        "listed": True,
        "fingerprint": PINNED,
    }


def asked(groups: list[str], resources: list[dict[str, Any]], phase: str = "list", **more: Any) -> dict[str, Any]:
    document: dict[str, Any] = {
        "version": 1,
        "subject": {
            "type": "user",
            "issuer": "https://id.example.com",
            "id": "alice@example.com",
            "groups": groups,
            "scopes": [],
            "claims": {},
            "authentication": "api_key",
            "actors": [],
        },
        "action": {"name": "tools/list" if phase == "list" else "tools/call", "phase": phase, "initiator": "client"},
        "resources": resources,
        "context": {
            "surface": "default",
            "protocol": "2026-07-28",
            "time_ns": NOW_NS,
            "source_ip": "127.0.0.1",
            "approvals": [],
            "obligations": ["redact", "rate_limit", "inspect_result", "audit"],
        },
    }
    if phase != "list":
        document |= {"arguments": {}, "arguments_valid": True}
    return document | more
