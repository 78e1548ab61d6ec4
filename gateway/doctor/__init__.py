"""`mcp-gateway doctor`: what works and what to do about what does not. It looks, asks and lists; it changes nothing."""

from gateway.doctor.examination import examined
from gateway.doctor.finding import Finding, State
from gateway.doctor.table import as_json, table

__all__ = ["Finding", "State", "as_json", "examined", "table"]
