"""Which URI template a URI matches (RFC 6570), without ever running a regular expression of foreign make."""

import re
from dataclasses import dataclass
from functools import lru_cache

import re2

_EXPRESSION = re.compile(r"\{([+#./;?&]?)([A-Za-z0-9_.,*:%]+)\}")
_WIDE = frozenset("+#")  # reserved expansion: may hold any character
MAX_TEMPLATE = 4096


@dataclass(frozen=True, slots=True)
class Pattern:
    literal_chars: int
    expression: object  # an RE2 program, anchored at both ends

    def matches(self, uri: str) -> bool:
        return self.expression.fullmatch(uri) is not None  # type: ignore[attr-defined]


@lru_cache(maxsize=4096)
def pattern(template: str) -> Pattern | None:
    """None: not a template that can be matched."""
    if len(template) > MAX_TEMPLATE:
        return None
    parts: list[str] = []
    literal, at = 0, 0
    for found in _EXPRESSION.finditer(template):
        text = template[at : found.start()]
        literal += len(text)
        parts.append(re2.escape(text))
        parts.append(_expression(found[1], found[2].count(",") + 1))
        at = found.end()
    rest = template[at:]
    if "{" in rest or "}" in rest:
        return None
    parts.append(re2.escape(rest))
    try:
        return Pattern(literal + len(rest), re2.compile("(?s)" + "".join(parts)))
    except re2.error:
        return None


def matches(template: str, uri: str) -> bool:
    found = pattern(template)
    return found is not None and found.matches(uri)


def _expression(operator: str, variables: int) -> str:
    """What the expansion of one expression can look like (RFC 6570, section 3.2)."""
    if operator in _WIDE:
        return ("#?" if operator == "#" else "") + ".+"
    if operator in {"?", "&"}:
        return rf"(?:[{operator}&][^#]*)?"
    one = r"[^/?#]*" if operator == ";" else r"[^/?#]+"
    lead = {".": r"\.", "/": "/", ";": ";"}.get(operator, "")
    separator = {"/": "/", ".": r"\.", ";": ";"}.get(operator, ",")
    more = rf"(?:{separator}{one}){{0,{variables - 1}}}" if variables > 1 else ""
    return f"{lead}{one}{more}"
