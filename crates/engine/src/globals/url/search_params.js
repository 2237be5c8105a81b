// URLSearchParams: a list of pairs, which tells the URL it belongs to when it changes.
((native, { coded, missing, wrongType }) => {
  const text = (value) => `${value}`.toWellFormed();

  const pairsOf = (init) => {
    if (init === undefined || init === null) return [];
    if (typeof init !== "object" && typeof init !== "function") {
      const query = text(init);
      return native.readForm(query.startsWith("?") ? query.slice(1) : query);
    }
    const pairs = [];
    const iterate = init[Symbol.iterator];
    if (iterate === undefined || iterate === null) {
      for (const key of Reflect.ownKeys(init)) {
        if (!Object.getOwnPropertyDescriptor(init, key)?.enumerable) continue;
        const pair = [text(key), text(init[key])];
        const same = pairs.find(([name]) => name === pair[0]);
        if (same) same[1] = pair[1];
        else pairs.push(pair);
      }
      return pairs;
    }
    if (typeof iterate !== "function") {
      throw coded(TypeError, "ERR_ARG_NOT_ITERABLE", "Query pairs must be iterable");
    }
    for (const item of init) {
      const pair = typeof item === "object" && item?.[Symbol.iterator] ? [...item] : [];
      if (pair.length !== 2) {
        const message = "Each query pair must be an iterable [name, value] tuple";
        throw coded(TypeError, "ERR_INVALID_TUPLE", message);
      }
      pairs.push(pair.map(text));
    }
    return pairs;
  };

  // How a URL reaches into its own parameters.
  let attach, refill;

  class URLSearchParams {
    #pairs;
    #changed;
    #told;

    static {
      attach = (params, changed) => (params.#changed = changed);
      refill = (params, query) => {
        params.#pairs = native.readForm(query);
        params.#told = undefined;
      };
    }

    constructor(init = undefined) {
      this.#pairs = pairsOf(init);
    }

    get size() {
      return this.#pairs.length;
    }

    append(name, value) {
      this.#need(arguments, 2);
      this.#pairs.push([text(name), text(value)]);
      this.#tell();
    }

    delete(name, value = undefined) {
      this.#need(arguments, 1);
      const matches = this.#matcher(name, value);
      this.#pairs = this.#pairs.filter((pair) => !matches(pair));
      this.#tell();
    }

    get(name) {
      this.#need(arguments, 1);
      return this.#pairs.find(this.#matcher(name))?.[1] ?? null;
    }

    getAll(name) {
      this.#need(arguments, 1);
      return this.#pairs.filter(this.#matcher(name)).map(([, value]) => value);
    }

    has(name, value = undefined) {
      this.#need(arguments, 1);
      return this.#pairs.some(this.#matcher(name, value));
    }

    set(name, value) {
      this.#need(arguments, 2);
      const matches = this.#matcher(name);
      const first = this.#pairs.find(matches);
      if (first) {
        first[1] = text(value);
        this.#pairs = this.#pairs.filter((pair) => pair === first || !matches(pair));
      } else {
        this.#pairs.push([text(name), text(value)]);
      }
      this.#tell();
    }

    sort() {
      this.#pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
      this.#tell();
    }

    forEach(callback, self = undefined) {
      if (typeof callback !== "function") throw wrongType("callback", "of type function", callback);
      for (const [name, value] of this.#walk()) callback.call(self, value, name, this);
    }

    entries() {
      return this.#walk();
    }

    keys() {
      return this.#walk(0);
    }

    values() {
      return this.#walk(1);
    }

    // As `util.inspect` shows it.
    [Symbol.for("nodejs.util.inspect.custom")](depth, options, inspect) {
      const shown = this.#pairs.map(([name, value]) => {
        return `${inspect(name, options)} => ${inspect(value, options)}`;
      });
      return `URLSearchParams {${shown.length > 0 ? ` ${shown.join(", ")} ` : ""}}`;
    }

    toString() {
      return native.writeForm(this.#pairs);
    }

    // Tells the URL, unless it knows.
    #tell() {
      if (!this.#changed) return;
      const query = native.writeForm(this.#pairs);
      if (query === this.#told) return;
      this.#changed(query);
      this.#told = query;
    }

    // Sees what is added or removed on the way.
    *#walk(part) {
      for (let i = 0; i < this.#pairs.length; i++) {
        yield part === undefined ? [...this.#pairs[i]] : this.#pairs[i][part];
      }
    }

    #matcher(name, value) {
      name = text(name);
      if (value !== undefined) value = text(value);
      return (pair) => pair[0] === name && (value === undefined || pair[1] === value);
    }

    #need(given, count) {
      if (given.length < count) throw missing(...["name", "value"].slice(0, count));
    }
  }

  const prototype = URLSearchParams.prototype;
  Object.defineProperty(prototype, Symbol.iterator, {
    value: prototype.entries,
    writable: true,
    configurable: true,
  });
  Object.defineProperty(prototype, Symbol.toStringTag, {
    value: "URLSearchParams",
    configurable: true,
  });
  return { URLSearchParams, attach, refill };
});
