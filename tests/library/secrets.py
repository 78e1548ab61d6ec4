"""Keys and tokens on their way out, or into the next call. Each is put together when the test runs: none stands here."""

import json
from typing import Any

from tests.library.asking import Table

MIXED = "Ab0Cd1Ef2Gh3Ij4Kl5Mn6Op7Qr8St9Uv0Wx1Yz2Ab3Cd4Ef5Gh6Ij7Kl8Mn9"
GITLAB = "glpat-" + MIXED[:20]
SLACK = "xoxb-" + MIXED[:24]
MODEL = "sk-" + "proj-" + MIXED[:40]
STRIPE = "sk" + "_live_" + MIXED[:24]
GOOGLE = "AIza" + MIXED[:35]
NPM = "npm_" + MIXED[:36]
PYPI = "pypi-AgE" + MIXED[:55]
SENDGRID = f"SG.{MIXED[:22]}.{MIXED[:43]}"
VAULT = "hvs." + MIXED[:28]
TOKEN = f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.{MIXED[:43]}"
JWE = f"eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..{MIXED[:16]}.{MIXED[:30]}.{MIXED[:22]}"
URL = "postgres://app:hunter22@db.example.com/crm"
AGE = "AGE-SECRET-KEY-1" + "Q" * 58
AWS = "AKIA" + "EXAMPLE0EXAMPLE1"
GITHUB = "ghp_" + MIXED[:36]
PEM = "-----BEGIN RSA PRIVATE KEY-----"


def text(said: str, *gone: str) -> dict[str, Any]:
    return {"result": {"content": [{"type": "text", "text": said}]}, "gone": gone or (said,)}


def passed(said: Any, tool: str = "office/edit") -> dict[str, Any]:
    return {"tool": tool, "arguments": {"note": said}}


TABLE = Table(
    rule="secrets",
    tool="office/lookup",
    verb="guard",
    settings={"accepted": {"office": {"failover": ["Vault token"]}}},
    hostile={
        "a GitLab token": text(f"token {GITLAB}", GITLAB),
        "a Slack token": text(SLACK),
        "a Slack address": text(f"https://hooks.slack.com/services/T0AB/B0CD/{MIXED[:24]}"),
        "a key of a model": text(f"OPENAI={MODEL};", MODEL),
        "a Stripe key": text(STRIPE),
        "a Google key": text(f"?key={GOOGLE}&x=1", GOOGLE),
        "an npm token": text(f"//registry.example.com/:_authToken={NPM}", NPM),
        "a PyPI token": text(PYPI),
        "a SendGrid key": text(SENDGRID),
        "a Vault token": text(VAULT),
        "a JSON web token": text(f"cookie: session={TOKEN}; path=/", TOKEN),
        "a password in a URL": text(URL, "hunter22"),
        "a key of age": text(AGE),
        "a token as data": {"result": {"content": [], "structuredContent": {"a": [{"b": NPM}]}}, "gone": (NPM,)},
        "a token as a name": {"result": {"content": [], "structuredContent": {NPM: 1}}, "gone": (NPM,)},
        "a token as JSON in a text": text(json.dumps({"token": NPM}), NPM),
        "a token with escapes in JSON in a text": text('{"a": "\\u006epm_' + MIXED[:36] + '"}', MIXED[:36]),
        "a token in an error": {"result": {"isError": True, "content": [{"type": "text", "text": NPM}]}, "gone": (NPM,)},
        "a token in a link": {
            "result": {"content": [{"type": "resource_link", "uri": f"https://x.example/?t={NPM}", "name": "n"}]},
            "gone": (NPM,),
        },
        "a token over two blocks": {
            "result": {"content": [{"type": "text", "text": NPM[:20]}, {"type": "text", "text": NPM[20:]}]},
            "gone": (NPM[:20], NPM[20:]),
        },
        "an AWS key passed on": passed(f"use {AWS}"),
        "a GitHub token passed on": passed(GITHUB),
        "a newer GitHub token passed on": passed("github_pat_" + MIXED[:22] + "_" + MIXED[:59]),
        "a private key passed on": passed(PEM + "\nMIIB"),
        "a private key passed on in a URL": passed("q=" + PEM.replace(" ", "%20")),
        "a private key passed on in a form": passed("q=" + PEM.replace(" ", "+")),
        "a private key with another name": passed("-----BEGIN OPENSSH PRIVATE KEY-----"),
        "a token passed on": passed(TOKEN),
        "a token passed on deep": passed([{"a": [{"b": NPM}]}]),
        "a token passed on as a name": passed({NPM: True}),
        "a token passed on as JSON": passed(json.dumps({"a": NPM})),
        "a token passed on as JSON with escapes": passed('{"a": "\\u006epm_' + MIXED[:36] + '"}'),
        "a token passed on with characters that nobody sees": passed("npm_\u200b" + MIXED[:20] + "\u00ad" + MIXED[20:36]),
        "a password in a URL passed on": passed(URL),
        "a GitHub token behind an underscore": passed("a_" + GITHUB),
        "a key of a model behind an underscore": passed("key_sk-" + "ant-" + MIXED[:40]),
        "an AWS key behind an underscore": passed("_" + AWS),
        "an AWS key before an underscore": passed(AWS + "_x"),
        "an npm token before an underscore": passed(NPM + "_x"),
        "an encrypted web token": text(JWE),
        "an encrypted web token with its key": text(JWE.replace("..", f".{MIXED[:40]}.")),
        "an encrypted web token passed on": passed(JWE),
        "a private key with a tab": passed(PEM.replace(" ", "\t")),
        "a private key with many blanks": passed(PEM.replace(" ", "  ")),
        "a token behind an underscore": text("a_" + GITLAB, GITLAB),
        "another secret for a tool that takes one": passed(NPM, "office/failover"),
        "a secret of that kind for another tool": passed(VAULT),
    },
    innocent={
        "prose": text("the bearer of this token of friendship"),
        "a commit": text("1e9ff85a00c7b07377cb035e89c8f11d8cf56181"),
        "a UUID": text("550e8400-e29b-41d4-a716-446655440000"),
        "a class of a page": text('<div class="sk-loading-indicator-wrapper-large">'),
        "a test key": text("sk_test_" + MIXED[:24]),
        "a public key": text("-----BEGIN PUBLIC KEY-----"),
        "a certificate": text("-----BEGIN CERTIFICATE-----"),
        "a URL with a port": text("https://example.com:8443/users/@ann"),
        "a URL with a user": text("ssh://git@example.com/repo"),
        "a header of a token": text("eyJhbGciOiJIUzI1NiJ9"),
        "a package": text("npm_config_registry=https://registry.example.com"),
        "a variable": text("SG.send(message)"),
        "hello": passed("hello"),
        "numbers": passed([1, 2, 3, 4.5]),
        "talk of keys": passed("rotate the AWS key AKIA… and the ghp_ token"),
        "a path to a key": passed("/etc/ssl/private/server.key"),
        "a secret for the tool that takes it": passed(VAULT, "office/failover"),
    },
)
