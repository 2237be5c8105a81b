module.exports.processEvent = (event) => {
  let letters = 0;
  for (const value of Object.values(event.properties)) {
    if (typeof value === "string") letters += value.length;
  }
  event.letters = letters;
  return event;
};
