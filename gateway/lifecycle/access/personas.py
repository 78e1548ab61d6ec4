"""Whom a table of access is about: a few kinds of callers, each as the gateway would tell the policy of one."""

from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from gateway.model import Caller, Identity, Subject
from gateway.policy.structure import check_yaml

ISSUER = "urn:mcp-gateway:persona"


class BadPersonas(Exception):
    """The file of personas cannot be used: the message says where and why."""


class Persona(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One kind of caller. What is not said is not there: no groups, no scopes."""

    name: str
    groups: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    type: Literal["user", "workload", "anonymous"] = "user"
    id: str = ""  # "": the name
    issuer: str = ISSUER
    authentication: Literal["jwt", "api_key", "mtls", "asserted", "none"] = "jwt"
    claims: dict[str, Any] = {}  # msgspec copies it for each
    agent: str | None = None
    surface: str = "default"
    source_ip: str = "127.0.0.1"

    @property
    def caller(self) -> Caller:
        subject = Subject(
            type=self.type,
            identity=Identity(self.issuer, self.id or self.name),
            authentication=self.authentication,
            groups=self.groups,
            scopes=self.scopes,
            claims=self.claims,
        )
        return Caller(subject, self.agent, self.source_ip)


class _Written(msgspec.Struct, forbid_unknown_fields=True):
    personas: list[Persona]


def read(path: Path) -> tuple[Persona, ...]:
    """Raises `BadPersonas`."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        missing = "no such file; name one with --personas, or write who calls, such as"
        raise BadPersonas(f"{path}: {missing} `personas: [{{name: analyst, groups: [analysts]}}]`") from error
    except OSError as error:
        raise BadPersonas(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadPersonas(f"{path}: {error}") from error
    if found := check_yaml(str(path), text):
        raise BadPersonas("\n".join(str(each) for each in found))
    try:
        written = msgspec.convert(yaml.safe_load(text), _Written)
    except msgspec.ValidationError as error:
        raise BadPersonas(f"{path}: {error}") from error
    names = [persona.name for persona in written.personas]
    if not names or len(set(names)) != len(names):
        raise BadPersonas(f"{path}: there is no persona" if not names else f"{path}: two personas share a name")
    return tuple(written.personas)
