// `posthog.api`: requests to PostHog's API, with the keys that the plugin gives. There are no keys
// of a team here that could stand in for them.
(fetch, URL, team) => {
  const HOST = "https://app.posthog.com";

  const request = async (method, path, options) => {
    const { data, host = HOST, projectApiKey, personalApiKey, headers } = options ?? {};
    if (typeof path !== "string") throw new TypeError("the path must be a string");
    if (!projectApiKey || !personalApiKey) {
      if (projectApiKey || personalApiKey) {
        const message = "You must specify a personalApiKey if you specify a projectApiKey";
        throw new Error(`${message} and vice-versa!`);
      }
      const needs = "posthog.api needs the options projectApiKey and personalApiKey";
      throw new Error(`${needs}: there are no keys of a team here`);
    }
    if (path.includes("@current")) {
      if (team === undefined || team === null) {
        throw new Error("@current stands for a team, and this configuration is for all teams");
      }
      path = path.replaceAll("@current", `${team}`);
    }
    const url = new URL(`${`${host}`.replace(/\/+$/, "")}/${path.replace(/^\/+/, "")}`);
    const sent = { method, headers: { Authorization: `Bearer ${personalApiKey}`, ...headers } };
    if (method === "GET") {
      for (const name of Object.keys(data ?? {})) url.searchParams.append(name, data[name]);
    } else if (method !== "DELETE") {
      const hasType = Object.keys(sent.headers).some((name) => /^content-type$/i.test(name));
      if (!hasType) sent.headers["Content-Type"] = "application/json";
      sent.body = JSON.stringify(data ?? {});
    }
    url.searchParams.append("token", projectApiKey);
    return fetch(url.toString(), sent);
  };

  return Object.freeze({
    get: (path, options) => request("GET", path, options),
    post: (path, options) => request("POST", path, options),
    put: (path, options) => request("PUT", path, options),
    patch: (path, options) => request("PATCH", path, options),
    // Without its data, as in PostHog.
    delete: (path, options) => request("DELETE", path, options),
  });
};
