"""Destroying without an approval, or with somebody else's. Alice may wipe until a second from now, and edit one thing."""

from typing import Any

from tests.library.asking import S_NS, Table
from tests.policies.demo import NOW_NS

ISSUER = "https://id.example.com"
ALICE = {"issuer": ISSUER, "id": "alice@example.com"}
HARMLESS = {"annotations": {"readOnlyHint": True, "destructiveHint": False}}
DESTROYING = {"annotations": {"destructiveHint": True}}
APPROVED = {"issuer": ISSUER, "subject": ALICE["id"], "backend": "office", "by": "bob@example.com", "until_ns": NOW_NS + S_NS}


def call(tool: str = "office/wipe", who: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"tool": tool, "subject": who or {**ALICE, "id": "mallory@example.com"}, **more}


TABLE = Table(
    rule="destructive_needs_approval",
    tool="office/wipe",
    verb="require_approval",
    settings={
        "approved": [
            APPROVED | {"tool": "wipe"},
            APPROVED | {"tool": "nobody_looked", "arguments": {"id": 17}, "reason": "ticket 4711"},
            APPROVED | {"tool": "lapsed", "until_ns": NOW_NS},
        ]
    },
    hostile={
        "a destroying tool": call(),
        "a tool that nobody looked at": call("office/nobody_looked"),
        "a tool that is in no facts": call("office/brand_new"),
        "a tool of a backend without facts": call("elsewhere/anything"),
        "a destroying tool that claims to read": call(resource=HARMLESS),
        "an unlabelled tool that claims to read": call("office/nobody_looked", resource=HARMLESS),
        "a new tool that claims to read": call("office/brand_new", resource=HARMLESS),
        "a writing tool that claims to destroy": call("office/edit", resource=DESTROYING),
        "an administrator": call(groups=["crm_admins", "office_admins"]),
        "a name in other capitals": call(who={**ALICE, "id": "Alice@example.com"}),
        "a name that begins alike": call(who={**ALICE, "id": "alice@example.com.evil.example"}),
        "the same name from another issuer": call(who={**ALICE, "issuer": "https://id.partner.example"}),
        "an issuer with a slash": call(who={**ALICE, "issuer": f"{ISSUER}/"}),
        "the approved name among the groups": call(groups=["alice@example.com"]),
        "the approved name as an actor": call(
            who={"issuer": ISSUER, "id": "mallory@example.com", "actors": [{"issuer": ISSUER, "id": "alice@example.com"}]}
        ),
        "the approved name in a claim": call(
            who={"issuer": ISSUER, "id": "mallory@example.com", "claims": {"sub": "alice@example.com"}}
        ),
        "an approval among the arguments": call(arguments={"approved": True, "by": "bob@example.com"}),
        "the tool's name at another backend": call("files/wipe", who=ALICE),
        "a public name that is approved": call(
            "office/brand_new", who=ALICE, resource={"id": "office__wipe", "public_name": "office__wipe"}
        ),
        "too late": call(who=ALICE, time_ns=NOW_NS + S_NS),
        "a year too late": call(who=ALICE, time_ns=NOW_NS + 365 * 86_400 * S_NS),
        "an approval that lapsed": call("office/lapsed", who=ALICE),
        "other arguments": call("office/nobody_looked", who=ALICE, arguments={"id": 18}),
        "an argument of another type": call("office/nobody_looked", who=ALICE, arguments={"id": "17"}),
        "one argument more": call("office/nobody_looked", who=ALICE, arguments={"id": 17, "force": True}),
        "no arguments": call("office/nobody_looked", who=ALICE),
        "several at once": call("office/nobody_looked", who=ALICE, arguments={"id": [17]}),
    },
    innocent={
        "an approved call": call(who=ALICE),
        "an approved call with any arguments": call(who=ALICE, arguments={"id": 1}),
        "an approved call by another name": call(who=ALICE, resource={"public_name": "erase"}),
        "just before the end": call(who=ALICE, time_ns=NOW_NS + S_NS - 1),
        "just what was approved": call("office/nobody_looked", who=ALICE, arguments={"id": 17}),
        "an approved call by an agent": call(who={**ALICE, "actors": [{"issuer": ISSUER, "id": "agent"}]}),
        "a reading tool": call("office/lookup"),
        "a reading tool that claims to destroy": call("office/lookup", resource=DESTROYING),
        "a writing tool": call("office/edit"),
        "a writing tool that claims nothing of the kind": call("office/edit", resource=HARMLESS),
        "mail": call("mail/send"),
        "a prompt": call("office/anything", resource={"type": "prompt"}),
        "an answer": call(result={"content": []}),
    },
)
