"""Workloads that log in at the provider with client credentials (RFC 6749 4.4), as Kubernetes jobs and pipelines do."""

from tests.real_as.conftest import Town
from tests.real_as.house import DEPLOY, Bearer, refusal, text


def test_a_workload_uses_the_tools_that_its_token_is_good_for(town: Town) -> None:
    with Bearer(town.gateway.url) as client:
        assert text(client.call(town.token(), "deploy__services")) == "billing"
        short = client.call(town.token(), "deploy__deploy", DEPLOY)
        assert (short.status_code, 'error="insufficient_scope"' in short.headers["WWW-Authenticate"]) == (403, True)
        assert text(client.call(town.token("deploy:write"), "deploy__deploy", DEPLOY)) == "web 1.4.2 is live in staging"
    who = town.gateway.audit()[-1]["subject"]
    assert (who["type"], who["issuer"], who["id"]) == ("workload", town.provider.issuer, "nightly")


def test_a_token_that_the_provider_made_for_another_resource_is_refused(town: Town) -> None:
    with Bearer(town.gateway.url) as client:
        elsewhere = town.token(resource="http://127.0.0.1:1/mcp")
        assert "another audience" in refusal(client.call(elsewhere, "deploy__services"))
