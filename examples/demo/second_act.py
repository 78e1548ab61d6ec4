"""The second act: a change to a rule is previewed, shadowed, rolled out, explained and rolled back, by the commands themselves.

Each step holds what it says, or the act ends there: so it is a test as well.
"""

import asyncio
import shutil
import time
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from examples.demo import traffic
from examples.demo.stack import ROOT, Stack, stack
from examples.demo.terminal import NotAsTold, Terminal
from examples.demo.traffic import DEPLOY, IDENTITIES, STAGING, Answered

CHANGE = Path(__file__).parent / "change"
REPOSITORY = ("policies", "policy_tests", "schemas", "catalog")
RULE = "servers/deploy/production release_team_only"
BUNDLE = "bundle.tar.gz"  # where `policy build` writes, and the gateway looks
SIGNED = ("--signing-key", "policy.pem", "--key-id", "2026-a")


def act(folder: Path) -> int:
    """Play it in this folder, which is empty; the exit code."""
    shown = Terminal(folder)
    shown.title(
        "A policy change, from the editor into production and back",
        "The gateway, its OPA, two MCP servers and the traffic are real; so is each command, with all that it says.",
    )
    begun_s = time.monotonic()
    _repositories(folder)
    _keys(folder)
    try:
        live = _built(shown)
        with stack(folder, identities=IDENTITIES, sections=_sections(folder)) as running:
            traffic.await_record(running, "change", subsystem="shadow", after=live.removeprefix("v1."))
            calls = asyncio.run(traffic.day(running))
            shown.note(f"Up after {time.monotonic() - begun_s:.0f} s. Three callers have made {calls} calls, all in the audit.")
            candidate = _previewed(shown)
            _shadowed(shown, running, candidate)
            decision = _rolled_out(shown, running)
            _explained(shown, decision)
            _rolled_back(shown, running)
    except (NotAsTold, LookupError, TimeoutError) as error:
        shown.note(f"\nThis step did not do what it says.\n{error}", "bold red")
        return 1
    shown.note(
        f"\nDone in {time.monotonic() - begun_s:.0f} s; everything has ended. Each command has a page in docs/policy/.", "bold"
    )
    return 0


def _repositories(folder: Path) -> None:
    """Two checkouts of the policies: `live` as they are, `candidate` to be changed."""
    for name in ("live", "candidate"):
        for each in REPOSITORY:
            shutil.copytree(ROOT / each, folder / name / each)
    for file in CHANGE.iterdir():
        shutil.copy(file, folder)


def _keys(folder: Path) -> None:
    """The key that signs bundles, and its public half for the gateway."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "policy.pem").touch(mode=0o600)
    (folder / "policy.pem").write_bytes(private)
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "policy.pub.pem").write_bytes(public)


def _sections(folder: Path) -> dict[str, Any]:
    """The gateway decides by a signed bundle, keeps earlier ones, has a shadow, and records what a replay needs."""
    return {
        "policy": {
            "bundle": str(folder / BUNDLE),
            "schemas": str(ROOT / "schemas"),
            "require_signed": {"keys": [{"id": "2026-a", "file": str(folder / "policy.pub.pem")}]},
            "history": str(folder / "history"),
            "shadow": {"folder": str(folder / "candidate/policies"), "schemas": str(ROOT / "schemas"), "deadline_ms": 10_000},
        },
        "audit": {"folder": str(folder / "audit"), "record": "replay"},
    }


def _built(shown: Terminal) -> str:
    """The revision of what is in force."""
    shown.step(
        "What is in force",
        "The live policies are one signed file. The gateway takes no other, and every decision names its revision.",
    )
    return _revision(shown.run("mcp-gateway", "policy", "build", "live", "--label", "v1", *SIGNED, says=["revision v1."]))


def _previewed(shown: Terminal) -> str:
    """The revision of the candidate."""
    shown.step(
        "The change",
        "Engineers deploy to staging and test. Since staging got a copy of the customers' data it shall be the release team's, "
        "as production is: one condition changes, and its test with it.",
    )
    shown.run("cat", "staging.patch", says=['_elsewhere if input.arguments.environment == "test"'])
    shown.run("git", "-C", "candidate", "apply", "../staging.patch", "../staging_test.patch")
    shown.step(
        "Who may do what afterwards?",
        "Partial evaluation by OPA tells on what each answer hangs; here only where that changes. `--fail-on wider` makes it "
        "a check of CI: nobody may do more than before.",
    )
    said = shown.run(
        *("mcp-gateway", "policy", "access", "-p", "candidate", "--against", "live", "--fail-on", "wider"),
        says=["deploy__deploy changed engineer", "2 answers change"],
    )
    shown.step(
        "Whom would it have hit?",
        "The traffic that the audit recorded, put to both sets. Secrets in it are stand-ins, and what hangs on one is not "
        "guessed. Somebody should know of these three calls before they fail: exit code 1.",
    )
    shown.run(
        *("mcp-gateway", "policy", "replay", "--audit", "audit", "-p", "candidate", "--against", "live"),
        *("--fail-on", "newly-denied"),
        says=["newly-denied", RULE, "engineer@example.com", "3 decisions would differ, 3 newly-denied"],
        code=1,
    )
    return said.split()[-1]


def _shadowed(shown: Terminal, running: Stack, candidate: str) -> None:
    shown.step(
        "And on live traffic?",
        "The gateway's settings name the candidate as `policy.shadow`: it is asked what the live set is asked, in an OPA of "
        "its own, and never obeyed. The three go on working, and engineers still deploy to staging.",
    )
    traffic.await_record(running, "change", subsystem="shadow", accepted=True, after=candidate)
    asyncio.run(traffic.day(running))
    traffic.await_record(running, "shadow_period", candidate=candidate)
    shown.run(
        *("mcp-gateway", "policy", "shadow", "report", "--audit", "audit", "--fail-on", "newly-allowed"),
        says=["newly-denied", RULE, "engineer@example.com"],
    )
    _called(shown, running, refused=False)


def _rolled_out(shown: Terminal, running: Stack) -> str:
    """The id of a decision that refuses what passed before."""
    shown.step(
        "Roll-out",
        "One command checks the candidate, asks its canaries, signs it and replaces the file. The gateway verifies the "
        "signature, asks the canaries itself, and changes over within a second; nobody is disconnected.",
    )
    said = shown.run("mcp-gateway", "policy", "build", "candidate", "--label", "v2", *SIGNED, says=["revision v2."])
    traffic.await_record(running, "change", subsystem="policy", accepted=True, after=_revision(said))
    return _called(shown, running, refused=True).decision_id


def _explained(shown: Terminal, decision: str) -> None:
    shown.step(
        "Why?",
        "An engineer asks. The audit has the decision's id; the answer names the rule with its line, and what would help.",
    )
    shown.run(
        *("mcp-gateway", "policy", "explain", decision, "-p", "candidate"),
        says=["release_team_only", "production.rego:", "allowed with group release", 'arguments.environment is "test"'],
        code=1,
    )


def _rolled_back(shown: Terminal, running: Stack) -> None:
    shown.step(
        "Back",
        "It turns out that the nightly build deploys to staging, and nobody told its team. One command goes back to the set "
        "before, and stays there until `--release`.",
    )
    shown.run("mcp-gateway", "policy", "rollback", says=["revision v1.", "is in force"])
    _called(shown, running, refused=False)
    shown.run("mcp-gateway", "policy", "rollback", "--list", says=["v1.", "in force, pinned", "v2."])


def _called(shown: Terminal, running: Stack, *, refused: bool) -> Answered:
    """The call that the change is about, once more. Raises `NotAsTold`."""
    answered = asyncio.run(traffic.call(running, "engineer", DEPLOY, STAGING))
    shown.answer(f"engineer calls {DEPLOY} ({', '.join(STAGING.values())})", answered.text, fine=not answered.refused)
    shown.note(f"  decision {answered.decision_id} by policy {answered.revision}", "dim")
    if answered.refused != refused:
        raise NotAsTold(f"the call should have been {'refused' if refused else 'allowed'}")
    return answered


def _revision(said: str) -> str:
    return said.partition(" revision ")[2].split(maxsplit=1)[0]
