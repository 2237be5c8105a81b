module.exports.processEvent = (event) => {
  event.properties.greeting = "Hello world";
  return event;
};
