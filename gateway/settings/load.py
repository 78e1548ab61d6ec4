"""Reads gateway.yaml, lets GATEWAY_… variables override it, and turns every mistake into a line that names its place."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from gateway.settings.base import Secret
from gateway.settings.credentials import CREDENTIAL_TYPES
from gateway.settings.model import Settings

PREFIX = "GATEWAY_"


class SettingsError(Exception):
    """One message for the operator: what is wrong, where, and what to do."""


def load(path: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """The settings in `path`; file names in it are relative to its folder. Raises `SettingsError`."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror}). Name a settings file with --settings.") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: not UTF-8: {error.reason} at byte {error.start}") from error
    try:
        loaded = yaml.load(text, Loader=_UniqueKeys)  # noqa: S506 — a SafeLoader below
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that is none
        raise SettingsError(f"{path}: not YAML: {_one_line(error)}") from error
    except RecursionError as error:
        raise SettingsError(f"{path}: not YAML that is settings: nested too deeply") from error
    document = {} if loaded is None else loaded
    if not isinstance(document, dict):
        raise SettingsError(f"{path}: must be a mapping of settings")
    for name, value in (os.environ if environment is None else environment).items():
        if name.startswith(PREFIX) and "__" in name.removeprefix(PREFIX):
            _override(document, name, value)
    try:
        settings = Settings.model_validate(document)
    except ValidationError as error:
        raise SettingsError("\n".join(f"{path}: {line}" for line in _lines(error))) from error
    return _anchored(settings, path.resolve().parent)


def secret_value(secret: Secret) -> str:
    """The secret itself, read now. Raises `SettingsError` naming the place, never the value."""
    if secret.env is not None:
        value = os.environ.get(secret.env)
        if not value:
            raise SettingsError(f"the environment variable {secret.env} is not set, but a setting takes its secret from it")
        return value
    assert secret.file is not None
    try:
        return secret.file.read_text(encoding="utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{secret.file}: a setting takes its secret from it, but it is not UTF-8") from error
    except OSError as error:
        raise SettingsError(f"{secret.file}: a setting takes its secret from it, but: {error.strerror}") from error


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a key given twice is an error: the second one would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str | int | float | bool | None):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a plain value", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _override(document: dict[str, Any], name: str, value: str) -> None:
    """GATEWAY_LISTEN__PORT=8081 sets listen.port; the value is read as YAML."""
    *path, last = name.removeprefix(PREFIX).lower().split("__")
    here = document
    for step in path:
        below = here.setdefault(step, {})
        if not isinstance(below, dict):
            raise SettingsError(f"{name}: {step} is not a group of settings")
        here = below
    try:
        here[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise SettingsError(f"{name}: not a value: {_one_line(error)}") from error


def _lines(error: ValidationError) -> list[str]:
    """One line for each mistake, with the path of its setting."""
    lines = []
    for each in error.errors(include_url=False):
        place = ".".join(_parts(each["loc"])) or "settings"
        what = each["msg"].removeprefix("Value error, ")
        if each["type"] == "extra_forbidden":
            what = "no such setting; docs/settings.md lists them all"
        lines += [f"{place}: {line}" for line in what.splitlines()]
    return lines


def _parts(loc: tuple[int | str, ...]) -> Iterator[str]:
    """The steps of a path, without those that pydantic adds to say which member of a union was meant."""
    before: int | str = ""
    for part in loc:
        if before != "credential" or part not in CREDENTIAL_TYPES:
            yield str(part)
        before = part


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _anchored(settings: Settings, folder: Path) -> Settings:
    """The same settings with every relative path under `folder`."""
    anchored = _with_paths(settings, folder)
    assert isinstance(anchored, Settings)
    return anchored


def _with_paths(value: Any, folder: Path) -> Any:
    if isinstance(value, Path):
        return value if value.is_absolute() else folder / value
    if isinstance(value, BaseModel):
        changed = {name: _with_paths(getattr(value, name), folder) for name in type(value).model_fields}
        return value.model_copy(update=changed)
    if isinstance(value, dict):
        return {key: _with_paths(each, folder) for key, each in value.items()}
    if isinstance(value, tuple):
        return tuple(_with_paths(each, folder) for each in value)
    return value
