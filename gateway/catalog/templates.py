"""Which URI template a URI matches (RFC 6570), without ever running a regular expression of foreign make.

Every expansion of a template matches it, but one in which a plain `{x}` is empty: `repo://{owner}/{name}` is not `repo:///`.
Where RFC 6570 would have percent-encoded a character, the bare one matches too.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

import re2

_EXPRESSION = re.compile(r"\{([+#./;?&]?)([^{}]*)\}")
_CHAR = r"(?:[A-Za-z0-9_]|%[0-9A-Fa-f]{2})"
_VARIABLE = re.compile(rf"{_CHAR}(?:\.?{_CHAR})*(\*|:[1-9][0-9]{{0,3}})?")  # RFC 6570, sections 2.3 and 2.4
_NO_LITERAL = re.compile(r"[\x00-\x20\x7f\"<>\\^`{|}]|%(?![0-9A-Fa-f]{2})")  # section 2.1
_LITERALS = ":/?#[]@!$&'()*+,;=-._~%"  # stand as they are; others are percent-encoded (section 3.1)
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*[:{]|\{")
_MANY = {  # what several variables, or an exploded one, add nothing to: their separators are within
    "": r"[^/?#]+",
    "+": r".*",
    "#": r"(?:#.*)?",
    ".": r"(?:\.[^/?#]*)?",
    ";": r"(?:;[^/?#]*)?",
    "?": r"(?:\?[^#]*)?",
    "&": r"(?:&[^#]*)?",
}
MAX_TEMPLATE = 4096
MAX_PROGRAM_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Pattern:
    literal_chars: int
    prefix: str  # literal text before the first expression: most URIs fail here, cheaply
    expression: object  # an RE2 program: linear in the URI

    def matches(self, uri: str) -> bool:
        return uri.startswith(self.prefix) and self.expression.fullmatch(uri) is not None  # type: ignore[attr-defined]


@lru_cache(maxsize=8192)
def pattern(template: str) -> Pattern | None:
    """None: not a template of absolute URIs."""
    if not template or len(template) > MAX_TEMPLATE or not _ABSOLUTE.match(template):
        return None
    parts: list[str] = []
    literals: list[str] = []
    at = 0
    for found in _EXPRESSION.finditer(template):
        expression = _expression(found[1], found[2])
        if expression is None:
            return None
        literals.append(template[at : found.start()])
        parts += [_literal(literals[-1]), expression]
        at = found.end()
    literals.append(template[at:])
    parts.append(_literal(literals[-1]))
    if any(_NO_LITERAL.search(each) for each in literals):
        return None
    try:
        return Pattern(sum(map(len, literals)), quote(literals[0], safe=_LITERALS), re2.compile("".join(parts), _options()))
    except (re2.error, UnicodeEncodeError):
        return None


def matches(template: str, uri: str) -> bool:
    found = pattern(template)
    return found is not None and found.matches(uri)


def _literal(text: str) -> str:
    return str(re2.escape(quote(text, safe=_LITERALS, errors="replace")))


def _expression(operator: str, variables: str) -> str | None:
    """What the expansion of one expression can look like (RFC 6570, section 3.2); undefined variables vanish."""
    read = [_VARIABLE.fullmatch(each) for each in variables.split(",")]
    if None in read:
        return None
    if operator != "/":
        return _MANY[operator]
    exploded = any(each is not None and each[1] == "*" for each in read)
    return "(?:/[^/?#]*)*" if exploded else rf"(?:/[^/?#]*){{0,{len(read)}}}"


def _options() -> object:
    options = re2.Options()
    options.dot_nl = True
    options.never_capture = True
    options.log_errors = False
    options.max_mem = MAX_PROGRAM_BYTES
    return options
