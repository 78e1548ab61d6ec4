"""Contractors who reach for more than was meant for them."""

from typing import Any

from tests.library.asking import Table

PARTNER = "https://id.partner.example"


def call(tool: str, *groups: str, **more: Any) -> dict[str, Any]:
    return {"tool": tool, "groups": list(groups) or ["contractors"], **more}


def actor(issuer: str) -> dict[str, Any]:
    return {"actors": [{"issuer": issuer, "id": "agent"}]}


TABLE = Table(
    rule="contractors",
    tool="office/lookup",
    verb="hide",
    settings={
        "groups": ["contractors"],
        "issuers": [PARTNER],
        "shown": {"office": {"tool": ["lookup", "edit", "people"]}, "files": {"tool": ["read"]}},
        "hidden_labels": ["personal", "payments"],
    },
    hostile={
        "an item that is not listed": call("office/wipe"),
        "paying": call("office/pay"),
        "an emergency": call("office/failover"),
        "an unlabelled tool": call("office/nobody_looked"),
        "a tool that is in no facts": call("office/brand_new"),
        "another backend": call("warehouse/query"),
        "a backend without facts": call("elsewhere/anything"),
        "the name of a listed tool at another backend": call("warehouse/lookup"),
        "another tool of a backend": call("files/search"),
        "a listed tool about persons": call("office/people"),
        "a prompt with a listed tool's name": call("office/lookup", resource={"type": "prompt"}),
        "capitals": call("office/Lookup"),
        "a name that begins alike": call("office/lookup2"),
        "other groups beside": call("office/wipe", "contractors", "crm_admins"),
        "other groups first": call("warehouse/query", "staff", "contractors"),
        "a partner's subject": call("office/wipe", "staff", subject={"issuer": PARTNER}),
        "a partner's subject who calls itself staff": call("mail/send", "staff", "editors", subject={"issuer": PARTNER}),
        "a partner's workload": call("office/wipe", "staff", subject={"issuer": PARTNER, "type": "workload"}),
        "a partner's agent for staff": call("office/wipe", "staff", subject=actor(PARTNER)),
        "a partner's agent behind another": call(
            "office/wipe",
            "staff",
            subject={"actors": [{"issuer": "https://id.example.com", "id": "a"}, {"issuer": PARTNER, "id": "b"}]},
        ),
        "a tool that claims to read": call("office/wipe", resource={"annotations": {"readOnlyHint": True}}),
        "a public name that is listed": call("office/wipe", resource={"public_name": "office__lookup", "id": "office__lookup"}),
        "the answer of a hidden tool": call("office/wipe", result={"content": []}),
    },
    innocent={
        "a listed tool": call("office/lookup"),
        "a listed tool that writes": call("office/edit"),
        "a listed tool of another backend": call("files/read", arguments={"path": "a"}),
        "a listed tool's answer": call("office/lookup", result={"content": []}),
        "a listed tool by another name": call("office/lookup", resource={"public_name": "find"}),
        "a partner's subject": call("office/lookup", "guests", subject={"issuer": PARTNER}),
        "a partner's agent": call("office/edit", "staff", subject=actor(PARTNER)),
        "staff": call("office/wipe", "staff"),
        "staff with persons": call("office/people", "staff"),
        "staff with a tool in no facts": call("office/brand_new", "staff"),
        "staff with an own agent": call("office/wipe", "staff", subject=actor("https://id.example.com")),
        "a group that begins alike": call("office/wipe", "contractors_managers"),
    },
)
