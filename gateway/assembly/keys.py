"""API keys: from the settings and the key file to the one set that is in force."""

from collections.abc import Callable, Iterable
from datetime import datetime

from gateway.adapters.authenticator import ApiKeys
from gateway.adapters.key_file import KeyChange, KeyFileFailed, WatchedKeyFile
from gateway.identity.api_keys import ApiKey
from gateway.identity.grant import NamesUsers
from gateway.identity.key_file import KeyRecord, standing
from gateway.settings.identity import ApiKey as ApiKeySetting
from gateway.settings.load import SettingsError
from gateway.settings.model import Settings


def unheard(change: KeyChange) -> None:
    """For whoever only checks."""


class WorkloadKeys:
    """The keys of the settings, which stay, and those of the key file, which come and go."""

    def __init__(self, settings: Settings, told: Callable[[KeyChange], None] = unheard) -> None:
        """Raises `SettingsError`."""
        path = settings.identity.key_file
        try:
            self._fixed = tuple(_api_key(each) for each in settings.identity.api_keys)
            self.method = ApiKeys(self._fixed)
        except ValueError as error:
            raise SettingsError(f"identity.api_keys: {error}") from error
        try:
            self.file = None if path is None else WatchedKeyFile(path, self._enforce, told)
        except KeyFileFailed as error:
            raise SettingsError(f"identity.key_file: {error}") from error
        except ValueError as error:
            raise SettingsError(f"identity.key_file: {path}: {error}") from error

    def _enforce(self, records: Iterable[KeyRecord]) -> None:
        records = tuple(records)
        taken = {key.id for key in self._fixed} & {record.id for record in records}
        if taken:  # revoked ones too: what was revoked in the file must not count in the settings
            raise ValueError(f"identity.api_keys has a key with the id {min(taken)} too")
        self.method.replace((*self._fixed, *standing(records)))

    def start(self) -> None:
        if self.file is not None:
            self.file.start()

    async def close(self) -> None:
        if self.file is not None:
            await self.file.close()


def _api_key(key: ApiKeySetting) -> ApiKey:
    expires_at_s = None
    if key.expires is not None:
        expires = datetime.fromisoformat(key.expires)
        if expires.tzinfo is None:
            raise ValueError(f"{key.id}: expires needs a zone, as in 2030-01-31T00:00:00Z")
        expires_at_s = expires.timestamp()
    return ApiKey(
        id=key.id,
        sha256=bytes.fromhex(key.sha256),
        subject_id=key.subject,
        type=key.type,
        groups=key.groups,
        scopes=key.scopes,
        surfaces=None if key.surfaces is None else frozenset(key.surfaces),
        expires_at_s=expires_at_s,
        names_users=NamesUsers.by(key.subject, key.user_issuer, key.user_groups) if key.names_users else None,
    )
