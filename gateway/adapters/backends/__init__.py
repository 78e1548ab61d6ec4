"""The back side: MCP servers of either era, over Streamable HTTP or as processes of our own, behind the port `Backends`."""

from gateway.adapters.backends.backend_set import BackendSet
from gateway.adapters.backends.specs import BackendSpec, BackendStatus, HttpSpec, Pace, StdioSpec, Timeouts, TlsSpec

__all__ = ["BackendSet", "BackendSpec", "BackendStatus", "HttpSpec", "Pace", "StdioSpec", "Timeouts", "TlsSpec"]
