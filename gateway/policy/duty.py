"""One redaction as a rule demands it. A noun alone, so that planning and carrying out need not know each other."""

from dataclasses import dataclass
from typing import Literal

from gateway.model import Json

Check = Literal["luhn", "iban", "aba", "nhs", "aadhaar", "cpf", "nir", "foreign_address"]
CHECKS: tuple[Check, ...] = ("luhn", "iban", "aba", "nhs", "aadhaar", "cpf", "nir", "foreign_address")
FOREIGN: Check = "foreign_address"  # the one that needs to know what is `ours`


@dataclass(frozen=True, slots=True)
class Redaction:
    """Exactly one of `pointer` and `pattern` is set."""

    rule: str
    code: str
    target: Literal["arguments", "result", "item"]
    pointer: str | None  # RFC 6901, with `*` for any member and `**` for any depth
    pattern: str | None  # RE2
    except_pattern: str | None  # RE2: matches of `pattern` that stay
    action: Literal["remove", "replace", "hash"]
    value: Json  # for replace; None: the default marker "[redacted]"
    binary: Literal["keep"] | None  # binary content is withheld unless the rule says so
    check: Check | None = None  # matches of `pattern` count only where this holds
    ours: tuple[str, ...] | None = None  # domains and addresses; exactly with foreign_address
