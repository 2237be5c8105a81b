// Lower-cases the host, drops the trailing slash, the fragment and campaign parameters.
const { URL } = require("url");

module.exports.processEvent = (event) => {
  const current = event.properties.$current_url;
  if (typeof current !== "string") return event;
  const url = new URL(current);
  url.hash = "";
  for (const key of ["utm_source", "utm_medium", "utm_campaign"]) url.searchParams.delete(key);
  if (url.pathname.length > 1) url.pathname = url.pathname.replace(/\/+$/, "");
  event.properties.$current_url = url.toString();
  return event;
};
