// What a realm has of Intl before it is used: a getter, and methods that load the rest when called.
((load) => {
  const { apply, defineProperty } = Reflect;
  let loaded;
  const tools = () => (loaded ??= load());
  const settle = (value) =>
    defineProperty(globalThis, "Intl", { value, writable: true, configurable: true, enumerable: false });
  defineProperty(globalThis, "Intl", {
    get() {
      const { Intl } = tools();
      settle(Intl);
      return Intl;
    },
    set: settle,
    configurable: true,
  });

  const replace = (prototype, methods) => {
    for (const name in methods) {
      const { length } = prototype[name];
      const value = methods[name];
      if (value.length !== length) defineProperty(value, "length", { value: length, configurable: true });
      defineProperty(prototype, name, { value, writable: true, configurable: true, enumerable: false });
    }
  };
  const { toString, toTimeString } = Date.prototype;
  // QuickJS leaves out the zone's name, and Date has but one.
  const zoned = (text) => (text === "Invalid Date" ? text : `${text} (Coordinated Universal Time)`);
  replace(Date.prototype, {
    toString() {
      return zoned(apply(toString, this, []));
    },
    toTimeString() {
      return zoned(apply(toTimeString, this, []));
    },
    toLocaleString(locales, options) {
      return tools().dateToString(this, "any", "all", locales, options);
    },
    toLocaleDateString(locales, options) {
      return tools().dateToString(this, "date", "date", locales, options);
    },
    toLocaleTimeString(locales, options) {
      return tools().dateToString(this, "time", "time", locales, options);
    },
  });
  const numberValue = Number.prototype.valueOf;
  replace(Number.prototype, {
    toLocaleString(locales, options) {
      return tools().numberToString(apply(numberValue, this, []), locales, options);
    },
  });
  const bigintValue = BigInt.prototype.valueOf;
  replace(BigInt.prototype, {
    toLocaleString(locales, options) {
      return tools().numberToString(apply(bigintValue, this, []), locales, options);
    },
  });
  const textOf = (self, method) => {
    if (self === undefined || self === null) {
      throw new TypeError(`String.prototype.${method} called on null or undefined`);
    }
    return `${self}`;
  };
  replace(String.prototype, {
    localeCompare(that, locales, options) {
      return tools().compare(textOf(this, "localeCompare"), `${that}`, locales, options);
    },
  });
  const typed = Object.getPrototypeOf(Uint8Array.prototype);
  const lengthOf = Object.getOwnPropertyDescriptor(typed, "length").get;
  // Arrays within arrays come back to the one they are in.
  const open = [];
  const join = (self, length, locales, options) => {
    if (open.includes(self)) return "";
    open.push(self);
    try {
      let text = "";
      for (let i = 0; i < length; i++) {
        if (i > 0) text += ",";
        const item = self[i];
        if (item !== undefined && item !== null) text += `${item.toLocaleString(locales, options)}`;
      }
      return text;
    } finally {
      open.pop();
    }
  };
  replace(Array.prototype, {
    toLocaleString(locales, options) {
      const self = Object(this);
      return join(self, Math.min(Math.max(Math.trunc(self.length) || 0, 0), 2 ** 53 - 1), locales, options);
    },
  });
  replace(typed, {
    toLocaleString(locales, options) {
      return join(this, apply(lengthOf, this, []), locales, options);
    },
  });
});
