"""Workloads: from the settings to the rules by which tokens and certificates are expected."""

from collections.abc import Callable

from gateway.adapters.authenticator import Strangers
from gateway.adapters.certificates import Certificates
from gateway.adapters.failed_logins import FailedLogins
from gateway.identity.workloads import TrustedWorkloads
from gateway.settings.identity import CertifiedWorkload, TrustedWorkload
from gateway.settings.load import SettingsError
from gateway.settings.model import Settings


def trusted(workload: TrustedWorkload) -> TrustedWorkloads:
    """Raises `ValueError`."""
    return TrustedWorkloads(
        name=workload.name,
        groups=workload.groups,
        scopes=workload.scopes,
        surfaces=None if workload.surfaces is None else frozenset(workload.surfaces),
        names_users=workload.names_users,
        user_issuer=workload.user_issuer,
        user_groups=workload.user_groups,
        issuer=workload.issuer if isinstance(workload, CertifiedWorkload) else None,
    )


def certificates(settings: Settings) -> Certificates | None:
    """None: a certificate alone names nobody. Raises `SettingsError`."""
    if settings.identity.mtls is None:
        return None
    try:
        return Certificates([trusted(each) for each in settings.identity.mtls.trusted])
    except ValueError as error:
        raise SettingsError(f"identity.mtls.trusted: {error}") from error


def strangers(settings: Settings, failed: Callable[[str], None]) -> Strangers:
    """`failed` hears the cause of every login that fails. Raises `SettingsError`."""
    return Strangers(certificates(settings), FailedLogins(settings.limits.failed_logins_per_minute, told=failed))
