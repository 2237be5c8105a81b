// `meta.utils.cursor`: counters in the storage that add up, whoever counts at the same time.
(function (operate) {
  const number = (value, missing) => {
    if (value === undefined || value === null) return missing;
    if (typeof value !== "number") throw new Error("the value of a cursor must be a number");
    if (value === Infinity || value === -Infinity) {
      throw new Error("the value of a cursor must be finite");
    }
    // NaN is falsy too.
    return value || missing;
  };
  return {
    cursor: {
      async init(key, initial) {
        operate("init", `${key}`, number(initial, 0));
      },
      async increment(key, by) {
        return operate("increment", `${key}`, number(by, 1));
      },
    },
  };
});
