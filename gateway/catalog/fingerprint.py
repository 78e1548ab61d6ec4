"""The identity of a definition: changes when anything a model or client reads in it changes, and only then."""

import hashlib
from collections.abc import Mapping

import msgspec

from gateway.model import Json


def fingerprint(definition: Mapping[str, Json]) -> str:
    """SHA-256, hex, after "sha256:", of the definition in canonical order (RFC 8785 as far as key order goes).

    `_meta` is left out: it may differ on every listing. Everything else counts, also members that no version knows yet.
    """
    read = {name: value for name, value in definition.items() if name != "_meta"}
    return "sha256:" + hashlib.sha256(msgspec.json.encode(read, order="sorted")).hexdigest()
