"""What a caller reads when the policy refuses. The policy's text speaks; whatever came from arguments is only quoted in it."""

import re
import unicodedata
from collections.abc import Sequence

import msgspec

from gateway.model import Denial, Json

MAX_QUOTED = 80  # characters of one value in a message
MAX_DENIALS = 10  # told to the caller; all of them are in the record

_NAME = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_QUOTES = frozenset(
    "\"'`\u00b4\u201a\u201e\u300c\u300d\u300e\u300f\uff02\uff07"
)  # with Pi and Pf: whatever looks like the end of a quotation
_UNSEEN = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})  # control, format (bidi), private, surrogate, unassigned, breaks


def message(denial: Denial) -> str:
    """The denial's text with its {names} filled from `details`; a name that is not there stays as it is.

    One pass, no format language: a value that contains `{other}` or `{0.__class__}` is only text.
    """
    details = denial.details

    def filled(match: re.Match[str]) -> str:
        name = match.group(1)
        return quoted(details[name]) if name in details else match.group(0)

    return _NAME.sub(filled, denial.message)


def quoted(value: Json) -> str:
    """The value in double quotes, on one line, cut, and unable to end its own quotation. Numbers and booleans are bare."""
    if isinstance(value, bool | int | float):
        return _cut(msgspec.json.encode(value).decode())
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return f'"{_cut("".join(_harmless(character) for character in text[: MAX_QUOTED + 1]))}"'


def denied(denials: Sequence[Denial]) -> str:
    """All refusals as one text: one line each, in the policy's order."""
    lines = [f"{message(denial)} ({denial.code})" for denial in denials[:MAX_DENIALS]]
    if len(denials) > MAX_DENIALS:
        lines.append(f"and {len(denials) - MAX_DENIALS} more")
    return "Refused by policy: " + "\n".join(lines)


def withheld_text(denials: Sequence[Denial] = ()) -> str:
    reason = f" {denied(denials)}" if denials else ""
    return f"The action was carried out and its result withheld; do not repeat it.{reason}"


def _harmless(character: str) -> str:
    category = unicodedata.category(character)
    if character in _QUOTES or category in ("Pi", "Pf"):
        return "'"
    if character.isspace():
        return " "
    return "\ufffd" if category in _UNSEEN else character


def _cut(text: str) -> str:
    return text if len(text) <= MAX_QUOTED else text[: MAX_QUOTED - 1] + "…"
