"""Which version of the contract a policy set speaks: the one that its facts say, if this gateway serves it."""

from collections.abc import Iterator

import msgspec

from gateway.adapters.opa.findings import Finding, PolicyRejected
from gateway.adapters.opa.inspect import FACTS_SCHEMA
from gateway.adapters.opa.snapshot import Snapshot
from gateway.policy import facts
from gateway.policy.contract import SERVED, VERSION_1, Contract, Contracts, not_served
from gateway.policy.extract import Extractions


def spoken(copy: Snapshot, contracts: Contracts = SERVED) -> Contract:
    """Raises `PolicyRejected` for a version that is not served, and for schemas of another one than the facts say.

    Facts that say no version are for the checks to refuse, which then are those of version 1.
    """
    said = facts.version({name: text.decode("utf-8", "replace") for name, text in _facts(copy)})
    if said is not None and said not in contracts:
        raise PolicyRejected((Finding(facts.MAIN, 0, not_served(said, contracts)),))
    contract = contracts[said] if said is not None else VERSION_1
    described = _described(copy)
    if described not in {None, contract.version}:
        other = (
            f"says version {contract.version} of the contract, and the schemas beside it describe version {described}: "
            "name the folder of schemas that belongs to this policy set"
        )
        raise PolicyRejected((Finding(facts.MAIN, 0, other),))
    return contract


def extractions(copy: Snapshot, contract: Contract) -> Extractions:
    """What the facts of a checked snapshot declare to be extracted from arguments."""
    return contract.declarations(facts.whole({name: text.decode() for name, text in _facts(copy)}), copy.revision)


def _described(copy: Snapshot) -> int | None:
    """The version of the contract that the schemas are of; None: they do not say."""
    try:
        said = msgspec.json.decode(copy.schema(FACTS_SCHEMA) or b"")["properties"]["version"]["const"]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        return None
    return said if isinstance(said, int) else None


def _facts(copy: Snapshot) -> Iterator[tuple[str, bytes]]:
    return ((name, text) for name, text in copy.texts.items() if name.startswith(facts.ROOT) and not name.endswith(".rego"))
