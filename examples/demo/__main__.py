"""`python -m examples.demo play` shows the gateway at work and ends; `run` leaves it up; `pin` reviews its servers anew.

`policy` is the second act: a change to a rule, from its preview to its roll-back.
"""

import asyncio
import signal
import sys
import tempfile
import threading
from pathlib import Path

from examples.demo import play, second_act
from examples.demo.stack import pin, stack

CONNECT = """\
The gateway listens at {url}
Readiness {operations}/readyz · metrics {operations}/metrics
Audit log {audit}/*.jsonl · the gateway's own log {log}

  analyst    Authorization: Bearer {analyst}
  engineer   Authorization: Bearer {engineer}
  unknown    Authorization: Bearer {unknown}

Claude Code    claude mcp add --transport http gateway {url} --header "Authorization: Bearer {analyst}"
Cursor         .cursor/mcp.json:
               {{"mcpServers": {{"gateway": {{"url": "{url}", "headers": {{"Authorization": "Bearer {analyst}"}}}}}}}}
MCP Inspector  npx @modelcontextprotocol/inspector@latest --cli {url} --transport http \\
                 --header "Authorization: Bearer {analyst}" --method tools/list

Edit a file under policies/ and call again: it is enforced within a second, or refused with file and line in the log and at
/readyz. Ctrl-C ends everything.
"""


def main() -> int:
    for ending in (signal.SIGTERM, signal.SIGHUP):  # like Ctrl-C, so that no server outlives the demo
        if signal.getsignal(ending) is not signal.SIG_IGN:
            signal.signal(ending, signal.default_int_handler)
    what = sys.argv[1] if len(sys.argv) == 2 else ""
    if what == "play":
        with tempfile.TemporaryDirectory(prefix="mcp-gateway-demo-") as folder, stack(Path(folder)) as running:
            asyncio.run(play.session(running))
        return 0
    if what == "policy":
        with tempfile.TemporaryDirectory(prefix="mcp-gateway-demo-") as folder:
            return second_act.act(Path(folder))
    if what == "run":
        place = Path(".run").resolve()
        with stack(place, port=8080, operations_port=9090) as running:
            places = {"operations": running.operations_url, "audit": running.audit_folder, "log": place / "gateway.log"}
            print(CONNECT.format(url=running.url, **places, **running.keys), flush=True)
            threading.Event().wait()
        return 0
    if what == "pin":
        with tempfile.TemporaryDirectory(prefix="mcp-gateway-demo-") as folder:
            pin(Path(folder))
        return 0
    print("usage: python -m examples.demo play|policy|run|pin", file=sys.stderr)
    return 2


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\neverything has ended", flush=True)
        sys.exit(130)
