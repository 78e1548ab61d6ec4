"""Emergencies that are none."""

from typing import Any

from tests.library.asking import S_NS, Table
from tests.policies.demo import NOW_NS

REASON = "primary database is down, ticket 4711"


def call(
    *,
    groups: tuple[str, ...] = ("on_call",),
    reason: Any = REASON,
    age_ns: int | None = 60 * S_NS,
    tool: str = "office/failover",
    **more: Any,
) -> dict[str, Any]:
    claims = {} if reason is None else {"break_glass_reason": reason}
    subject: dict[str, Any] = {"claims": claims}
    if age_ns is not None:
        subject["assurance"] = {"token_issued_ns": NOW_NS - age_ns}
    return {"tool": tool, "groups": list(groups), "subject": subject, **more}


TABLE = Table(
    rule="break_glass",
    tool="office/failover",
    settings={"labels": ["emergency"], "groups": ["on_call"], "claim": "break_glass_reason", "max_age_s": 3_600},
    hostile={
        "nobody in particular": call(groups=()),
        "staff": call(groups=("staff",)),
        "an administrator": call(groups=("crm_admins",)),
        "a group in other capitals": call(groups=("On_Call",)),
        "a group that begins alike": call(groups=("on_call_guests",)),
        "no reason": call(reason=None),
        "an empty reason": call(reason=""),
        "spaces": call(reason="      "),
        "line breaks": call(reason="\n\n\n\n"),
        "a word": call(reason="emergency"),
        "two words": call(reason="it burns"),
        "a long word": call(reason="x" * 100),
        "single letters": call(reason="a b c d e f"),
        "dots": call(reason=". . . . ."),
        "a reason that is a list": call(reason=["primary", "database", "down"]),
        "a reason that is an object": call(reason={"reason": REASON}),
        "a reason that is true": call(reason=True),
        "a reason that is a number": call(reason=4711),
        "a reason among the arguments": call(reason=None, arguments={"break_glass_reason": REASON}),
        "a token of yesterday": call(age_ns=86_400 * S_NS),
        "a token that is just too old": call(age_ns=3_600 * S_NS + 1),
        "a token from the future": call(age_ns=-1),
        "a token of the far future": call(age_ns=-86_400 * S_NS),
        "a token of unknown age": call(age_ns=None),
        "a tool that claims to read": call(groups=(), resource={"annotations": {"readOnlyHint": True}}),
        "everything but the group": call(groups=("contractors",)),
    },
    innocent={
        "on call with a reason": call(),
        "a token of this moment": call(age_ns=0),
        "a token that is just young enough": call(age_ns=3_600 * S_NS),
        "a short reason": call(reason="database is down"),
        "a reason in another script": call(
            reason="\u0431\u0430\u0437\u0430 \u0434\u0430\u043d\u043d\u044b\u0445 \u0443\u043f\u0430\u043b\u0430"
        ),
        "a reason of two lines": call(reason="database is down\nticket 4711"),
        "other groups beside": call(groups=("staff", "on_call")),
        "reading without a reason": call(tool="office/lookup", groups=(), reason=None),
        "writing without a reason": call(tool="office/edit", groups=(), reason=None),
        "paying without a reason": call(tool="office/pay", groups=(), reason=None),
        "a tool in no facts": call(tool="office/brand_new", groups=(), reason=None),
        "an answer": call(result={"content": []}),
    },
)
