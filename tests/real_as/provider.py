"""The provider as a process: started, told new keys, killed and brought back, always at the same address."""

import json
import secrets
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.flows.running import TESTERS

HERE = Path(__file__).resolve().parent
PATIENCE_S = 15.0
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
SCOPES = "deploy:read deploy:write"
ERIN, ANN, VERA, WALT = (f"{name}@example.com" for name in ("erin", "ann", "vera", "walt"))
PEOPLE = {
    **{name: {"groups": ["engineers"]} for name in (ERIN, "nightly")},
    ANN: {"groups": ["analysts"]},
    **{name: {"groups": list(TESTERS)} for name in (VERA, WALT)},
}


def new_key(kid: str) -> dict[str, Any]:
    """A private RSA key as a JWK: the provider publishes its public half."""
    jwk = jwt.algorithms.RSAAlgorithm.to_jwk(rsa.generate_private_key(public_exponent=65537, key_size=2048), as_dict=True)
    del jwk["key_ops"]  # says "sign", and would be published as it is
    return {**jwk, "kid": kid, "use": "sig", "alg": "RS256"}


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@dataclass
class Provider:
    """One authorization server. `settings` is what it is told (provider.mjs); it is told again with `change`."""

    node: str
    folder: Path
    settings: dict[str, Any]
    trusts: Path | None = None  # CA file for the documents it fetches
    process: "subprocess.Popen[str] | None" = field(default=None, init=False)

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.settings['port']}"

    @property
    def log(self) -> str:
        return (self.folder / "provider.log").read_text()

    def start(self) -> None:
        assert self.process is None
        self._write()
        environment = {"NODE_EXTRA_CA_CERTS": str(self.trusts)} if self.trusts else {}
        with (self.folder / "provider.log").open("a") as log:
            self.process = subprocess.Popen(
                [self.node, str(HERE / "provider.mjs"), str(self.folder / "provider.json")],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
            )
        self._told(f"listening {self.issuer}")

    def kill(self) -> None:
        """Without a word, as a machine goes down."""
        if self.process is None:
            return
        self.process.kill()
        self.process.wait(timeout=PATIENCE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None

    def change(self, **settings: Any) -> None:
        """New settings, in force when this returns; what it knows of clients, sessions and grants stays."""
        assert self.process is not None
        self.settings.update(settings)
        self._write()
        self.process.send_signal(signal.SIGHUP)
        self._told("read again")

    def sign_with(self, *keys: Mapping[str, Any]) -> None:
        """Publishes these keys and no others, and signs with the first."""
        self.change(jwks={"keys": list(keys)})

    @property
    def metadata(self) -> dict[str, Any]:
        found: dict[str, Any] = httpx2.get(f"{self.issuer}/.well-known/openid-configuration", timeout=PATIENCE_S).json()
        return found

    def token(self, client: tuple[str, str], **asked: str) -> httpx2.Response:
        """One request to the token endpoint, by a client with a secret."""
        return httpx2.post(f"{self.issuer}/token", data=asked, auth=client, timeout=PATIENCE_S)

    def _write(self) -> None:
        (self.folder / "provider.json").write_text(json.dumps(self.settings))

    def _told(self, line: str) -> None:
        assert self.process is not None and self.process.stdout is not None
        for said in self.process.stdout:  # ends when the process does; the provider's own notices come here, too
            if said.rstrip("\n") == line:
                return
        raise AssertionError(f"the provider ended\n{self.log[-2000:]}")


@contextmanager
def provider(node: str, folder: Path, *, trusts: Path | None = None, **settings: Any) -> Iterator[Provider]:
    """A provider that listens; ended with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {
        "port": free_port(),
        "state": str(folder / "state.json"),
        "jwks": {"keys": [new_key("first")]},
        "algorithm": "RS256",
        "cookie_key": secrets.token_urlsafe(32),
        "clients": [],
        "people": PEOPLE,
        "scope": SCOPES,
        "opaque": ["/mcp/opaque"],
        "token_ttl_s": 600,
        "registration": True,
        "metadata_documents": True,
        "introspects": None,
        **settings,
    }
    running = Provider(node, folder, told, trusts)
    running.start()
    try:
        yield running
    finally:
        running.kill()


def service(client_id: str, secret: str, *grants: str) -> dict[str, Any]:
    """A client without a person, as the provider's administrator enters it."""
    return {
        "client_id": client_id,
        "client_secret": secret,
        "grant_types": list(grants),
        "redirect_uris": [],
        "response_types": [],
        "token_endpoint_auth_method": "client_secret_basic",
    }
