"""Typed facts out of arguments, for what Rego cannot parse: paths, SQL, URLs, addresses. Pure, bounded, and it never raises.

What cannot be read with certainty is said to be unreadable, and why, in words that repeat nothing of what was sent.
"""

from gateway.policy.extract.declared import DECLARING, Declared, Extractions, declarations, problems, told
from gateway.policy.extract.reading import extracted, is_slow

__all__ = ["DECLARING", "Declared", "Extractions", "declarations", "extracted", "is_slow", "problems", "told"]
