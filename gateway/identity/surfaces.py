"""Whether a verified caller may use a surface at all: 403, not 401, since another login would not help."""

from collections.abc import Collection

from gateway.errors import Kind, Refusal
from gateway.model import Caller


def check_surface(caller: Caller, surface: str, *, groups: Collection[str] = ()) -> None:
    """Raises `Refusal(FORBIDDEN_SURFACE)` unless the credential reaches `surface` and the subject is in one of `groups`."""
    if caller.surfaces is not None and surface not in caller.surfaces:
        raise Refusal(Kind.FORBIDDEN_SURFACE, "This credential is not good for this surface.", cause="credential_surface")
    if groups and not set(groups) & set(caller.subject.groups):
        raise Refusal(Kind.FORBIDDEN_SURFACE, "This surface is for members of certain groups only.", cause="surface_groups")
