// Discards an event that lacks a property, and labels those that pass.
const required = (meta) => (meta.global.required ??= meta.config.required.split(",").map((name) => name.trim()));

module.exports.processEvent = (event, meta) => {
  for (const name of required(meta)) {
    if (event.properties[name] === undefined) return null;
  }
  event.properties.schema_checked = true;
  return event;
};
