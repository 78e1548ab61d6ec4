"""Builds `WWW-Authenticate`: what a client needs to come back with a better credential (RFC 6750 3, RFC 9728 5.1)."""

from collections.abc import Iterable

WELL_KNOWN = "/.well-known/oauth-protected-resource"


def challenge(
    *,
    error: str | None = None,
    description: str | None = None,
    scopes: Iterable[str] = (),
    resource_metadata: str | None = None,
) -> str:
    """The header's value. `error` is left out when no token was sent (RFC 6750 3.1): there was nothing wrong with one."""
    members = {
        "error": error,
        "error_description": description if error else None,
        "scope": " ".join(scopes) or None,
        "resource_metadata": resource_metadata,
    }
    said = ", ".join(f'{name}="{_quotable(value)}"' for name, value in members.items() if value)
    return f"Bearer {said}" if said else "Bearer"


def metadata_url(public_url: str, path: str) -> str:
    """Where the metadata of the resource at `path` is: the well-known part goes between host and path (RFC 9728 3.1)."""
    return public_url.rstrip("/") + WELL_KNOWN + ("" if path == "/" else path)


def surface_path(surface: str) -> str:
    """The URL path of a surface: /mcp for `default`, /mcp/<name> for the others."""
    return "/mcp" if surface == "default" else f"/mcp/{surface}"


def _quotable(value: str) -> str:
    """Without what could end the quoted string or the header line."""
    return "".join(char for char in value if " " <= char <= "~" and char not in '"\\')
