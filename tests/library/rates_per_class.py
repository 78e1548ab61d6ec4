"""Calls that are charged: all of them, whatever they claim; and what is no call."""

from typing import Any

from tests.library.asking import Table

HARMLESS = {"annotations": {"readOnlyHint": True}}


def call(tool: str, **more: Any) -> dict[str, Any]:
    return {"tool": tool, **more}


def answer(tool: str) -> dict[str, Any]:
    return {"tool": tool, "result": {"content": []}}


TABLE = Table(
    rule="rates_per_class",
    tool="office/edit",
    verb="rate_limit",
    hostile={
        "reading": call("office/lookup"),
        "reading about persons": call("office/people"),
        "writing": call("office/edit"),
        "destroying": call("office/wipe"),
        "paying": call("office/pay"),
        "an emergency": call("office/failover"),
        "an unlabelled tool": call("office/nobody_looked"),
        "a tool that is in no facts": call("office/brand_new"),
        "a tool of a backend without facts": call("elsewhere/anything"),
        "a query": call("warehouse/query", arguments={"statement": "select 1"}),
        "a file": call("files/read", arguments={"path": "a"}),
        "a page": call("web/fetch", arguments={"url": "https://api.example.com/"}),
        "a mail": call("mail/send", arguments={"to": "ann@example.com"}),
        "a message": call("chat/post", arguments={"channel": "general"}),
        "an administrator": call("office/wipe", groups=["crm_admins"]),
        "somebody without groups": call("office/lookup", groups=[]),
        "a workload": call("office/lookup", subject={"type": "workload", "id": "batch"}),
        "somebody with an odd name": call("office/lookup", subject={"id": "%s %d {x}"}),
        "a destroying tool that claims to read": call("office/wipe", resource=HARMLESS),
        "an unlabelled tool that claims to read": call("office/nobody_looked", resource=HARMLESS),
        "no arguments": call("office/edit", arguments={}),
        "odd arguments": call("office/edit", arguments={"": None}),
    },
    innocent={f"the answer of {tool}": answer(tool) for tool in ("office/lookup", "office/edit", "office/wipe", "office/pay")}
    | {f"the answer of {tool}": answer(tool) for tool in ("warehouse/query", "files/read", "web/fetch", "mail/send")}
    | {
        f"a prompt named {name}": {"tool": f"office/{name}", "resource": {"type": "prompt"}}
        for name in ("lookup", "edit", "wipe")
    },
)
