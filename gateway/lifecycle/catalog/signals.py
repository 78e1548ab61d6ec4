"""Words and characters in a definition that a reviewer should look at twice: signs, never proof; their absence proves nothing.

Each text is read as a model may read it: without characters that nobody sees, letters of other alphabets that look like Latin
ones as those, in one case. Patterns run on RE2, since the text is a backend's. docs/policy/catalog.md holds this table.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import re2

from gateway.lifecycle.catalog.differences import Path, pointer
from gateway.lifecycle.catalog.words import MAX_NAME, MAX_TEXT, visible
from gateway.model import Json, JsonObject

MAX_SHOWN = 100
AROUND = 15
PLAIN_NAME = re.compile(r"[a-z]+")  # a tool of such a name is meant only where it is called one: `search`, search(), search tool
TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})  # what a `type` says; else it is a text
ADDRESSES = frozenset({"$schema", "$id", "$ref", "uri", "uriTemplate", "resourceUri", "src"})  # members that are addresses
HOST = re.compile(r"(?:[a-z]+://)?(?:[^/@\s]*@)?([a-z0-9.-]+)")
EXAMPLES = re.compile(r"(?:.*\.)?(?:example\.(?:com|org|net)|example|invalid|test|localhost)|127\.0\.0\.1")  # RFC 2606: nobody's
SCHEMA_WORDS = frozenset(
    {"name", "title", "description", "inputSchema", "outputSchema", "annotations", "arguments", "type", "properties", "required"}
    | {"items", "enum", "const", "default", "examples", "format", "pattern", "minimum", "maximum", "minLength", "maxLength"}
    | {"minItems", "maxItems", "additionalProperties", "anyOf", "oneOf", "allOf", "$defs", "definitions", "_meta", "ui"}
    | {"$schema", "$ref", "$id", "readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint", "uri", "uriTemplate"}
    | {"mimeType", "size", "icons", "src", "sizes", "resourceUri"}
)

PATTERNS: Mapping[str, str] = {
    "override": (
        r"\b(?:ignore|disregard|forget|override|bypass)\b.{0,20}\b(?:previous|prior|above|earlier|preceding|your|other|system|"
        r"safety|user'?s?)\b.{0,30}\b(?:instructions?|directions?|rules|guidelines|prompts?|messages?|context|polic(?:y|ies)|"
        r"restrictions?|commands?|requests?)\b"
        r"|\b(?:ignore|disregard|forget)\b.{0,10}\b(?:all|any)\b.{0,20}\b(?:instructions?|prompts?|guidelines)\b"
        r"|\b(?:ignore|disregard|forget)\b (?:everything|anything|all)\b.{0,20}\b(?:above|before|told|said)\b"
    ),
    "secrecy": (
        r"\b(?:do not|don'?t|never|must not|should not|without)\b.{0,20}\b(?:tell|mention|reveal|inform|disclos|notify|show|say|"
        r"alert|ask|display|report|let)(?:e|ing)?\b.{0,30}\b(?:users?|humans?|person|operator|anyone|anybody|them)\b"
        r"|\b(?:do not|don'?t|never)\b (?:mention|reveal|disclose) (?:this|that|these|it)\b"
        r"|\b(?:keep|remain)\b.{0,20}\b(?:secret|hidden|confidential|between us)\b"
        r"|\busers? (?:must|should|need) not (?:know|see|be)\b"
        r"|\b(?:secretly|covertly|quietly|silently) (?:call|send|copy|forward|read|include|run|use|add)\b"
    ),
    "steering": (
        r"\b(?:before|after|prior to|when|whenever|instead of|each time|every time)\b.{0,15}\b(?:us|call|invok|execut|run|runn)"
        r"(?:e|ing|s)?\b.{0,15}\b(?:this|any|other|another|these|the|all)\b.{0,25}\btools?\b"
        r"|\b(?:always|first|must|only)\b.{0,10}\b(?:call|use|invoke|run|execute|prefer)\b.{0,20}\b(?:this|the) tool\b"
        r"|\bthis tool (?:must|should|has to|needs to) (?:always |first )?be (?:called|used|run|invoked|preferred)\b"
        r"|\b(?:do not|don'?t|never|avoid) (?:use|call|invoke|using|calling)\b.{0,20}\b(?:other|another|any)\b.{0,20}\btools?\b"
    ),
    "voice": (
        r"\byou are now\b|\bfrom now on\b|\bnew instructions?\b|\byour (?:new )?(?:task|instructions?|goal|role) (?:is|are)\b"
        r"|\bas an? (?:ai|assistant|llm|language model)\b"
        r"|\b(?:assistant|model|agent|llm|ai) (?:must|should|shall|needs to|has to)\b"
        r"|\byou (?:must|should|shall|have to|need to) (?:always|never|first|also|not|call|read|send|execute|run|copy|forward)\b"
        r"|<\s*/?\s*(?:important|system|instructions?|assistant|secret|hidden|admin|critical|sys)\s*>|\[/?(?:inst|system|important)\]"
        r"|<\|[a-z_]+\|>|(?m:^)\s*(?:system|assistant|human) ?:|#{2,} ?(?:system|instructions?|important)\b"
    ),
    "secrets": (
        r"(?:^|[\s/~\"'`(])\.(?:ssh|aws|gnupg|kube|netrc|env|npmrc|pypirc|git-credentials)\b|\bid_(?:rsa|ed25519|ecdsa|dsa)\b"
        r"|/etc/(?:passwd|shadow|sudoers)\b|\bmcp\.json\b|\bclaude_desktop_config\b|\bprivate key-----"
        r"|\b(?:send|include|read|copy|forward|share|paste|attach|append|collect)\b.{0,40}\b(?:api keys?|passwords?|credentials?|"
        r"private keys?|access tokens?|secret keys?|session cookies?|environment variables?)\b"
    ),
    "conversation": (
        r"\b(?:include|send|pass|append|attach|copy|provide|forward|summari[sz]e|paste|put|add|repeat)\b.{0,40}\b(?:conversation|"
        r"chat|dialogue|previous messages|earlier messages|system (?:prompt|message)|"
        r"your (?:context|memory|instructions|reasoning|thoughts))\b"
    ),
    "markup": (
        r"<!--|<\s*(?:script|img|iframe|svg|style|object|embed|meta)\b|!\[[^\]]{0,200}\]\(|display ?: ?none|font-size ?: ?0"
    ),
}
URL = r"\b(?:https?|ftp|wss?|file)://[^\s<>\"')\]]+|\bdata:[a-z]+/[a-z0-9.+-]+[;,]|\bjavascript:|\bwww\.[a-z0-9-]+\.[a-z]+"
BARE_URL = r"|\b[a-z0-9-]+\.(?:com|net|org|io|dev|app|xyz|ru|cn|info|site|online|top|sh)/[^\s<>\"')\]]+"
MAIL = r"|\b[a-z0-9._%+-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,}\b"
HARVEST = (
    r"(?i)^(?:side_?notes?|system_?(?:prompt|message)|(?:conversation|chat|message|prompt)s?_?(?:history|context|log|transcript)|"
    r"(?:previous|prior|all)_?messages|(?:full|entire|complete)_?(?:context|conversation|chat)|chain_?of_?thought|"
    r"reasoning(?:_trace)?|thoughts|(?:available_?)?tools?_?list)$"
)
ENCODED = r"[A-Za-z0-9+/_-]{48,}={0,2}"
ESCAPES = (
    r"[0-9a-fA-F]{80,}|(?:%[0-9a-fA-F]{2}){8,}|(?:\\u[0-9a-fA-F]{4}){4,}|(?:\\x[0-9a-fA-F]{2}){6,}|(?:&#x?[0-9a-fA-F]+;){4,}"
)
PADDING = r"[ \t\x{a0}\x{3000}]{80,}|(?:[ \t]*\r?\n){12,}"
TWINS = str.maketrans("аеорсухіѕјԁһӏνοαρτκιυΑΒΕΖΗΙΚΜΝΟΡΤΥΧАВЕКМНОРСТХІЅЈ", "aeopcyxisjdhlvoaptkiuABEZHIKMNOPTYXABEKMHOPCTXISJ")

CODES = (*PATTERNS, "address", "other_tool", "harvest", "encoded", "padding", "length", "invisible", "bidi", "lookalike")


@dataclass(frozen=True, slots=True)
class Signal:
    code: str
    path: str  # JSON pointer to the text
    text: str  # what was found, every character of it visible

    def members(self) -> dict[str, Json]:
        return {"code": self.code, "path": self.path, "text": self.text}


@dataclass(frozen=True, slots=True)
class Names:
    """The names of a whole catalog, so that one tool's text that speaks of another is noticed."""

    telling: frozenset[str]  # names that no other word is, in one case: create_issue, crm__search
    plain: frozenset[str]  # names that are ordinary words: search


def names(items: Iterable[str]) -> Names:
    long = {name for name in items if len(name) >= 3}
    plain = {name for name in long if PLAIN_NAME.fullmatch(name)}
    return Names(frozenset(name.lower() for name in long - plain), frozenset(plain))


def signals(definition: JsonObject, known: Names) -> tuple[Signal, ...]:
    """Everything to look at twice, each code once for each text."""
    own = str(definition.get("name", "")).lower()
    found: dict[tuple[str, str], Signal] = {}
    for path, text in _texts(definition, ()):
        for code, said in _in_text(path, text, known, own):
            at = pointer(path)
            found.setdefault((code, at), Signal(code, at, visible(said)[:MAX_SHOWN]))
    return tuple(found.values())


def gained(before: JsonObject | None, now: JsonObject, known: Names) -> tuple[Signal, ...]:
    """Those of `now` that were not there when it was reviewed; a long text that changed is cut anew, so it counts again."""
    if before is None:
        return signals(now, known)
    old = {(each.code, each.text) for each in signals(before, known)}
    fresh = {("length", pointer(path)) for path, _ in {*_texts(now, ())} - {*_texts(before, ())}}
    return tuple(each for each in signals(now, known) if (each.code, each.text) not in old or (each.code, each.path) in fresh)


def _texts(value: Json, path: Path) -> Iterator[tuple[Path, str]]:
    """Every text of a definition, names of members that no schema knows among them."""
    match value:
        case str():
            if value and not (path[-1:] == ("type",) and value in TYPES):
                yield path, value
        case dict():
            for name, inner in value.items():
                if name not in SCHEMA_WORDS:
                    yield (*path, name), name
                yield from _texts(inner, (*path, name))
        case list():
            for place, inner in enumerate(value):
                yield from _texts(inner, (*path, str(place)))


def _in_text(path: Path, text: str, known: Names, own: str) -> Iterator[tuple[str, str]]:
    read = _as_read(text)
    address = bool(ADDRESSES & {*path[-1:]})
    if _ANY_READ.search(read):
        for code, pattern in _PATTERNS.items():
            met = pattern.search(read)
            if met:
                yield code, read[max(0, met.start() - AROUND) : met.end() + AROUND]
        if not address:
            yield from (("address", met) for met in _ADDRESS.findall(read) if not _nobodys(met))
    if not address and _ANY_RAW.search(text):
        yield from _encoded(text)
        yield from (("padding", met) for met in _PADDING.findall(text))
    yield from (("other_tool", name) for name in _other_tools(read, known, own))
    if len(text) < MAX_SHOWN and _HARVEST.search(text):
        yield "harvest", text
    if len(text) > (MAX_NAME if text == path[-1] else MAX_TEXT):  # the reader is shown its head and tail
        yield "length", f"{len(text)} characters"
    if not text.isascii():
        yield from _characters(text)
    elif _CONTROL.search(text):
        yield "invisible", text


def _as_read(text: str) -> str:
    """As a model may read it: one case, one kind of space, nothing that is not seen, look-alikes as what they look like."""
    if not text.isascii():
        plain = unicodedata.normalize("NFKC", "".join(chr(ord(each) - 0xE0000) if _tag(each) else each for each in text))
        text = "".join(each for each in plain if not _unseen(each)).translate(TWINS)
    lower = text.lower()
    return "\n".join(" ".join(line.split()) for line in lower.split("\n")) if "\n" in lower else " ".join(lower.split())


def _nobodys(address: str) -> bool:
    host = HOST.match(address)
    return host is not None and EXAMPLES.fullmatch(host[1].rstrip(".")) is not None


def _encoded(text: str) -> Iterator[tuple[str, str]]:
    for each in _ENCODED.findall(text):
        runs = [run for run in re.findall(r"[A-Za-z0-9]{20,}", each) if _mixed(run)]
        if runs:
            yield "encoded", each
    met = _ESCAPES.search(text)
    if met:
        yield "encoded", text[met.start() : met.end()]


def _mixed(run: str) -> bool:
    return any(each.isdigit() for each in run) and any(each.islower() for each in run) and any(each.isupper() for each in run)


def _other_tools(read: str, known: Names, own: str) -> Iterator[str]:
    words = set(re.findall(r"[a-z0-9_][a-z0-9_.\-]*[a-z0-9_]", read))
    yield from sorted(name for name in words & known.telling if name != own and not name.endswith(f"__{own}"))
    for name in sorted(words & known.plain):
        if name != own and re.search(rf"[`'\"]{name}[`'\"]|\b{name}\(|\b{name} tool\b", read):
            yield name


def _characters(text: str) -> Iterator[tuple[str, str]]:
    around = (text[max(0, at - 1) : at + 2] for at, each in enumerate(text) if _unseen(each) and not _joins(text, at))
    first = next(around, None)
    if first is not None:
        yield "invisible", first
    turning = [each for each in text if each in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"]
    if turning:
        yield "bidi", "".join(turning)
    for word in re.findall(r"[^\W\d_]{3,}", text):
        if not word.isascii() and any(each.isascii() for each in word) and _mimics(word):
            yield "lookalike", word
            return


def _mimics(word: str) -> bool:
    """Latin and another alphabet in one word: nobody writes so, but for units such as µm, which are short."""
    scripts = {unicodedata.name(each, "").split(" ")[0] for each in word}
    return "LATIN" in scripts and bool(scripts & {"CYRILLIC", "GREEK", "CHEROKEE", "ARMENIAN"}) and len(word) > 3


def _tag(each: str) -> bool:
    return 0xE0020 <= ord(each) <= 0xE007E


def _unseen(each: str) -> bool:
    """Shows nothing, whatever stands beside it; directions are told apart."""
    point = ord(each)
    if each.isascii():
        return point < 0x20 and each not in "\n\r\t"
    return (
        (
            unicodedata.category(each) in {"Cf", "Co", "Cn", "Cc"}
            and not 0x202A <= point <= 0x202E
            and not 0x2066 <= point <= 0x2069
        )
        or each in "\u115f\u1160\u3164\uffa0\u2800\u034f\u2028\u2029"
        or 0xE0100 <= point <= 0xE01EF
    )


def _joins(text: str, at: int) -> bool:
    """A joiner between two characters that are joined so: emoji, and scripts that need it; a mark of direction beside one."""
    each, beside = text[at], (text[at - 1] if at else "", text[at + 1] if at + 1 < len(text) else "")
    if each in "\u200c\u200d":
        return all(side and not side.isascii() and not _unseen(side) for side in beside)
    if each in "\u200e\u200f\u061c":
        return any(side and unicodedata.bidirectional(side) in {"R", "AL"} for side in beside)
    return each == "\u00ad" and all(side.isalpha() for side in beside)  # a soft hyphen within a word


_options = re2.Options()
_options.log_errors = False
_PATTERNS = {code: re2.compile(f"(?s){pattern}", _options) for code, pattern in PATTERNS.items()}
_ADDRESS = re2.compile(URL + BARE_URL + MAIL, _options)
_HARVEST = re2.compile(HARVEST, _options)
_ENCODED = re2.compile(ENCODED, _options)
_ESCAPES = re2.compile(ESCAPES, _options)
_PADDING = re2.compile(PADDING, _options)
_ANY_READ = re2.compile("(?s)" + "|".join([*PATTERNS.values(), URL + BARE_URL + MAIL]), _options)  # most texts are innocent
_ANY_RAW = re2.compile(f"{ENCODED}|{ESCAPES}|{PADDING}", _options)
_CONTROL = re2.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", _options)
