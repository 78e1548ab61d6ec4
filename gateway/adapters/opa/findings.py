"""Why a policy set is refused: findings with file and line, never a bare "failed"."""

from gateway.policy.structure import Finding

__all__ = ["Finding", "PolicyRejected"]


class PolicyRejected(Exception):
    """A policy set is not put in force."""

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        super().__init__("\n".join(f"{found.file}:{found.line}: {found.message}" for found in findings))
        self.findings = findings
