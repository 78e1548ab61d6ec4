"""The identity of a definition: changes when anything a model or client reads in it changes, and only then."""

import hashlib
from collections.abc import Mapping

import msgspec

from gateway.model import Json

KEPT_META = frozenset({"ui"})  # MCP Apps; other `_meta` of a listing speaks of the hop behind


def fingerprint(definition: Mapping[str, Json]) -> str:
    """SHA-256, hex, after "sha256:", of the definition in canonical order (RFC 8785 as far as key order goes).

    Of `_meta` only what clients are shown counts (`ui`): the rest may differ on every listing.
    Everything else counts, also members that no version knows yet.
    """
    read = {name: value for name, value in definition.items() if name != "_meta"}
    meta = definition.get("_meta")
    kept = {name: value for name, value in meta.items() if name in KEPT_META} if isinstance(meta, dict) else {}
    if kept:
        read["_meta"] = kept
    return "sha256:" + hashlib.sha256(msgspec.json.encode(read, order="sorted")).hexdigest()
