"""Redaction, carried out: pure, compiled once, the same for every form in which a value can cross the gateway."""

from gateway.policy.redact.marker import REDACTED, BadRedaction
from gateway.policy.redact.redactor import Fits, Hit, Redacted, Redactor, compile_redactions

__all__ = ["REDACTED", "BadRedaction", "Fits", "Hit", "Redacted", "Redactor", "compile_redactions"]
