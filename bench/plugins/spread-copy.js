module.exports.processEvent = (event) => ({
  ...event,
  properties: { ...event.properties, copied: true },
});
