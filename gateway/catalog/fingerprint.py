"""The identity of a definition: changes when anything a model or client reads in it changes, and only then."""

import hashlib
from collections.abc import Mapping

import msgspec

from gateway.model import Json, JsonObject

KEPT_META = frozenset({"ui"})  # MCP Apps; other `_meta` of a listing speaks of the hop behind


def fingerprint(definition: Mapping[str, Json]) -> str:
    """SHA-256, hex, after "sha256:", of the definition in canonical order (RFC 8785 as far as key order goes).

    Everything in it counts (`counted`), also members that no version knows yet.
    """
    return "sha256:" + hashlib.sha256(msgspec.json.encode(counted(definition), order="sorted")).hexdigest()


def counted(definition: Mapping[str, Json]) -> JsonObject:
    """The definition without what may differ on every listing: of `_meta` only what clients are shown counts (`ui`)."""
    read = {name: value for name, value in definition.items() if name != "_meta"}
    meta = definition.get("_meta")
    kept = {name: value for name, value in meta.items() if name in KEPT_META} if isinstance(meta, dict) else {}
    if kept:
        read["_meta"] = kept
    return read
