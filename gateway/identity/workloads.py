"""Which workloads are expected, by patterns of their names, and what each may; whoever no rule expects is nobody."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.identity.grant import NamesUsers, refuse_reserved

_PATTERN = re.compile(r"(?:[^*]|\*(?!\*))+?(?:(?<=[/:])\*\*)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TrustedWorkloads:
    """Workloads whose name fits `name`.

    A `*` stands for any characters but `/` and `:`, so for one segment or a part of one; `/**` or `:**` at the end for
    all that follows. So `repo:acme/*:ref:refs/heads/main` is main of every repository of acme, and of nobody else.
    """

    name: str  # of a client certificate its URI, of a token its `sub`
    groups: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    surfaces: frozenset[str] | None = None  # None: every one
    names_users: bool = False
    user_issuer: str | None = None  # None: urn:workload:<the workload's name>
    user_groups: tuple[str, ...] = ()
    issuer: str | None = None  # of the subject a certificate stands for; None: scheme and authority of its URI
    fits: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not _PATTERN.fullmatch(self.name):
            raise ValueError(
                f"{self.name}: `*` stands for a segment or a part of one, `/**` or `:**` for the rest, at the end only"
            )
        for issuer in (self.issuer, self.user_issuer):
            if issuer is not None:
                refuse_reserved(issuer)
        parts = self.name.removesuffix("**").split("*")
        rest = ".+" if self.name.endswith("**") else ""
        object.__setattr__(self, "fits", re.compile("[^/:]*".join(re.escape(part) for part in parts) + rest))

    def users(self, workload: str) -> NamesUsers | None:
        """The users that this workload may name; None: it may not."""
        return NamesUsers.by(workload, self.user_issuer, self.user_groups) if self.names_users else None


def expecting(name: str, trusted: Iterable[TrustedWorkloads]) -> TrustedWorkloads | None:
    """The first rule that fits."""
    return next((rule for rule in trusted if rule.fits.fullmatch(name)), None)
