// Token exchange (RFC 8693) as a grant type of one's own, which the provider does not bring. Ours: what the subject token
// must be, and whom the new one names. The provider's: who the client is, the new token, its signature, every error's form.

import { createLocalJWKSet, jwtVerify } from "jose";
import { errors } from "oidc-provider";

const GRANT = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token";
const PARAMETERS = ["subject_token", "subject_token_type", "requested_token_type", "audience", "resource", "scope"];

export function registerTokenExchange(provider, jwks, resourceServer) {
  const published = createLocalJWKSet({ keys: jwks.keys.map(({ kty, n, e, kid, alg }) => ({ kty, n, e, kid, alg })) });

  async function subject(token) {
    try {
      return (await jwtVerify(token, published, { issuer: provider.issuer, typ: "at+jwt" })).payload;
    } catch {
      throw new errors.InvalidGrant("the subject token is not one of this issuer's, or no longer valid");
    }
  }

  async function exchange(ctx) {
    const { params, client } = ctx.oidc;
    const audience = params.resource ?? params.audience;
    if (params.subject_token_type !== ACCESS_TOKEN) throw new errors.InvalidRequest("the subject token must be an access token");
    if (!audience) throw new errors.InvalidTarget("say for whom: audience or resource");
    const { sub: accountId } = await subject(params.subject_token);
    const grant = new provider.Grant({ accountId, clientId: client.clientId });
    const token = new provider.AccessToken({ accountId, client, grantId: await grant.save(), gty: "token-exchange" });
    token.resourceServer = new provider.ResourceServer(audience, resourceServer(audience));
    const asked = (params.scope ?? "").split(" ");
    token.scope = asked.filter((scope) => token.resourceServer.scopes.has(scope)).join(" ") || undefined;
    ctx.body = {
      access_token: await token.save(),
      issued_token_type: ACCESS_TOKEN,
      token_type: token.tokenType,
      expires_in: token.expiration,
      scope: token.scope,
    };
  }

  provider.registerGrantType(GRANT, exchange, PARAMETERS);
}
