// What consoles have besides PostHog's five levels, in terms of those. A line of the log stands by
// itself, so groups are not indented.
(console) => {
  const { log, warn, error } = console;
  const counts = new Map();
  const timers = new Map();

  const elapsed = (name, data) => {
    const begun = timers.get(name);
    if (begun === undefined) return warn(`there is no timer '${name}'`);
    log(`${name}: ${(performance.now() - begun).toFixed(3)}ms`, ...data);
  };

  const group = (...data) => {
    if (data.length > 0) log(...data);
  };

  return Object.assign(console, {
    assert(condition, ...data) {
      if (condition) return;
      const [first, ...rest] = data;
      if (typeof first === "string") error(`Assertion failed: ${first}`, ...rest);
      else error("Assertion failed", ...data);
    },
    count(label = "default") {
      const name = `${label}`;
      const count = (counts.get(name) ?? 0) + 1;
      counts.set(name, count);
      log(`${name}: ${count}`);
    },
    countReset(label = "default") {
      if (!counts.delete(`${label}`)) warn(`there is no count of '${label}'`);
    },
    dir(value) {
      log(value);
    },
    dirxml(...data) {
      log(...data);
    },
    group,
    groupCollapsed: group,
    groupEnd() {},
    table(data) {
      log(data);
    },
    time(label = "default") {
      const name = `${label}`;
      if (timers.has(name)) warn(`there is a timer '${name}' already`);
      else timers.set(name, performance.now());
    },
    timeLog(label = "default", ...data) {
      elapsed(`${label}`, data);
    },
    timeEnd(label = "default") {
      const name = `${label}`;
      elapsed(name, []);
      timers.delete(name);
    },
  });
};
