"""The audit log on disk: JSON lines, one writer per folder; a line that was acknowledged is there whole."""

from gateway.adapters.audit.files import AuditBusy
from gateway.adapters.audit.log import AuditLog, AuditSpec, AuditState

__all__ = ["AuditBusy", "AuditLog", "AuditSpec", "AuditState"]
