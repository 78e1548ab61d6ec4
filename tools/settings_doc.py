"""Prints docs/settings.md from the settings' own model: `python -m tools.settings_doc > docs/settings.md`.

`python -m tools.settings_doc --identity` renews the table in docs/identity.md, of what concerns who asks and as whom we ask.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from gateway.settings.model import Settings

HEAD = """\
# Settings

One YAML file, `gateway.yaml` (`mcp-gateway serve --settings FILE`). Unknown keys are refused, and every mistake is told with
the path of the setting. File names are relative to the file. A variable `GATEWAY_<GROUP>__<NAME>` overrides one setting
(`GATEWAY_LISTEN__PORT=8081` sets `listen.port`; the value is read as YAML). A secret is never written here: a
setting of type secret names an environment variable (`env: NAME`) or a file (`file: PATH`).

What the organisation decided about items and people (labels, reviewed definitions, waivers, blocks) is no setting: it is
reviewed data of the policy, `policies/mcp/facts/`, and described in [input.md](input.md).

This page is made from the settings' own model by `python -m tools.settings_doc`; a test fails when it is behind.
"""


IDENTITY_PAGE = Path(__file__).resolve().parents[1] / "docs/identity.md"
NOT_IDENTITY = frozenset(
    [
        "listen.host",
        "listen.port",
        "surfaces.<name>.backends",
        "surfaces.<name>.include",
        "surfaces.<name>.exclude",
        "surfaces.<name>.rename",
        "surfaces.<name>.describe",
        "surfaces.<name>.instructions",
        "surfaces.<name>.bare",
    ]
)
ALSO_IDENTITY = frozenset(
    [
        "backends.<name>.lists_per_subject",
        "backends.<name>.forward_headers",
        "limits.failed_logins_per_minute",
        "limits.call_grace_s",
        "catalog.scopes_kept",
        "catalog.scope_wait_s",
    ]
)
BEGIN, END = "<!-- the table below is made by tools/settings_doc.py -->\n", "<!-- end of the table -->\n"


def identity_page() -> str:
    """docs/identity.md with its table as it must be now."""
    before, _, rest = IDENTITY_PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    rows = "".join(row for where, row in _rows("", Settings) if _concerns_identity(where))
    return f"{before}{BEGIN}| setting | type | default | meaning |\n|---|---|---|---|\n{rows}{END}{after}"


def _concerns_identity(where: str) -> bool:
    if where in ALSO_IDENTITY:
        return True
    if where.startswith(("backends.<name>.credential", "backends.<name>.assertion")):
        return True
    return where not in NOT_IDENTITY and where.startswith(("listen.", "identity.", "surfaces.<name>."))


def _rows(path: str, model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Every setting below `path` with its whole name, as rows of one table."""
    for name, info in model.model_fields.items():
        where = f"{path}.{name}" if path else name
        inner = [each for each in _models(info.annotation) if each.__name__ != "Secret"]
        if not inner:
            yield where, f"| `{where}` | {_type(info.annotation)} | {_default(info)} | {_cell(info.description or '')} |\n"
        for each in inner:
            yield from _rows(where + _suffix(info.annotation) + _which(each, inner), each)


def page() -> str:
    return HEAD + "".join(_section("", Settings, "The top of the file."))


def _section(path: str, model: type[BaseModel], text: str) -> Iterator[str]:
    yield f"\n## `{path}`\n\n{text}\n\n" if path else "\n## The file\n\n"
    yield "| setting | type | default | meaning |\n|---|---|---|---|\n"
    below: list[tuple[str, type[BaseModel]]] = []
    for name, info in model.model_fields.items():
        inner = _models(info.annotation)
        where = f"{path}.{name}" if path else name
        below += [(where + _suffix(info.annotation) + _which(each, inner), each) for each in inner]
        meaning = info.description or (inner[0].__doc__ or "").split("\n")[0]
        yield f"| `{name}` | {_type(info.annotation)} | {_default(info)} | {_cell(meaning)} |\n"
    for where, group in below:
        if group.__name__ != "Secret":
            yield from _section(where, group, group.__doc__ or "")


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [inner for each in get_args(annotation) for inner in _models(each)]


def _which(model: type[BaseModel], among: list[type[BaseModel]]) -> str:
    """Says which member of a union this is."""
    return f" (type: {get_args(model.model_fields['type'].annotation)[0]})" if len(among) > 1 else ""


def _suffix(annotation: Any) -> str:
    return {dict: ".<name>", tuple: "[]"}.get(get_origin(annotation), "")


def _type(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{each}`" for each in inner)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_type(each) for each in inner if each is not type(None)))
    if origin is tuple:
        return f"list of {_type(inner[0])}"
    if origin is dict:
        return f"mapping of {_type(inner[1])}"
    if inner and hasattr(annotation, "__metadata__"):
        return _type(inner[0])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "secret" if annotation.__name__ == "Secret" else "group"
    return {str: "text", int: "integer", float: "number", bool: "boolean", Path: "path"}.get(annotation, str(annotation))


def _default(info: Any) -> str:
    if info.is_required():
        return "required"
    value = info.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined or isinstance(value, BaseModel):
        return ""
    if isinstance(value, dict) and any(isinstance(each, BaseModel) for each in value.values()):
        return ", ".join(f"`{name}`" for name in value)
    return f"`{value}`" if isinstance(value, Path | str) else f"`{json.dumps(value)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").rstrip(".")


if __name__ == "__main__":
    if sys.argv[1:] == ["--identity"]:
        IDENTITY_PAGE.write_text(identity_page())
    else:
        print(page(), end="")
