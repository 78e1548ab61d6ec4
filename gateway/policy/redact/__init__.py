"""Redaction, carried out: pure, compiled once, the same for every form in which a value can cross the gateway."""

from gateway.policy.redact.marker import REDACTED, BadRedaction
from gateway.policy.redact.redactor import Fits, Hit, Redacted, Redactor, compile_redactions
from gateway.policy.redact.steps import MAX_STEPS

__all__ = ["MAX_STEPS", "REDACTED", "BadRedaction", "Fits", "Hit", "Redacted", "Redactor", "compile_redactions"]
