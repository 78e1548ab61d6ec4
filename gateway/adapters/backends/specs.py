"""What the gateway is told about each backend. Plain values: secrets are resolved and units chosen before they come here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

from gateway.adapters.credentials.credential import Credential, Nothing
from gateway.model import Era

EraChoice = Literal["auto", "modern", "legacy"]


NOTHING: Final = Nothing()


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long each phase of a request may take."""

    connect_s: float = 5.0  # until a connection stands, TLS included, or a process has started
    first_byte_s: float = 60.0  # until the answer begins
    idle_s: float = 60.0  # between two pieces of an answer
    total_s: float = 300.0  # for the whole request, progress or not


@dataclass(frozen=True, slots=True)
class TlsSpec:
    """How a backend's TLS is verified and what we show of ourselves. Without pin and CA file: the system's CAs."""

    ca_file: Path | None = None
    pin_sha256: str | None = None  # hex, of the backend's certificate in DER; without a CA file no CA is asked
    cert_file: Path | None = None  # our client certificate
    key_file: Path | None = None


@dataclass(frozen=True, slots=True)
class HttpSpec:
    """A backend behind a Streamable HTTP endpoint."""

    name: str
    url: str
    era: EraChoice = "auto"
    credential: Credential = NOTHING
    lists_per_subject: bool | None = None  # None: where the credential is each subject's own
    forward_headers: frozenset[str] = frozenset()  # of the client's, lower-case names
    tls: TlsSpec = TlsSpec()
    stateless: bool = False  # it keeps nothing per session: one session may serve every owner
    timeouts: Timeouts = Timeouts()
    max_result_bytes: int = 8 * 1024 * 1024
    max_concurrent: int = 256
    max_sessions: int = 256
    idle_s: float = 600.0  # a session unused for this long ends


@dataclass(frozen=True, slots=True)
class StdioSpec:
    """A backend that the gateway runs as a process and talks to over its standard input and output."""

    name: str
    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)  # nothing else is inherited but PATH, HOME and LANG
    cwd: Path | None = None
    era: EraChoice = "auto"
    stateless: bool = False  # one process may serve every owner
    timeouts: Timeouts = Timeouts()
    max_result_bytes: int = 8 * 1024 * 1024
    max_concurrent: int = 256
    max_processes: int = 16
    idle_s: float = 600.0  # a process unused for this long ends


BackendSpec: TypeAlias = HttpSpec | StdioSpec


@dataclass(frozen=True, slots=True)
class Pace:
    """When a backend counts as down, and how often it is then tried again."""

    failures: int = 3  # failed connections in a row
    first_s: float = 0.25  # wait before the first new try; doubled each time
    most_s: float = 15.0


@dataclass(frozen=True, slots=True)
class BackendStatus:
    """What is known of a backend at this moment."""

    name: str
    era: Era | None  # None: not judged yet
    state: Literal["unknown", "up", "down"]
    last_error: str  # "": none since it came up
    since_s: float  # Unix time at which `state` began
