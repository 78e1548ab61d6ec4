"""What OPA does not check and we do, on the parsed modules and the data files of a snapshot."""

from gateway.adapters.opa.findings import Finding
from gateway.adapters.opa.snapshot import Snapshot


async def findings(binary: str, copy: Snapshot) -> tuple[Finding, ...]:
    """What is wrong with the structure of the rules, with the data files and with the facts."""
    return ()
