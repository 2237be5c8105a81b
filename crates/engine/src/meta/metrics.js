// `meta.metrics`: an object for each metric that the plugin declares, with the one method that its
// kind has. `declared` is a list of [name, kind] pairs.
(function (measure, { illegal }, declared) {
  const { freeze } = Object;
  const { isFinite } = Number;
  const methods = { __proto__: null, sum: "increment", max: "max", min: "min" };
  const metrics = { __proto__: null };
  for (let i = 0; i < declared.length; i++) {
    const [name, kind] = declared[i];
    const method = methods[kind];
    metrics[name] = freeze({
      [method](value) {
        if (typeof value !== "number" || !isFinite(value)) {
          throw illegal(`metrics: the value for "${name}" must be a number`);
        }
        measure(i, value);
      },
    });
  }
  // Who writes `meta` as JSON or awaits it asks for these, and for no metric.
  const asked = { __proto__: null, toJSON: true, then: true };
  return new Proxy(freeze(metrics), {
    __proto__: null,
    get(_, name) {
      if (typeof name === "string" && metrics[name] === undefined && !asked[name]) {
        throw illegal(`metrics: the plugin declares no metric "${name}"`);
      }
      return metrics[name];
    },
  });
});
