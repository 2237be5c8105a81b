// URL: all state is the serialised address; `native` parses it and takes it apart.
((native, errors, makeParams) => {
  const { coded, missing } = errors;
  const { URLSearchParams, attach, refill } = makeParams(native, errors);

  const { parse } = native;

  const invalid = (input, base) => {
    const error = coded(TypeError, "ERR_INVALID_URL", "Invalid URL");
    error.input = input;
    if (base !== undefined) error.base = base;
    return error;
  };

  class URL {
    #href;
    #params;

    constructor(url, base = undefined) {
      if (arguments.length === 0) throw missing("url");
      url = `${url}`;
      if (base !== undefined) base = `${base}`;
      const href = parse(url, base);
      if (href === undefined) throw invalid(url, base);
      this.#href = href;
    }

    static canParse(url, base = undefined) {
      if (arguments.length === 0) throw missing("url");
      return parse(`${url}`, base === undefined ? base : `${base}`) !== undefined;
    }

    static parse(url, base = undefined) {
      return URL.canParse(url, base) ? new URL(url, base) : null;
    }

    get href() {
      return this.#href;
    }
    set href(value) {
      value = `${value}`;
      const href = parse(value, undefined);
      if (href === undefined) throw invalid(value);
      this.#href = href;
      this.#refill();
    }

    get origin() {
      return native.part(this.#href, "origin");
    }

    get searchParams() {
      if (!this.#params) {
        this.#params = new URLSearchParams(this.search);
        attach(this.#params, (query) => this.#change("search", query));
      }
      return this.#params;
    }

    toString() {
      return this.#href;
    }

    // As `util.inspect` shows it.
    [Symbol.for("nodejs.util.inspect.custom")](depth, options, inspect) {
      if (depth < 0) return this;
      const shown = {};
      for (const name of [
        "href", "origin", "protocol", "username", "password", "host", "hostname", "port",
        "pathname", "search", "searchParams", "hash",
      ]) {
        shown[name] = this[name];
      }
      return `URL ${inspect(shown, options)}`;
    }

    toJSON() {
      return this.#href;
    }

    #refill() {
      if (this.#params) refill(this.#params, this.search.slice(1));
    }

    #change(name, value) {
      this.#href = native.change(this.#href, name, value) ?? this.#href;
    }

    static {
      const parts = [
        "protocol", "username", "password", "host", "hostname", "port", "pathname", "search",
        "hash",
      ];
      for (const name of parts) {
        Object.defineProperty(URL.prototype, name, {
          configurable: true,
          get() {
            return native.part(this.#href, name);
          },
          set(value) {
            this.#change(name, `${value}`);
            if (name === "search") this.#refill();
          },
        });
      }
    }
  }

  Object.defineProperty(URL.prototype, Symbol.toStringTag, { value: "URL", configurable: true });
  // Web interfaces show their members to `for in`.
  for (const { prototype } of [URL, URLSearchParams]) {
    for (const name of Object.getOwnPropertyNames(prototype)) {
      if (name !== "constructor") Object.defineProperty(prototype, name, { enumerable: true });
    }
  }
  return { URL, URLSearchParams };
});
