"""What decides: the policy set, and the OPA that answers by it."""

from pathlib import Path

from pydantic import Field, model_validator

from gateway.settings.base import Closed, Count, Seconds, Secret


class Shadow(Closed):
    """A candidate policy set that is asked what the live one is asked, and never obeyed. Needs an OPA of our own."""

    folder: Path = Field(description="folder of the candidate policy set; edits in it are compared within a second")
    schemas: Path | None = Field(default=None, description="folder of its schemas; default: those of the live set")
    share: float = Field(default=1.0, gt=0, le=1, description="of the decisions, drawn by their ids, that are compared")
    queue: Count = Field(default=256, description="decisions that wait to be compared; further ones are dropped and counted")
    deadline_ms: Count = Field(default=1000, description="an answer of the candidate that takes longer is not compared")


class BundleKey(Closed):
    """A key that signs bundles."""

    id: str = Field(min_length=1, max_length=128, description="what a signature calls it (`policy build --key-id`)")
    file: Path = Field(description="PEM file of its public half: RSA, P-256, P-384 or P-521")
    revoked: bool = Field(default=False, description="what it signed decides no more, whenever it was signed")


class PolicyServer(Closed):
    """A server of bundles, such as OPA's: asked with ETag, and with long polling where it can. The last good one is kept."""

    url: str = Field(description="of the bundle itself: https, or http on loopback")
    token: Secret | None = Field(default=None, description="bearer token for it")
    tls_ca: Path | None = Field(default=None, description="CA file to verify it with; default: the system's")
    poll_s: Seconds = Field(default=10.0, description="between two questions")
    long_poll_s: Seconds | None = Field(default=None, description="let it wait so long while there is nothing new")
    allow_plain_http: bool = Field(default=False, description="accept http beyond loopback")


class RequireSigned(Closed):
    """Whose signature a bundle must have to decide. It is verified by the gateway, before anything in it is looked at."""

    keys: tuple[BundleKey, ...] = Field(min_length=1, description="keys whose signatures count")
    max_age_s: Seconds | None = Field(
        default=None, description="a bundle decides for so long after it was signed, and not a moment longer; default: for ever"
    )
    facts_max_age_s: Seconds | None = Field(default=None, description="the same for a bundle of facts; default: as `max_age_s`")


class Policy(Closed):
    """Where the policies are that the gateway's own OPA decides by (without `opa.url`)."""

    folder: Path = Field(
        default=Path("policies"), description="folder of the policy set; edits in it are enforced within a second"
    )
    bundle: Path | None = Field(
        default=None,
        description="one file of `mcp-gateway policy build` instead of `folder`; a new one is enforced within a second",
    )
    server: PolicyServer | None = Field(
        default=None, description="a server of bundles instead of `folder` and `bundle`; needs `history`"
    )
    require_signed: RequireSigned | None = Field(
        default=None, description="nothing that is not signed by one of these keys decides; needs `bundle` or `server`"
    )
    facts: Path | None = Field(
        default=None,
        description="folder, or bundle (`policy build --only-facts`), of facts apart from the rules; in force within a second",
    )
    facts_server: PolicyServer | None = Field(
        default=None, description="a server of bundles of facts instead of `facts`; needs `history`"
    )
    history: Path | None = Field(
        default=None,
        description="folder of this gateway alone that keeps accepted sets, for `policy rollback`",
    )
    history_sets: Count = Field(default=10, description="so many accepted sets are kept")
    schemas: Path = Field(default=Path("schemas"), description="folder of JSON Schemas that the rules are typed by")
    capabilities: Path | None = Field(
        default=None, description="OPA capabilities file; default: the one that came with the gateway"
    )
    canaries: Path | None = Field(
        default=None, description="file of inputs with known answers; default: mcp/canaries/data.json in `folder`"
    )
    shadow: Shadow | None = Field(default=None, description="a candidate to compare with on live traffic, without effect")

    @model_validator(mode="after")
    def one_source(self) -> "Policy":
        if (self.bundle is not None) + (self.server is not None) + ("folder" in self.model_fields_set) > 1:
            raise ValueError("give one of `folder`, `bundle` and `server`")
        if self.require_signed is not None and self.bundle is None and self.server is None:
            raise ValueError("`require_signed` needs `bundle` or `server`: a folder is not signed")
        if self.facts is not None and self.facts_server is not None:
            raise ValueError("give one of `facts` and `facts_server`")
        if (self.server is not None or self.facts_server is not None) and self.history is None:
            name = "server" if self.server is not None else "facts_server"
            raise ValueError(f"`{name}` needs `history`: the folder that keeps what it served")
        return self


class Opa(Closed):
    """The policy decision point."""

    url: str | None = Field(default=None, description="ask this sidecar (http, https, unix:/path) instead of an OPA of our own")
    binary: str | None = Field(default=None, description="the opa binary to start; default: $OPA, then `opa` on PATH")
    deadline_ms: Count = Field(default=1000, description="a decision that takes longer is no decision")
    connections: Count = Field(default=16, description="most connections to OPA")
    max_answer_bytes: Count = Field(default=8 * 1024 * 1024, description="largest answer of OPA")
    lists_at_once: Count = Field(default=4, description="questions about lists that OPA is asked at once; others wait their turn")
    allow_plain_http: bool = Field(default=False, description="accept a sidecar over plain http beyond loopback")
    token: Secret | None = Field(default=None, description="bearer token for the sidecar")
    tls_ca: Path | None = Field(default=None, description="CA file to verify an https sidecar with")
    tls_cert: Path | None = Field(default=None, description="client certificate for an https sidecar")
    tls_key: Path | None = Field(default=None, description="its private key")
