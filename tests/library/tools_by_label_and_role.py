"""Tools of other roles. Everybody reads; staff write as well; finance also pays; support also sees persons."""

from typing import Any

from tests.library.asking import Table

HARMLESS = {"annotations": {"readOnlyHint": True}}


def call(tool: str, *groups: str, **more: Any) -> dict[str, Any]:
    return {"tool": tool, "groups": list(groups), **more}


TABLE = Table(
    rule="tools_by_label_and_role",
    tool="office/edit",
    verb="hide",
    settings={
        "everybody": ["safe"],
        "groups": {
            "staff": ["writes"],
            "finance": ["writes", "payments"],
            "support": ["personal"],
            "auditors": ["payments"],
            "nobody": [],
        },
    },
    hostile={
        "writing without a group": call("office/edit"),
        "writing by support": call("office/edit", "support"),
        "paying by staff": call("office/pay", "staff"),
        "paying by support": call("office/pay", "support"),
        "half of the labels": call("office/pay", "auditors"),
        "persons without a group": call("office/people"),
        "persons by finance": call("office/people", "finance"),
        "destroying by staff": call("office/wipe", "staff"),
        "destroying by everybody together": call("office/wipe", "staff", "finance", "support", "auditors"),
        "an emergency by staff": call("office/failover", "staff"),
        "an unlabelled tool": call("office/nobody_looked", "staff", "finance", "support"),
        "an unlabelled tool that claims to read": call("office/nobody_looked", "staff", resource=HARMLESS),
        "a tool that is in no facts": call("office/brand_new", "staff"),
        "a tool of a backend without facts": call("elsewhere/anything", "staff"),
        "a writing tool that claims to read": call("office/edit", resource=HARMLESS),
        "a group in other capitals": call("office/edit", "Staff"),
        "a group that begins alike": call("office/edit", "staff2"),
        "a group with a space": call("office/edit", "staff "),
        "groups joined in one": call("office/edit", "support,staff"),
        "a wildcard": call("office/edit", "*"),
        "a label in the place of a group": call("office/edit", "writes"),
        "a group without labels": call("office/edit", "nobody"),
        "a scope in the place of a group": call("office/edit", subject={"scopes": ["staff"]}),
        "a claim in the place of a group": call("office/edit", subject={"claims": {"groups": ["staff"]}}),
        "a name in the place of a group": call("office/edit", subject={"id": "staff"}),
        "an agent of staff": call("office/edit", subject={"actors": [{"issuer": "https://id.example.com", "id": "staff"}]}),
        "a public name that is harmless": call("office/edit", resource={"id": "office__lookup", "public_name": "office__lookup"}),
        "mail without a group": call("mail/send"),
        "the answer of a hidden tool": call("office/wipe", "staff", result={"content": []}),
    },
    innocent={
        "reading": call("office/lookup"),
        "reading elsewhere": call("warehouse/query"),
        "reading by finance": call("office/lookup", "finance"),
        "reading that claims to destroy": call("office/lookup", resource={"annotations": {"destructiveHint": True}}),
        "writing by staff": call("office/edit", "staff"),
        "writing by finance": call("office/edit", "finance"),
        "paying by finance": call("office/pay", "finance"),
        "paying by two groups together": call("office/pay", "staff", "auditors"),
        "persons by support": call("office/people", "support"),
        "mail by staff": call("mail/send", "staff"),
        "a group among others": call("office/edit", "visitors", "staff"),
        "a prompt": call("office/anything", resource={"type": "prompt"}),
        "the answer of one's own tool": call("office/edit", "staff", result={"content": []}),
    },
)
