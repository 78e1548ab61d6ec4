"""Writing without the right to, and what a backend claims of its own tools."""

from typing import Any

from tests.library.asking import Table

HARMLESS = {"annotations": {"readOnlyHint": True, "destructiveHint": False}}


def call(tool: str, *groups: str, **more: Any) -> dict[str, Any]:
    return {"tool": tool, "groups": list(groups), **more}


TABLE = Table(
    rule="read_only_unless_granted",
    tool="office/edit",
    hostile={
        "a writing tool": call("office/edit"),
        "a destroying tool": call("office/wipe"),
        "a tool that nobody looked at": call("office/nobody_looked"),
        "a tool that is in no facts": call("office/brand_new"),
        "a tool of a backend without facts": call("elsewhere/anything"),
        "a paying tool": call("office/pay"),
        "an emergency tool": call("office/failover"),
        "a writing tool that claims to read": call("office/edit", resource=HARMLESS),
        "a destroying tool that claims to read": call("office/wipe", resource=HARMLESS),
        "an unlabelled tool that claims to read": call("office/nobody_looked", resource=HARMLESS),
        "a new tool that claims to read": call("office/brand_new", resource=HARMLESS),
        "a writer of another backend": call("office/edit", "staff"),
        "a group in other capitals": call("office/edit", "Editors"),
        "a group with a space": call("office/edit", "editors "),
        "a group that begins alike": call("office/edit", "editors2"),
        "groups joined in one": call("office/edit", "readers,editors"),
        "a wildcard": call("office/edit", "*"),
        "a group of a space": call("office/edit", " "),
        "mail without being staff": call("mail/send"),
        "mail by an editor": call("mail/send", "editors"),
        "a backend that grants nobody": call("chat/post", "editors", "staff", "office_admins"),
        "a scope in the place of a group": call("office/edit", subject={"scopes": ["editors"]}),
        "a claim in the place of a group": call("office/edit", subject={"claims": {"groups": ["editors"]}}),
        "a name in the place of a group": call("office/edit", subject={"id": "editors"}),
    },
    innocent={
        "a reading tool": call("office/lookup"),
        "a reading tool about persons": call("office/people"),
        "a reading tool, by an editor": call("office/lookup", "editors"),
        "a reading tool of another backend": call("warehouse/query"),
        "a reading tool of files": call("files/read"),
        "a reading tool that claims to destroy": call("office/lookup", resource={"annotations": {"destructiveHint": True}}),
        "an editor": call("office/edit", "editors"),
        "an administrator": call("office/edit", "office_admins"),
        "an editor among other groups": call("office/edit", "readers", "editors"),
        "an editor who destroys": call("office/wipe", "editors"),
        "an editor with a new tool": call("office/brand_new", "editors"),
        "staff who write mail": call("mail/send", "staff"),
    },
)
