// The slow ways of the guarded built-ins, each called as slow.call(native, self, ...arguments).
// Everything here is bytecode, which QuickJS can stop; what it needs is captured before any plugin
// runs.
(() => {
  const { apply, construct, deleteProperty, defineProperty, has, set } = Reflect;
  const { isArray } = Array;
  const { isConcatSpreadable, iterator, replace, split } = Symbol;
  const LARGEST_SEARCH = 2 ** 32;

  // Each step of a native loop over such a proxy passes through one of these.
  const traps = {
    get: (target, key) => target[key],
    set: (target, key, value) => set(target, key, value),
    has: (target, key) => has(target, key),
    deleteProperty: (target, key) => deleteProperty(target, key),
    defineProperty: (target, key, descriptor) => defineProperty(target, key, descriptor),
  };
  const isObject = (value) =>
    (typeof value === "object" && value !== null) || typeof value === "function";
  const stoppable = (value) => (isObject(value) ? new Proxy(value, traps) : value);

  const concat = Array.prototype.concat;
  const isSpread = (value) => isObject(value) && (value[isConcatSpreadable] ?? isArray(value));

  function slowArray(self, ...args) {
    const proxy = stoppable(self);
    if (this === concat) {
      for (let i = 0; i < args.length; i++) if (isSpread(args[i])) args[i] = stoppable(args[i]);
    }
    const result = apply(this, proxy, args);
    return result === proxy ? self : result;
  }

  const hooks = new Map([
    [String.prototype.replace, replace],
    [String.prototype.replaceAll, replace],
    [String.prototype.split, split],
  ]);
  const hookOf = hooks.get.bind(hooks);

  function slowString(self, pattern, ...rest) {
    if (self === undefined || self === null) return apply(this, self, [pattern, ...rest]);
    if (isObject(pattern)) {
      const key = hookOf(this);
      const hook = key && pattern[key];
      if (hook !== undefined && hook !== null) return apply(hook, pattern, [self, ...rest]);
    }
    const text = `${self}`;
    // `includes` refuses regular expressions itself.
    if (isObject(pattern) && pattern[Symbol.match]) return apply(this, text, [pattern, ...rest]);
    const needle = `${pattern}`;
    if (text.length * needle.length > LARGEST_SEARCH) {
      throw new RangeError(
        `searching ${text.length} characters for ${needle.length} others takes too long`,
      );
    }
    return apply(this, text, [rest.length || pattern !== undefined ? needle : pattern, ...rest]);
  }

  const method = (object, name, value) =>
    defineProperty(object, name, { value, writable: true, configurable: true, enumerable: false });

  // Arrays inside the array can be long and empty.
  const flatten = (into, from, depth) => {
    for (let i = 0; i < from.length; i++) {
      if (!(i in from)) continue;
      const value = from[i];
      if (depth > 0 && isArray(value)) flatten(into, value, depth - 1);
      else into[into.length] = value;
    }
    return into;
  };
  const map = Array.prototype.map;
  const arrays = {
    flat(depth) {
      return flatten([], Object(this), depth === undefined ? 1 : Math.trunc(depth) || 0);
    },
    flatMap(callback, self) {
      if (typeof callback !== "function") throw new TypeError("not a function");
      return flatten([], apply(map, stoppable(Object(this)), [callback, self]), 1);
    },
  };
  for (const name of ["flat", "flatMap"]) method(Array.prototype, name, arrays[name]);

  // Natively consumed iterators whose items need no memory: their `next` becomes bytecode.
  const steps = (iterator) => ({ next: () => iterator.next(), return: () => iterator.return?.() });
  const NativeSet = Set;
  globalThis.Set = new Proxy(NativeSet, {
    construct(target, [items], newTarget) {
      if (items === undefined || items === null) return construct(target, [], newTarget);
      return construct(target, [{ [iterator]: () => steps(items[iterator]()) }], newTarget);
    },
  });
  defineProperty(globalThis, "Set", { enumerable: false });
  method(NativeSet.prototype, "constructor", globalThis.Set);
  for (const name of [
    "difference", "intersection", "isDisjointFrom", "isSubsetOf", "isSupersetOf",
    "symmetricDifference", "union",
  ]) {
    const native = NativeSet.prototype[name];
    if (!native) continue;
    const guarded = {
      [name](other) {
        if (!isObject(other)) return apply(native, this, [other]);
        const view = {
          size: other.size,
          has: (value) => other.has(value),
          keys: () => steps(other.keys()),
        };
        return apply(native, this, [view]);
      },
    };
    method(NativeSet.prototype, name, guarded[name]);
  }
  const IteratorPrototype = Iterator.prototype;
  const { drop } = IteratorPrototype;
  const guardedDrop = {
    drop(count) {
      return apply(drop, { __proto__: IteratorPrototype, ...steps(this) }, [count]);
    },
  };
  method(IteratorPrototype, "drop", guardedDrop.drop);

  const typedArrays = Object.getPrototypeOf(Uint8Array.prototype);
  const typedArrayLength = Object.getOwnPropertyDescriptor(typedArrays, "length").get;

  // Accessors of the engine's own, which run a plugin's code while it makes an error, and lose what
  // they are set to. Here they are ordinary properties.
  for (const [name, value] of [["stackTraceLimit", 10], ["prepareStackTrace", undefined]]) {
    defineProperty(Error, name, { value, writable: true, enumerable: false, configurable: false });
  }

  return { Array: slowArray, String: slowString, typedArrays, typedArrayLength };
})();
