"""The house: floors import downwards only, siblings not at all, nothing loops, and no file or function grows past its idea."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GATEWAY = ROOT / "gateway"
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60

PURE = ("wire", "catalog", "policy", "identity")
FLOORS: tuple[tuple[str, ...], ...] = (
    ("model", "errors", "audit_record"),
    PURE,
    ("ports",),
    ("exchange", "adapters"),
    ("settings", "shipped"),
    (
        "app",
        "assembly",
        "cli",
        "cli_catalog",
        "cli_keys",
        "cli_policy",
        "cli_policy_answers",
        "cli_policy_rollback",
        "cli_policy_rollout",
        "cli_policy_waivers",
        "cli_policy_watching",
        "cli_policy_traffic",
        "doctor",
        "front",
        "lifecycle",
    ),
)
SIBLINGS_APART = (*PURE, "exchange", "adapters")
ALLOWED_BETWEEN = {("audit_record", "model"), ("errors", "model")}
IMPURE = {"asyncio", "time", "random", "secrets", "os", "logging", "socket", "subprocess", "threading"}


def _files() -> list[Path]:
    return sorted(GATEWAY.rglob("*.py"))


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(path: Path) -> Iterator[str]:
    """Dotted names of the modules that a file imports."""
    known = {_module(each) for each in _files()}
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in known else node.module


def _room(module: str) -> str:
    """The part of the house that a module is in: the first name below `gateway`."""
    return module.split(".")[1] if "." in module else ""


def _floor(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def test_every_room_stands_on_a_floor() -> None:
    rooms = {_room(_module(path)) for path in _files()} - {""}
    assert rooms == {room for floor in FLOORS for room in floor}


@pytest.mark.parametrize("path", _files(), ids=lambda path: str(path.relative_to(GATEWAY)))
def test_imports_go_down_and_siblings_do_not_meet(path: Path) -> None:
    room = _room(_module(path))
    if not room:
        return
    for imported in _imports(path):
        if not imported.startswith("gateway."):
            continue
        other = _room(imported)
        if other == room or (room, other) in ALLOWED_BETWEEN:
            continue
        assert _floor(other) <= _floor(room), f"{room} imports {imported}, which is above it"
        assert not (room in SIBLINGS_APART and other in SIBLINGS_APART and _floor(other) == _floor(room)), imported


@pytest.mark.parametrize("floor", PURE)
def test_pure_floors_have_no_clock_chance_world_or_await(floor: str) -> None:
    for path in sorted((GATEWAY / floor).rglob("*.py")):
        tree = _tree(path)
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef | ast.Await)], path
        assert not IMPURE & {imported.split(".")[0] for imported in _imports(path)}, path


def test_no_module_imports_itself_through_others() -> None:
    graph = {_module(path): {each for each in _imports(path) if each.startswith("gateway")} for path in _files()}
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " → ".join((*way, module))
        if module in done:
            return
        for other in graph.get(module, ()):
            visit(other, (*way, module))
        done.add(module)

    for module in graph:
        visit(module, ())


def test_no_file_or_function_outgrows_its_idea() -> None:
    long = []
    for path in _files():
        lines = path.read_text().count("\n")
        if lines > MAX_FILE_LINES:
            long.append(f"{path.relative_to(ROOT)}: {lines} lines")
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > MAX_FUNCTION_LINES:
                    long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {length} lines")
    assert not long


def test_nothing_is_imported_inside_a_function_and_only_the_edges_catch_everything() -> None:
    found = []
    for path in _files():
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                inner = [each for each in ast.walk(node) if isinstance(each, ast.Import | ast.ImportFrom)]
                found += [f"{path}:{each.lineno} imports inside {node.name}" for each in inner]
            if isinstance(node, ast.ExceptHandler) and _catches_everything(node) and not _raises_on(node):
                found.append(f"{path.relative_to(GATEWAY)} catches everything")
    assert sorted(found) == ["adapters/tasks.py catches everything", "front/routing.py catches everything"]


def _catches_everything(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or getattr(handler.type, "id", "") in {"Exception", "BaseException"}


def _raises_on(handler: ast.ExceptHandler) -> bool:
    """It only tidies up, and lets the error go on."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None
