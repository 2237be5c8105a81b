// Errors as Node's own functions throw them: a class, a code, a message.
(() => {
  const coded = (Class, code, message) => Object.assign(new Class(message), { code });

  const described = (value) => {
    if (value === null || value === undefined) return `${value}`;
    if (typeof value === "function") return `function ${value.name}`;
    if (typeof value === "object") {
      const name = value.constructor?.name;
      return name ? `an instance of ${name}` : "[Object: null prototype] {}";
    }
    const text = typeof value === "string" ? `'${value}'` : String(value);
    const shown = text.length > 28 ? `${text.slice(0, 25)}...` : text;
    return `type ${typeof value} (${shown}${typeof value === "bigint" ? "n" : ""})`;
  };

  // Digits in groups of three, as Node shows what is out of range and large.
  const grouped = (value) => {
    const text = String(value);
    const large = value > 2 ** 32 || value < -(2 ** 32);
    const digits = large ? text.replace(/\B(?=(\d{3})+(?!\d))/g, "_") : text;
    return typeof value === "bigint" ? `${digits}n` : digits;
  };

  const named = (name) => {
    if (name.includes(" ")) return `The ${name}`;
    return `The "${name}" ${name.includes(".") ? "property" : "argument"}`;
  };

  return {
    coded,
    wrongType: (name, expected, value) =>
      coded(
        TypeError,
        "ERR_INVALID_ARG_TYPE",
        `${named(name)} must be ${expected}. Received ${described(value)}`,
      ),
    outOfRange: (name, range, value) =>
      coded(
        RangeError,
        "ERR_OUT_OF_RANGE",
        `The value of "${name}" is out of range. It must be ${range}. Received ${grouped(value)}`,
      ),
    missing: (...names) => {
      const list = names.map((name) => `"${name}"`).join(" and ");
      const verb = names.length > 1 ? "arguments must be" : "argument must be";
      return coded(TypeError, "ERR_MISSING_ARGS", `The ${list} ${verb} specified`);
    },
  };
})();
