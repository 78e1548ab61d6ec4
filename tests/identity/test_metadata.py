"""A surface's metadata, to the letter of RFC 9728 2."""

from gateway.identity.metadata import ProtectedResource


def test_what_is_not_known_is_absent_and_not_empty() -> None:
    assert ProtectedResource("https://mcp.example.com/mcp", "gateway", ("https://id.example.com",)).members() == {
        "resource": "https://mcp.example.com/mcp",
        "resource_name": "gateway",
        "authorization_servers": ["https://id.example.com"],
        "bearer_methods_supported": ["header"],
    }


def test_all_that_is_known_is_told() -> None:
    resource = ProtectedResource(
        uri="https://mcp.example.com/mcp/sales",
        name="gateway: sales",
        authorization_servers=("https://id.example.com", "https://login.example.org/realm"),
        scopes=("mcp:read", "mcp:write"),
        documentation="https://wiki.example.com/mcp",
        dpop_algorithms=("ES256",),
        certificate_bound=True,
    )
    assert resource.members() == {
        "resource": "https://mcp.example.com/mcp/sales",
        "resource_name": "gateway: sales",
        "authorization_servers": ["https://id.example.com", "https://login.example.org/realm"],
        "bearer_methods_supported": ["header"],
        "scopes_supported": ["mcp:read", "mcp:write"],
        "resource_documentation": "https://wiki.example.com/mcp",
        "dpop_signing_alg_values_supported": ["ES256"],
        "tls_client_certificate_bound_access_tokens": True,
    }
