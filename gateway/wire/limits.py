"""Bounds on one request, each a setting."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BodyLimits:
    max_body_bytes: int = 4 * 1024 * 1024
    max_depth: int = 64  # CPython's own limits vary by version and build; ours must not
    max_headers_count: int = 100
    max_headers_bytes: int = 32 * 1024
    max_members: int = 100_000  # of all objects and arrays: 4 MiB of `[],` would be two million lists
