"""Where each surface's metadata is served: at its own well-known path, and the default surface's at the root as well.

The root is where a client looks last (2026-07-28, authorization: protected resource metadata discovery). It gets the default
surface's document and not one of the whole gateway: a token is always for one surface, so one for "the gateway" would open none.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.front.documents import Document
from gateway.identity.challenge import WELL_KNOWN, surface_path
from gateway.identity.metadata import ProtectedResource

HEADERS: Final = {"cache-control": "public, max-age=300"}  # a client must see a new issuer soon after a restart


def documents(resources: Mapping[str, ProtectedResource]) -> dict[str, Document]:
    """Path to document, for surfaces by name."""
    found = {WELL_KNOWN + surface_path(surface): _document(resource) for surface, resource in resources.items()}
    if "default" in resources:
        found[WELL_KNOWN] = found[WELL_KNOWN + surface_path("default")]
    return found


def _document(resource: ProtectedResource) -> Document:
    body = msgspec.json.encode(resource.members())
    return lambda: (200, HEADERS, body)
