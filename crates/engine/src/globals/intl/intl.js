// What the classes of Intl share: locales, options, and how a class is made.
((native) => {
  const Intl = {};
  Object.defineProperty(Intl, Symbol.toStringTag, { value: "Intl", configurable: true });
  const method = (object, name, value) =>
    Object.defineProperty(object, name, { value, writable: true, configurable: true, enumerable: false });

  const TAG = new RegExp(
    "^(?:[a-z]{2,3}|[a-z]{5,8})(?:-[a-z]{4})?(?:-(?:[a-z]{2}|[0-9]{3}))?" +
      "(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*(?:-[a-wy-z0-9](?:-[a-z0-9]{2,8})+)*(?:-x(?:-[a-z0-9]{1,8})+)?$",
  );
  const canonical = (tag) => {
    const lower = tag.toLowerCase();
    if (!TAG.test(lower)) throw new RangeError(`Incorrect locale information provided`);
    const parts = lower.split("-");
    let inExtension = false;
    return parts
      .map((part, at) => {
        if (part.length === 1) inExtension = true;
        if (at === 0 || inExtension) return part;
        if (part.length === 4 && /^[a-z]/.test(part)) return part[0].toUpperCase() + part.slice(1);
        return part.length === 2 ? part.toUpperCase() : part;
      })
      .join("-");
  };
  const canonicalList = (locales) => {
    if (locales === undefined) return [];
    if (typeof locales === "string") return [canonical(locales)];
    if (locales === null) throw new TypeError("Cannot convert undefined or null to object");
    const list = [];
    const from = Object(locales);
    for (let i = 0, length = Math.trunc(from.length) || 0; i < length; i++) {
      if (!(i in from)) continue;
      const tag = from[i];
      if (typeof tag !== "string" && (typeof tag !== "object" || tag === null)) {
        throw new TypeError("Language ID should be string or object.");
      }
      const found = canonical(`${tag}`);
      if (!list.includes(found)) list.push(found);
    }
    return list;
  };
  const withoutExtensions = (tag) => tag.replace(/-(?:[a-z0-9])-.*$/, "");
  // The longest beginning of a tag that is a locale.
  const available = (tag) => {
    let name = withoutExtensions(tag);
    while (name) {
      const data = native.find(name);
      if (data !== undefined) return { name, data };
      name = name.slice(0, Math.max(name.lastIndexOf("-"), 0));
    }
    return undefined;
  };
  const keywords = (tag) => {
    const found = {};
    const extension = /-u((?:-[a-z0-9]{2,8})+)/.exec(tag)?.[1] ?? "";
    for (const [, key, value] of extension.matchAll(/-([a-z0-9]{2})(?=-|$)((?:-[a-z0-9]{3,8})*)/g)) {
      found[key] ??= value.slice(1) || "true";
    }
    return found;
  };
  // A locale of which there are tables, and what its extension asks for.
  const resolve = (locales) => {
    for (const tag of canonicalList(locales)) {
      const found = available(tag);
      if (found) return { ...found, keywords: keywords(tag) };
    }
    return { name: "en-US", data: "en", keywords: {} };
  };
  const extended = (name, used) => {
    const keys = Object.keys(used).sort();
    return keys.length ? `${name}-u${keys.map((key) => `-${key}-${used[key]}`).join("")}` : name;
  };

  const outOfRange = (value, of, name) =>
    new RangeError(`Value ${value} out of range for Intl.${of} options property ${name}`);
  const choice = (options, of, name, values, fallback) => {
    const value = options[name];
    if (value === undefined) return fallback;
    const text = `${value}`;
    if (values && !values.includes(text)) throw outOfRange(text, of, name);
    return text;
  };
  const flag = (options, name, fallback) => {
    const value = options[name];
    return value === undefined ? fallback : Boolean(value);
  };
  const integer = (value, name, least, most, fallback) => {
    if (value === undefined) return fallback;
    const number = Number(value);
    if (!(number >= least && number <= most)) throw new RangeError(`${name} value is out of range.`);
    return Math.floor(number);
  };
  const optionsObject = (options) => {
    if (options === undefined) return Object.create(null);
    if (options === null) throw new TypeError("Cannot convert undefined or null to object");
    return Object(options);
  };
  const strictOptions = (options) => {
    if (options !== undefined && (typeof options !== "object" || options === null) && typeof options !== "function") {
      throw new TypeError("Incorrect options");
    }
    return optionsObject(options);
  };
  const matcher = (options, of) => choice(options, of, "localeMatcher", ["lookup", "best fit"], "best fit");

  const parts = (flat, extra) => {
    const list = [];
    for (let i = 0; i < flat.length; i += 2) list.push({ type: flat[i], value: flat[i + 1], ...extra });
    return list;
  };

  // Makes a class of Intl. `create` gives the state of an instance; methods get it first.
  const define = (name, { create, methods, getters = {}, callable = false, length = 0 }) => {
    const states = new WeakMap();
    const stateOf = (self, method) => {
      const state = typeof self === "object" && self !== null ? states.get(self) : undefined;
      if (state) return state;
      throw new TypeError(`Method Intl.${name}.prototype.${method} called on incompatible receiver ${String(self)}`);
    };
    const Class = {
      [name]: function (locales, options) {
        if (!new.target && !callable) throw new TypeError(`Constructor Intl.${name} requires 'new'`);
        const self = new.target ? this : Object.create(Class.prototype);
        states.set(self, create(locales, options));
        return self;
      },
    }[name];
    Object.defineProperty(Class, "length", { value: length, configurable: true });
    Object.defineProperty(Class, "prototype", { writable: false });
    for (const key in methods) {
      const value = { [key](...given) { return methods[key](stateOf(this, key), ...given); } }[key];
      Object.defineProperty(value, "length", { value: methods[key].length - 1, configurable: true });
      method(Class.prototype, key, value);
    }
    for (const key in getters) {
      const get = Object.getOwnPropertyDescriptor(
        { get [key]() { return getters[key](stateOf(this, key)); } }, key).get;
      Object.defineProperty(Class.prototype, key, { get, configurable: true });
    }
    Object.defineProperty(Class.prototype, Symbol.toStringTag, { value: `Intl.${name}`, configurable: true });
    method(Class, "supportedLocalesOf", function supportedLocalesOf(locales, options = undefined) {
      matcher(optionsObject(options), name);
      return canonicalList(locales).filter((tag) => available(tag));
    });
    Object.defineProperty(Class.supportedLocalesOf, "length", { value: 1, configurable: true });
    method(Intl, name, Class);
    return Class;
  };

  method(Intl, "getCanonicalLocales", function getCanonicalLocales(locales) {
    return canonicalList(locales);
  });
  return { Intl, define, method, resolve, extended, choice, flag, integer, optionsObject, strictOptions, matcher, parts, outOfRange };
});
