// A real OpenID provider for the tests: node provider.js PORT REDIRECT_URI LOGOUT_URI
// POST /control {"people": {"ann": ["guards"]}} says who may sign in, with which groups.
// POST /logout/ann sends the logout token of all of a person's sessions.
import { createServer } from "node:http";
import { Provider } from "oidc-provider";

const [port, redirectUri, logoutUri] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
let people = {};

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: "vigil",
      client_secret: "a secret: with/odd+characters",
      redirect_uris: [redirectUri],
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
      backchannel_logout_uri: logoutUri,
    },
  ],
  scopes: ["openid", "profile", "groups", "offline_access"],
  claims: { openid: ["sub"], profile: ["name"], groups: ["groups"] },
  cookies: { keys: ["only for tests"] },
  features: { backchannelLogout: { enabled: true } },
  issueRefreshToken: async () => true,
  rotateRefreshToken: () => true,
  // Its own fetch refuses loopback addresses, as ours does.
  fetch: (url, options) => fetch(url, { ...options, dispatcher: undefined }),
  pkce: { required: () => true },
  async findAccount(_, id) {
    if (!(id in people)) return undefined;
    return {
      accountId: id,
      claims: async () => ({ sub: id, name: `${id} of the test`, groups: people[id] }),
    };
  },
});

const handle = provider.callback();
const server = createServer(async (request, response) => {
  if (request.method !== "POST" || !/^\/(control|logout)/.test(request.url)) {
    handle(request, response);
    return;
  }
  let body = "";
  for await (const part of request) body += part;
  try {
    if (request.url === "/control") {
      people = JSON.parse(body).people;
    } else {
      const client = await provider.Client.find("vigil");
      await client.backchannelLogout(request.url.slice("/logout/".length), "any-session");
    }
    response.writeHead(204).end();
  } catch (error) {
    response.writeHead(500).end(`${error} ${error.cause ?? ""}`);
  }
});
server.listen(Number(port), "127.0.0.1");
