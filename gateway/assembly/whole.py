"""What concerns the settings as a whole: whether they can work, what they are, and where is recorded what happens."""

import hashlib
import secrets
from collections.abc import Callable
from functools import partial

import msgspec

from gateway.adapters.audit.log import AuditLog, AuditSpec
from gateway.assembly import backends, credentials, identity, keys, listening, policy, workloads
from gateway.exchange.questions import QuestionRecorder
from gateway.settings.load import SettingsError, secret_value
from gateway.settings.model import Settings

MIN_KEY_CHARS = 32


def check(settings: Settings) -> None:
    """What can be told before anything is started. Raises `SettingsError` with one line for each mistake."""
    checks: list[Callable[[], object]] = [partial(listening.certificates, settings)]
    checks += [
        partial(keys.WorkloadKeys, settings),
        partial(workloads.certificates, settings),
        *(partial(identity.access_tokens, [each]) for each in settings.identity.issuers),
    ]
    checks += [partial(identity.access_tokens, settings.identity.issuers)]
    checks += [partial(policy.decider, settings, lambda event: None), partial(policy.feeds, settings)]
    if settings.policy.shadow is not None:
        checks += [partial(policy.opa_binary, settings)]
    checks += [partial(credentials.signing_keys, settings)]
    signer = credentials.stand_in()
    checks += [partial(backends.backends, settings, lambda change: None, [name], signer) for name in settings.backends]
    checks += [partial(backends.surface_spec, settings, name) for name in settings.surfaces]
    checks += [partial(questions, settings)]
    mistakes: list[str] = []
    for each in checks:
        try:
            each()
        except SettingsError as error:
            mistakes += str(error).splitlines()
    if mistakes:
        raise SettingsError("\n".join(dict.fromkeys(mistakes)))


def audit_log(settings: Settings) -> AuditLog:
    audit = settings.audit
    return AuditLog(
        AuditSpec(
            folder=audit.folder,
            durability=audit.durability,
            rotate_bytes=audit.rotate_bytes,
            keep_files=audit.keep_files,
            max_record_bytes=audit.max_record_bytes,
        )
    )


def questions(settings: Settings) -> QuestionRecorder | None:
    """Who keeps questions for a replay; None where the settings want none kept. Raises `SettingsError`."""
    audit = settings.audit
    if audit.record == "none":
        return None
    if audit.recording_key is None:
        return QuestionRecorder(secrets.token_bytes(32))
    key = secret_value(audit.recording_key)
    if len(key) < MIN_KEY_CHARS:
        raise SettingsError(f"audit.recording_key: is shorter than {MIN_KEY_CHARS} characters, so it could be guessed")
    return QuestionRecorder(hashlib.sha256(key.encode()).digest())


def digest(settings: Settings) -> str:
    """Of the settings as understood; where secrets are is in it, what they are is not."""
    return "sha256:" + hashlib.sha256(msgspec.json.encode(settings.model_dump(mode="json"), order="sorted")).hexdigest()
