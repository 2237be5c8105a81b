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
  return new Proxy(freeze(metrics), {
    __proto__: null,
    get(_, name) {
      if (typeof name === "string" && metrics[name] === undefined) {
        throw illegal(`metrics: the plugin declares no metric "${name}"`);
      }
      return metrics[name];
    },
  });
});
