"""What a client must know to get a token for a surface, as the protected resource itself tells it (RFC 9728 2)."""

from dataclasses import dataclass

from gateway.model import JsonObject


@dataclass(frozen=True, slots=True)
class ProtectedResource:
    """One surface, as authorization servers and their clients know it."""

    uri: str  # canonical: what the client asks a token for (RFC 8707), letter by letter the URL that it uses
    name: str
    authorization_servers: tuple[str, ...]  # MCP wants at least one; a surface without any has no metadata
    scopes: tuple[str, ...] = ()
    documentation: str | None = None
    dpop_algorithms: tuple[str, ...] = ()  # empty: tokens bound by DPoP are not known here
    certificate_bound: bool = False  # tokens bound to a client certificate are accepted (RFC 8705)

    def members(self) -> JsonObject:
        """The document. A member without content is absent: an empty list would be a statement."""
        members: JsonObject = {
            "resource": self.uri,
            "resource_name": self.name,
            "authorization_servers": [*self.authorization_servers],
            "bearer_methods_supported": ["header"],
        }
        if self.scopes:
            members["scopes_supported"] = [*self.scopes]
        if self.documentation is not None:
            members["resource_documentation"] = self.documentation
        if self.dpop_algorithms:
            members["dpop_signing_alg_values_supported"] = [*self.dpop_algorithms]
        if self.certificate_bound:
            members["tls_client_certificate_bound_access_tokens"] = True
        return members
