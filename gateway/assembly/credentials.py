"""As whom the gateway comes to its backends: from settings to credentials, and to the keys it signs with."""

import logging
from collections.abc import Mapping
from typing import assert_never

from gateway.adapters.backends.specs import NOTHING
from gateway.adapters.credentials import secret as secrets
from gateway.adapters.credentials.assertion import AssertionCredential, Signer
from gateway.adapters.credentials.client_credentials import ClientCredentials
from gateway.adapters.credentials.credential import Credential, Together
from gateway.adapters.credentials.issued import IssuedTokens
from gateway.adapters.credentials.signing import FixedKeys, KeyFiles, SigningKeys
from gateway.adapters.credentials.static import StaticCredential
from gateway.adapters.credentials.token_endpoint import Client, TokenEndpoint
from gateway.adapters.credentials.token_exchange import Exchanging, TokenExchange
from gateway.adapters.discovery import Discovery
from gateway.adapters.fetching import Fetcher
from gateway.assembly import listening
from gateway.front.documents import Document
from gateway.identity.outbound import Wanted
from gateway.identity.private_keys import read_keys
from gateway.settings import credentials as told
from gateway.settings.backends import Backend
from gateway.settings.base import Secret
from gateway.settings.load import SettingsError, secret_value
from gateway.settings.model import Settings

log = logging.getLogger("gateway.credentials")

KEYS_PATH = "/.well-known/jwks.json"


def signing_keys(settings: Settings) -> SigningKeys:
    """Raises `SettingsError`."""
    place = settings.identity.assertion_key
    if place is None:
        return FixedKeys.ephemeral()
    try:
        if place.file is not None:
            return KeyFiles(place.file)
        return FixedKeys(*read_keys(secret_value(place)))
    except OSError as error:
        raise SettingsError(f"identity.assertion_key: {place.file}: {error.strerror}") from error
    except (ValueError, SettingsError) as error:
        raise SettingsError(f"identity.assertion_key: {error}") from error


def signer(settings: Settings, keys: SigningKeys, port: int) -> Signer:
    """Speaks for the gateway under the URL that clients know it by."""
    return Signer(keys, listening.public_url(settings, port))


def stand_in() -> Signer:
    """For settings that are only checked: their own keys are a check of its own."""
    return Signer(FixedKeys.ephemeral(), "")


def documents(settings: Settings, keys: SigningKeys) -> Mapping[str, Document]:
    """The gateway's public keys, where something is signed with them."""
    signs = [name for name, backend in settings.backends.items() if _signs(backend)]
    if settings.identity.assertion_key is None:
        if not signs:
            return {}
        shown = ", ".join(signs)
        log.warning(
            "identity.assertion_key is not set: what is signed for %s is so with a key that ends with this process", shown
        )
    return {KEYS_PATH: keys.document}


def credential(name: str, backend: Backend, signer: Signer) -> Credential:
    """Raises `SettingsError`."""
    try:
        main = _main(name, backend, signer)
    except (ValueError, SettingsError) as error:
        raise SettingsError(f"credential: {error}") from error
    if backend.assertion is None:
        return main
    beside = AssertionCredential(signer, _audience(backend, backend.assertion), header=backend.assertion.header, beside=True)
    return beside if main is NOTHING else Together([main, beside])


def _main(name: str, backend: Backend, signer: Signer) -> Credential:
    given = backend.credential
    match given:
        case None:
            return NOTHING
        case told.StaticSecret():
            return StaticCredential(_secret(given.secret()), header=given.header, prefix=given.prefix)
        case told.ClientCredentials():
            return ClientCredentials(_endpoint(given, given.issuer), _wanted(given), IssuedTokens(name))
        case told.TokenExchange():
            exchanging = Exchanging(
                wanted=_wanted(given),
                issuer=given.issuer if given.exchanges_callers else None,
                signer=signer,
                audience=given.issuer,
                actor=given.actor,
                own=given.own_requests == "client_credentials",
            )
            return TokenExchange(_endpoint(given, given.issuer), exchanging, IssuedTokens(name))
        case told.AssertionCredential():
            return AssertionCredential(signer, _audience(backend, given), header=given.header)
    assert_never(given)


def _endpoint(given: told.OAuthClient, issuer: str | None) -> TokenEndpoint:
    place = given.client_secret or given.private_key
    secret = None
    if place is not None:
        secret = _secret(place, read_keys if given.private_key else secrets.checked)
    fetcher = Fetcher(timeout_s=given.timeout_s, ca_file=given.tls_ca)
    client = Client(given.client_id, given.client_auth, secret, given.key_id, None if given.token_url else issuer)
    if given.token_url is not None:
        return TokenEndpoint(given.token_url, client, fetcher)
    assert issuer is not None
    return TokenEndpoint(Discovery(issuer, fetcher), client, fetcher)


def _wanted(given: told.OAuthClient) -> Wanted:
    return Wanted(given.scopes, given.audience, given.resource)


def _audience(backend: Backend, given: told.Assertion) -> str:
    assert backend.url is not None
    return given.audience or backend.url


def _secret(place: Secret, readable: secrets.Readable = secrets.checked) -> secrets.Secret:
    """Read once here, so that a wrong one ends the start; a file is then read again whenever it changes."""
    value = secret_value(place)
    try:
        readable(value)
    except ValueError as error:
        raise SettingsError(f"the secret in {place.env or place.file}: {error}") from error
    return secrets.FileSecret(place.file, readable=readable) if place.file else secrets.Fixed(value, readable=readable)


def _signs(backend: Backend) -> bool:
    given = backend.credential
    if isinstance(given, told.TokenExchange):
        return given.actor or not given.exchanges_callers or backend.assertion is not None
    return backend.assertion is not None or isinstance(given, told.AssertionCredential)
