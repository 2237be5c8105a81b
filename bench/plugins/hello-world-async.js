module.exports.processEvent = async (event) => {
  event.properties.greeting = "Hello world";
  return event;
};
