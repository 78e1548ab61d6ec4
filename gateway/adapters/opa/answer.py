"""What OPA answered: a `Verdict` with its revision, or `Undecided` with its cause. Nothing in between."""

import msgspec

from gateway.errors import Undecided
from gateway.model import Json
from gateway.ports import Verdict

MAX_DETAIL = 500  # an error text for the operator's log; OPA quotes whole rules in some


class _Bundle(msgspec.Struct):
    revision: str = ""


class _Provenance(msgspec.Struct):
    bundles: dict[str, _Bundle] = msgspec.field(default_factory=dict)


class _Answer(msgspec.Struct):
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    provenance: _Provenance = msgspec.field(default_factory=_Provenance)


class _Location(msgspec.Struct):
    file: str = ""
    row: int = 0


class _Cause(msgspec.Struct):
    code: str = ""
    message: str = ""
    location: _Location | None = None


class _Error(msgspec.Struct):
    code: str = ""
    message: str = ""
    errors: list[_Cause] = msgspec.field(default_factory=list)


_answer = msgspec.json.Decoder(_Answer)
_error = msgspec.json.Decoder(_Error)
_result: msgspec.json.Decoder[Json] = msgspec.json.Decoder()

NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def verdict(status: int, body: bytes) -> Verdict:
    """The verdict in an HTTP answer of OPA. `revision` is "" where no bundle named one. Raises `Undecided`."""
    if status != 200:
        raise Undecided("status", _why(status, body))
    try:
        answer = _answer.decode(body)
        if isinstance(answer.result, msgspec.UnsetType):
            raise Undecided("undefined", "OPA knows no such decision, or its rule is undefined for this input")
        result = _result.decode(answer.result)
    except NOT_JSON as error:
        raise Undecided("garbage", f"OPA's answer is not JSON of its Data API: {error}"[:MAX_DETAIL]) from error
    return Verdict(result=result, revision=_revision(answer.provenance))


def _revision(provenance: _Provenance) -> str:
    """One bundle's revision as it is; several are named apart. A bundle without a revision makes the whole unknown."""
    bundles = provenance.bundles
    if len(bundles) == 1:
        return next(iter(bundles.values())).revision
    if not all(bundle.revision for bundle in bundles.values()):
        return ""
    return ",".join(f"{name}@{bundles[name].revision}" for name in sorted(bundles))


def _why(status: int, body: bytes) -> str:
    try:
        error = _error.decode(body)
    except NOT_JSON:
        return f"HTTP {status}"
    first = error.errors[0] if error.errors else None
    if first is None:
        return f"HTTP {status} {error.code}: {error.message}"[:MAX_DETAIL]
    place = f"{first.location.file}:{first.location.row}: " if first.location else ""
    return f"HTTP {status} {place}{first.code}: {first.message}"[:MAX_DETAIL]
