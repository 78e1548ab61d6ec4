"""Everything at debug level, with secrets that can be recognised, and with everything failing that can: none of them shows.

Looked through: the operator's log, the audit, the metrics, the readiness page, and every answer that a client got.
"""

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.flows.behind import Behind, behind
from tests.flows.issuer import ISSUER, Issuer
from tests.flows.running import ROOT, TESTERS, Http, Running, gateway, granting, settled, soon

STATIC, FROM_FILE, CLIENT, WRONG = (
    f"recognisable-{each}-0123456789abcdef0123456789" for each in ("env", "file", "client", "wrong")
)
NAMES = ("fixed", "filed", "service", "exchanged", "named", "signed", "posted")


@dataclass
class Place:
    running: Running
    world: Behind
    issuer: Issuer
    folder: Path
    secrets: dict[str, str]
    answers: list[str] = field(default_factory=list)

    def client(self, token: str | None, **headers: str) -> Http:
        http = Http(self.running, None)
        http.client.event_hooks = {"response": [self._kept]}
        http.client.headers.update({**({} if token is None else {"Authorization": f"Bearer {token}"}), **headers})
        return http

    def _kept(self, response: httpx2.Response) -> None:
        response.read()
        self.answers.append(f"{response.status_code} {response.headers.raw} {response.text}")

    def everything(self) -> dict[str, str]:
        read = {"log": self.running.log, "answers": "\n".join(self.answers)}
        for file in sorted((self.folder / "audit").rglob("*")):
            if file.is_file():
                read[f"audit {file.name}"] = file.read_text()
        for page in ("metrics", "readyz"):
            read[page] = httpx2.get(f"{self.running.operations_url}/{page}", timeout=5).text
        return read


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder: Path = tmp_path_factory.mktemp("leaks")
    issuer = Issuer(folder)
    private = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    (folder / "secret").write_text(FROM_FILE)
    (folder / "key.pem").write_text(private)
    with behind(*NAMES, legacy=("exchanged",)) as world, ExitStack() as stopping, pytest.MonkeyPatch.context() as patched:
        world.prefix = "recognisable-issued-token"
        patched.setenv("STATIC_SECRET", STATIC)
        patched.setenv("CLIENT_SECRET", CLIENT)
        client = {"client_id": "gateway", "client_secret": {"env": "CLIENT_SECRET"}, "token_url": f"{world.url}/token"}
        ways: dict[str, dict[str, Any]] = {
            "fixed": {"credential": {"env": "STATIC_SECRET"}},
            "filed": {"credential": {"file": str(folder / "secret")}, "assertion": {}},
            "service": {"credential": {"type": "client_credentials", **client}},
            "posted": {"credential": {"type": "client_credentials", "client_auth": "post", **client}},
            "exchanged": {
                "credential": {"type": "token_exchange", "issuer": ISSUER, "own_requests": "nothing", **client},
                "lists_per_subject": False,
            },
            "named": {
                "credential": {"type": "token_exchange", "issuer": ISSUER, "subject_token": "assertion", "actor": True, **client}
            },
            "signed": {"credential": {"type": "assertion", "header": "Authorization"}},
        }
        backends = {name: {"url": f"{world.url}/{name}/mcp", **way} for name, way in ways.items()}
        told = {
            "log_level": "debug",
            "identity": {"issuers": [issuer.setting], "assertion_key": {"file": str(folder / "key.pem")}},
            "catalog": {"refresh_s": 1},
            "limits": {"failed_logins_per_minute": 10_000},
        }
        callers: dict[str, dict[str, Any]] = {
            "tester": {"groups": TESTERS},
            "desk": {"groups": TESTERS, "type": "workload", "names_users": True},
        }
        policies = granting(folder, *NAMES)
        running = stopping.enter_context(gateway(folder, backends, callers, policies=policies, **told))
        secrets = {
            "static": STATIC,
            "file": FROM_FILE,
            "client": CLIENT,
            "basic": base64.b64encode(f"gateway:{CLIENT}".encode()).decode(),
            "private key": private.splitlines()[1],
            **{f"key of {name}": token.split("_", 2)[2] for name, token in running.tokens.items()},
        }
        yield Place(running, world, issuer, folder, secrets)


def signature(token: str) -> str:
    return token.rpartition(".")[2]


def use(place: Place, http: Http) -> None:
    """Everything once, in both eras."""
    http.modern("tools/list")
    for name in NAMES:
        http.modern("tools/call", {"name": f"{name}__echo", "arguments": {}})
    begun = http.client.post(
        http.url,
        json={
            "jsonrpc": "2.0",
            "id": 1,
            "method": "initialize",
            "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
        },
    )
    if "mcp-session-id" in begun.headers:
        http.session = {"Mcp-Session-Id": begun.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-11-25"}
        http.legacy("tools/call", {"name": "exchanged__echo", "arguments": {}})
        http.client.delete(http.url, headers=http.session)


def test_no_secret_token_or_key_is_in_any_log_record_metric_or_answer(place: Place) -> None:
    user = place.issuer.token("ann", groups=[*TESTERS])
    forged = place.issuer.token("eve", aud="https://elsewhere.example.com")
    place.secrets |= {"token of ann": signature(user), "token for elsewhere": signature(forged), "wrong key": WRONG}
    credentials = [user, forged, f"mgw_tester_{WRONG}", WRONG, user[:-4] + "AAAA", *place.running.tokens.values()]

    def all_of_it() -> None:
        for token in credentials:
            with place.client(token) as http:
                use(place, http)
        with place.client(place.running.tokens["desk"], **{"X-End-User": "bob"}) as http:
            use(place, http)

    all_of_it()
    place.world.refused.update(NAMES)  # every backend answers 401 and repeats what it was shown
    all_of_it()
    place.world.refused.clear()
    place.world.down = True  # so does the token endpoint, in its description
    place.world.refused.update(place.world.issued)
    (place.folder / "secret").write_text(f"{FROM_FILE}\nbroken")
    (place.folder / "key.pem").write_text("-----BEGIN PRIVATE KEY-----\n" + place.secrets["private key"])
    late = place.issuer.token("zoe", groups=[*TESTERS])  # nothing was exchanged for it yet
    place.secrets["token of zoe"] = signature(late)
    credentials.append(late)
    with place.client(late) as http:
        call = partial(http.modern, "tools/call", {"name": "exchanged__echo", "arguments": {}})
        soon(lambda: "a credential that the gateway could not get" in call().text)  # once its tools are listed again
        soon(lambda: "error" in http.modern("tools/call", {"name": "filed__echo", "arguments": {}}).text)
    all_of_it()
    assertions = [
        signature(token)
        for requests in place.world.came.values()
        for each in requests
        for token in (each.headers.get("x-mcp-gateway-assertion", ""), each.token if each.token.count(".") == 2 else "")
        if token
    ]
    stated = [signature(form[name]) for form in place.world.forms for name in ("subject_token", "actor_token") if name in form]
    assert len(assertions) > 10
    assert len(stated) > 2
    assert place.world.issued
    place.secrets |= {token: token for token in (*assertions, *stated, *place.world.issued)}
    shown = {
        (where, name): text[max(0, text.find(secret) - 200) : text.find(secret) + 20]
        for where, text in place.everything().items()
        for name, secret in place.secrets.items()
        if secret in text
    }
    assert shown == {}
    assert "DEBUG" in place.running.log


def test_bad_settings_and_a_failing_start_show_no_secret(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{FROM_FILE}\nsecond line")
    (tmp_path / "key.pem").write_text(f"-----BEGIN PRIVATE KEY-----\n{FROM_FILE}\n-----END PRIVATE KEY-----")
    backends = {
        "one": {"url": "http://127.0.0.1:1/mcp", "credential": {"env": "STATIC_SECRET"}},
        "two": {"url": "http://127.0.0.1:1/mcp", "credential": {"file": str(tmp_path / "secret")}},
    }
    path, _ = settled(tmp_path, backends, {"tester": {}}, identity={"assertion_key": {"file": str(tmp_path / "key.pem")}})
    told = yaml.safe_load(path.read_text())
    environment = {**os.environ, "STATIC_SECRET": f"{STATIC}\x01", "PYTHONPATH": str(ROOT)}
    said = []
    for credential in (None, STATIC, {"env": STATIC, "secret": WRONG}):
        if credential is not None:
            told["backends"]["one"]["credential"] = credential
            path.write_text(yaml.safe_dump(told))
        command = [sys.executable, "-m", "gateway.cli", "serve", "--settings", str(path)]
        ended = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
        assert ended.returncode != 0
        said.append(ended.stdout + ended.stderr)
    assert [secret for secret in (STATIC, FROM_FILE, WRONG) if secret in "".join(said)] == []
    assert "Traceback" not in "".join(said)
    assert "backends.two: credential: the secret in" in said[0]
