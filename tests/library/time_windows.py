"""Payments at odd hours. Monday to Friday from 8 to 18 in Berlin, Saturday from 10 to 12 UTC."""

from datetime import datetime
from typing import Any

from tests.library.asking import S_NS, Table


def at(said: str, tool: str = "office/pay", **more: Any) -> dict[str, Any]:
    return {"time_ns": int(datetime.fromisoformat(said).timestamp()) * S_NS, "tool": tool, **more}


TABLE = Table(
    rule="time_windows",
    tool="office/pay",
    settings={
        "labels": {
            "payments": [
                {
                    "zone": "Europe/Berlin",
                    "days": ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"],
                    "from": "08:00",
                    "until": "18:00",
                },
                {"zone": "UTC", "days": ["Saturday"], "from": "10:00", "until": "12:00"},
            ]
        }
    },
    hostile={
        "at night": at("2026-03-04T03:00:00+01:00"),
        "at midnight": at("2026-03-04T00:00:00+01:00"),
        "a second before midnight": at("2026-03-04T23:59:59+01:00"),
        "a second too early": at("2026-03-04T07:59:59+01:00"),
        "at the end": at("2026-03-04T18:00:00+01:00"),
        "a minute late": at("2026-03-04T18:01:00+01:00"),
        "on Sunday": at("2026-03-08T12:00:00+01:00"),
        "on Sunday in the Saturday's hours": at("2026-03-08T11:00:00+00:00"),
        "on Saturday before its hours": at("2026-03-07T09:59:59+00:00"),
        "on Saturday after its hours": at("2026-03-07T12:00:00+00:00"),
        "on Saturday in the week's hours": at("2026-03-07T15:00:00+01:00"),
        "on Saturday in Berlin's hours": at("2026-03-07T10:30:00+01:00"),
        "in the hours of New York": at("2026-03-04T14:00:00-05:00"),
        "in the hours of Tokyo": at("2026-03-04T10:00:00+09:00"),
        "in UTC's hours, in winter": at("2026-01-14T17:30:00+00:00"),
        "in winter's hours, in summer": at("2026-07-15T16:30:00+00:00"),
        "too early, in summer": at("2026-07-15T05:59:59+00:00"),
        "Monday there, Sunday here": at("2026-03-02T08:30:00+14:00"),
        "Friday's night": at("2026-03-06T22:00:00+01:00"),
        "long ago": at("1990-01-07T12:00:00+00:00"),
        "an administrator at night": at("2026-03-04T03:00:00+01:00", groups=["crm_admins"]),
        "arguments that say another time": at("2026-03-04T03:00:00+01:00", arguments={"time": "12:00"}),
        "a claim that says another time": at("2026-03-04T03:00:00+01:00", subject={"claims": {"time": "12:00"}}),
        "a tool that claims to read": at("2026-03-04T03:00:00+01:00", resource={"annotations": {"readOnlyHint": True}}),
    },
    innocent={
        "at noon": at("2026-03-04T12:00:00+01:00"),
        "at the begin": at("2026-03-04T08:00:00+01:00"),
        "a second before the end": at("2026-03-04T17:59:59+01:00"),
        "on Monday": at("2026-03-02T09:00:00+01:00"),
        "on Friday": at("2026-03-06T17:00:00+01:00"),
        "on Saturday": at("2026-03-07T11:00:00+00:00"),
        "in summer": at("2026-07-15T15:30:00+00:00"),
        "early in summer": at("2026-07-15T06:00:00+00:00"),
        "from Tokyo in Berlin's hours": at("2026-03-04T18:00:00+09:00"),
        "another tool at night": at("2026-03-04T03:00:00+01:00", "office/edit"),
        "reading at night": at("2026-03-04T03:00:00+01:00", "office/lookup"),
        "an unlabelled tool at night": at("2026-03-04T03:00:00+01:00", "office/nobody_looked"),
    },
)
