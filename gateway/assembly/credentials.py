"""As whom the gateway comes to its backends: from settings to credentials."""

from gateway.adapters.backends.specs import NOTHING
from gateway.adapters.credentials import secret as secrets
from gateway.adapters.credentials.credential import Credential
from gateway.adapters.credentials.static import StaticCredential
from gateway.settings.backends import Backend
from gateway.settings.base import Secret
from gateway.settings.credentials import StaticSecret
from gateway.settings.load import SettingsError, secret_value


def credential(backend: Backend) -> Credential:
    """Raises `SettingsError`."""
    match backend.credential:
        case None:
            return NOTHING
        case StaticSecret() as told:
            return StaticCredential(secret(told.secret()), header=told.header, prefix=told.prefix)


def secret(told: Secret) -> secrets.Secret:
    """Read once here, so that a wrong one ends the start; a file is then read again whenever it changes."""
    try:
        secrets.checked(secret_value(told))
    except ValueError as error:
        raise SettingsError(f"credential: the secret in {told.env or told.file}: {error}") from error
    return secrets.FileSecret(told.file) if told.file is not None else secrets.Fixed(secret_value(told))
