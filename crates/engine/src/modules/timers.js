// `timers`: the globals.
(require) => ({
  setTimeout,
  setInterval,
  setImmediate,
  clearTimeout,
  clearInterval,
  clearImmediate,
  promises: require("timers/promises"),
});
