module.exports.processEvent = (event) => {
  for (const key of ["token", "$insert_id", "$time"]) delete event.properties[key];
  return event;
};
