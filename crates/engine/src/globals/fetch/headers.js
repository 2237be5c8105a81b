// Headers: a list of pairs. The names are in small letters; equal ones are joined when they are read.
(parts) => {
  const nameOf = (name) => {
    name = `${name}`;
    if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name)) {
      throw new TypeError(`"${name}" is not a name of a header`);
    }
    return name.toLowerCase();
  };

  const valueOf = (name, value) => {
    value = `${value}`.replace(/^[\t\n\r ]+/, "").replace(/[\t\n\r ]+$/, "");
    if (/[\0\r\n]|[^\0-\xff]/.test(value)) {
      throw new TypeError(`the value of header "${name}" has a character that no header can have`);
    }
    return value;
  };

  const joined = (pairs) => pairs.map(([, value]) => value).join(", ");

  class Headers {
    #pairs = [];

    constructor(init = undefined) {
      if (init === undefined || init === null) return;
      if (typeof init !== "object" && typeof init !== "function") {
        throw new TypeError("headers are an object or a list of pairs");
      }
      if (typeof init[Symbol.iterator] === "function") {
        for (const item of init) {
          const pair = typeof item === "object" && item?.[Symbol.iterator] ? [...item] : [];
          if (pair.length !== 2) throw new TypeError("each header is a pair of name and value");
          this.append(...pair);
        }
      } else {
        for (const name of Reflect.ownKeys(init)) {
          if (!Object.getOwnPropertyDescriptor(init, name)?.enumerable) continue;
          this.append(name, init[name]);
        }
      }
    }

    append(name, value) {
      name = nameOf(name);
      this.#pairs.push([name, valueOf(name, value)]);
    }

    delete(name) {
      name = nameOf(name);
      this.#pairs = this.#pairs.filter((pair) => pair[0] !== name);
    }

    get(name) {
      const found = this.#all(nameOf(name));
      return found.length === 0 ? null : joined(found);
    }

    getSetCookie() {
      return this.#all("set-cookie").map(([, value]) => value);
    }

    has(name) {
      return this.#all(nameOf(name)).length > 0;
    }

    set(name, value) {
      name = nameOf(name);
      value = valueOf(name, value);
      const first = this.#pairs.find((pair) => pair[0] === name);
      if (!first) {
        this.#pairs.push([name, value]);
        return;
      }
      first[1] = value;
      this.#pairs = this.#pairs.filter((pair) => pair === first || pair[0] !== name);
    }

    forEach(callback, self = undefined) {
      if (typeof callback !== "function") throw new TypeError("the callback must be a function");
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

    // node-fetch's: every value of every name.
    raw() {
      const raw = {};
      for (const [name, value] of this.#pairs) (raw[name] ??= []).push(value);
      return raw;
    }

    #all(name) {
      return this.#pairs.filter((pair) => pair[0] === name);
    }

    // By name; cookies are the one header that cannot be joined.
    #sorted() {
      const names = [...new Set(this.#pairs.map(([name]) => name))].sort();
      return names.flatMap((name) => {
        const found = this.#all(name);
        return name === "set-cookie" ? found.map((pair) => [...pair]) : [[name, joined(found)]];
      });
    }

    // Sees what is added or removed on the way.
    *#walk(part) {
      for (let i = 0, pairs; i < (pairs = this.#sorted()).length; i++) {
        yield part === undefined ? pairs[i] : pairs[i][part];
      }
    }
  }

  parts.expose(Headers);
  Object.defineProperty(Headers.prototype, Symbol.iterator, {
    value: Headers.prototype.entries,
    writable: true,
    configurable: true,
  });
};
