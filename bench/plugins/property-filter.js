// Removes the properties that the settings name.
const names = (meta) => (meta.global.names ??= meta.config.properties.split(",").map((name) => name.trim()));

module.exports.processEvent = (event, meta) => {
  for (const name of names(meta)) {
    delete event.properties[name];
    if (event.$set) delete event.$set[name];
  }
  return event;
};
