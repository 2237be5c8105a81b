// Labels an event with what its user agent says.
const browsers = [
  ["edge", /Edg\/([\d.]+)/],
  ["opera", /OPR\/([\d.]+)/],
  ["firefox", /Firefox\/([\d.]+)/],
  ["chrome", /Chrome\/([\d.]+)/],
  ["safari", /Version\/([\d.]+).*Safari/],
];

module.exports.processEvent = (event) => {
  const agent = event.properties.$raw_user_agent;
  if (typeof agent !== "string") return event;
  for (const [name, pattern] of browsers) {
    const found = pattern.exec(agent);
    if (found) {
      event.properties.browser_family = name;
      event.properties.browser_major = Number.parseInt(found[1], 10);
      break;
    }
  }
  event.properties.is_mobile = /Mobile|Android|iPhone/.test(agent);
  return event;
};
