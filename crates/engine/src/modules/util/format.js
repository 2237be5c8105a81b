// `format`: text with places for values, which are shown as Node shows them.
(inspect, { wrongType }) => {
  const numberText = (value) => (Object.is(value, -0) ? "-0" : `${value}`);

  // Whether `%s` calls the toString of a value, because it is not the language's own.
  const hasOwnText = (value) => {
    if (value instanceof Error || typeof value.toString !== "function") return false;
    if (Object.hasOwn(value, "toString")) return true;
    let object = value;
    do {
      object = Object.getPrototypeOf(object);
    } while (object !== null && !Object.hasOwn(object, "toString"));
    const constructor = object && Object.getOwnPropertyDescriptor(object, "constructor")?.value;
    return typeof constructor === "function" && !builtins.has(constructor);
  };
  const builtins = new Set(
    Object.getOwnPropertyNames(globalThis)
      .filter((name) => /^[A-Z][a-zA-Z0-9]+$/.test(name))
      .map((name) => Object.getOwnPropertyDescriptor(globalThis, name).value)
      .filter((value) => typeof value === "function"),
  );

  const formatted = {
    s(value, options) {
      if (typeof value === "number") return numberText(value);
      if (typeof value === "bigint") return `${value}n`;
      if (typeof value !== "object" || value === null || hasOwnText(value)) return String(value);
      return inspect(value, { ...options, depth: 0, colors: false, compact: 3 });
    },
    d(value) {
      if (typeof value === "bigint") return `${value}n`;
      return typeof value === "symbol" ? "NaN" : numberText(Number(value));
    },
    i(value) {
      if (typeof value === "bigint") return `${value}n`;
      return typeof value === "symbol" ? "NaN" : numberText(parseInt(value, 10));
    },
    f: (value) => (typeof value === "symbol" ? "NaN" : numberText(parseFloat(value))),
    j(value) {
      try {
        return JSON.stringify(value);
      } catch (error) {
        if (/circular/i.test(error.message)) return "[Circular]";
        throw error;
      }
    },
    o: (value, options) =>
      inspect(value, { ...options, showHidden: true, showProxy: true, depth: 4 }),
    O: (value, options) => inspect(value, options),
    c: () => "",
  };

  const formatWithOptions = (options, ...values) => {
    if (typeof options !== "object" || options === null)
      throw wrongType("inspectOptions", "of type object", options);
    let next = 0;
    const parts = [];
    if (typeof values[0] === "string" && values.length > 1) {
      next = 1;
      parts.push(
        values[0].replace(/%([sdifjoOc%])/g, (all, kind) => {
          if (kind === "%") return "%";
          return next < values.length ? `${formatted[kind](values[next++], options)}` : all;
        }),
      );
    }
    for (; next < values.length; next++) {
      const value = values[next];
      parts.push(typeof value === "string" ? value : inspect(value, { compact: 3, ...options }));
    }
    return parts.join(" ");
  };

  return { format: (...values) => formatWithOptions({}, ...values), formatWithOptions };
};
