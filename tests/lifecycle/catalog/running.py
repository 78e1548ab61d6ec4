"""A backend of a test's own making, and the command as a user runs it against it."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tools.binaries import find

ROOT = Path(__file__).resolve().parents[3]
WAIT_S = 60.0
METHODS = {"tool": "tools/list", "prompt": "prompts/list", "resource": "resources/list"}
MEMBERS = {"tool": "tools", "prompt": "prompts", "resource": "resources"}


class Offering:
    """What the backend lists; a test changes it between two commands."""

    def __init__(self) -> None:
        self.lists: dict[str, list[dict[str, Any]]] = {"tool": [], "prompt": [], "resource": []}

    def answer(self, request: Request) -> Response:
        asked = request.get_json()
        result: dict[str, Any] = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
        for type, method in METHODS.items():
            if asked["method"] == method:
                result[MEMBERS[type]] = self.lists[type]
        if asked["method"] == "resources/templates/list":
            result["resourceTemplates"] = []
        if asked["method"] == "server/discover":
            result |= {
                "supportedVersions": ["2026-07-28"],
                "capabilities": {"tools": {}, "prompts": {}, "resources": {}},
                "serverInfo": {"name": "crm", "version": "1"},
            }
        return Response(json.dumps({"jsonrpc": "2.0", "id": asked.get("id"), "result": result}), content_type="application/json")


@contextmanager
def offering() -> Iterator[tuple[Offering, str]]:
    said = Offering()
    with HTTPServer() as server:
        server.expect_request("/mcp").respond_with_handler(said.answer)
        yield said, server.url_for("/mcp")


def settings(folder: Path, backends: Mapping[str, str], **more: Any) -> Path:
    """Of a policy repository in `folder`, without any rule."""
    (folder / "policies").mkdir(exist_ok=True)
    (folder / "schemas").mkdir(exist_ok=True)
    path = folder / "gateway.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "policy": {"folder": str(folder / "policies"), "schemas": str(folder / "schemas")},
                "opa": {"binary": find("opa")},
                "backends": {name: {"url": url, **more} for name, url in backends.items()},
                "identity": {"api_keys": [{"id": "ci", "sha256": "0" * 64, "subject": "ci"}]},
            }
        )
    )
    return path


def ran(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "catalog", *arguments, "--settings", str(folder / "gateway.yaml")],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done


def tool(name: str, properties: Mapping[str, Any] | None = None, required: Sequence[str] = (), **more: Any) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": dict(properties or {})}
    if required:
        schema["required"] = list(required)
    return {"name": name, "description": f"{name} of the tests.", "inputSchema": schema, **more}


def files(folder: Path) -> dict[str, Any]:
    """Every JSON file below, parsed, by its path; and nothing else lies there."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "gateway.yaml":
            found[str(path.relative_to(folder))] = json.loads(path.read_text())
    return found
