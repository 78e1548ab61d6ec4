"""A small stdio server that misbehaves as its first argument says. Legacy; it never answers `server/discover` when told so."""

import json
import os
import subprocess
import sys
import time
from typing import Any

MODE = sys.argv[1]
NULL = subprocess.DEVNULL


def say(message: Any) -> None:
    print(json.dumps(message), flush=True)


def reply(id: Any, result: Any) -> None:
    say({"jsonrpc": "2.0", "id": id, "result": result})


def call(message: dict[str, Any]) -> None:
    id, tool = message["id"], message["params"]["name"]
    if tool == "garbage":
        print("not json at all", flush=True)
    elif tool == "long":
        print("x" * 300_000, flush=True)
    elif tool == "ask":
        say({"jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage", "params": {}})
    elif tool == "pings":
        print("".join(json.dumps({"jsonrpc": "2.0", "id": n, "method": "ping"}) + "\n" for n in range(20_000)), flush=True)
        reply(id, {"content": [{"type": "text", "text": "done"}]})
    elif tool == "die":
        sys.exit(1)
    elif tool == "spawn":
        child = subprocess.Popen(["sleep", "3600"], stdin=NULL, stdout=NULL, stderr=NULL)
        reply(id, {"content": [{"type": "text", "text": str(child.pid)}]})
    elif tool == "hang":
        return
    elif tool == "seen":
        reply(id, {"content": [{"type": "text", "text": json.dumps(SEEN)}]})
    elif tool == "challenge":
        reply(id, {"content": [], "_meta": {"mcp/www_authenticate": "Bearer", "kept": 1}})
    elif tool == "challenge_in_error":
        say({"jsonrpc": "2.0", "id": id, "error": {"code": 1234, "message": 'Bearer resource_metadata="https://evil.test"'}})
    elif tool == "stray":
        say({"jsonrpc": "2.0", "id": 10**9, "result": {}})
        say({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 10**9, "progress": 1}})
        reply(id, {"content": [{"type": "text", "text": "done"}]})
    else:
        reply(id, {"content": [{"type": "text", "text": str(os.getpid())}]})


SEEN: list[Any] = []
if MODE == "exits":
    sys.exit(3)
print("a word on stderr", file=sys.stderr, flush=True)
for line in sys.stdin:
    message = json.loads(line)
    method = message.get("method")
    if method == "initialize":
        reply(message["id"], {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "p"}})
    elif method == "server/discover":
        if MODE != "silent":
            say({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "Method not found"}})
    elif method == "tools/call":
        call(message)
    else:
        SEEN.append(message)
if MODE == "stubborn":
    import signal

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(3600)
