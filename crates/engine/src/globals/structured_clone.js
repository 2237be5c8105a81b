// structuredClone: the web's algorithm for the values that exist here. There is no other realm to
// transfer a buffer to, so a transferred one is copied and detached.
(() => {
  const errors = {
    Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError,
  };
  const views = Object.fromEntries(
    [
      Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array,
      Float32Array, Float64Array, BigInt64Array, BigUint64Array,
    ].map((View) => [View.name, View]),
  );
  const bound = [WeakMap, WeakSet, WeakRef, Promise];
  const boxes = [Boolean, Number, String, BigInt];

  const coded = (code, message) => Object.assign(new TypeError(message), { code });

  const refuse = (value) => {
    const isObject = typeof value === "object";
    const shown = isObject ? `#<${value.constructor?.name}>` : String(value);
    throw new DOMException(`${shown} could not be cloned.`, "DataCloneError");
  };

  const cloneView = (view, clone) => {
    const buffer = clone(view.buffer);
    if (view instanceof DataView) return new DataView(buffer, view.byteOffset, view.byteLength);
    return new views[view[Symbol.toStringTag]](buffer, view.byteOffset, view.length);
  };

  const cloneError = (error, clone) => {
    const result = new (Object.hasOwn(errors, error.name) ? errors[error.name] : Error)();
    for (const key of ["message", "stack", "cause"]) {
      if (!Object.hasOwn(error, key)) continue;
      const value = key === "cause" ? clone(error[key]) : String(error[key]);
      Object.defineProperty(result, key, { value, writable: true, configurable: true });
    }
    return result;
  };

  return function structuredClone(value, options = undefined) {
    if (arguments.length === 0) {
      throw coded("ERR_MISSING_ARGS", "The value argument must be specified");
    }
    // From what was cloned to its clone: cycles and shared parts keep their shape.
    const clones = new Map();

    const copyMembers = (from, to) => {
      for (const key of Object.keys(from)) {
        const options = { writable: true, enumerable: true, configurable: true };
        Object.defineProperty(to, key, { value: clone(from[key]), ...options });
      }
      return to;
    };

    const clone = (value) => {
      if (typeof value === "symbol" || typeof value === "function") refuse(value);
      if (typeof value !== "object" || value === null) return value;
      if (clones.has(value)) return clones.get(value);
      const keep = (copy) => {
        clones.set(value, copy);
        return copy;
      };
      if (Array.isArray(value)) return copyMembers(value, keep(new Array(value.length)));
      if (value instanceof Date) return keep(new Date(value.getTime()));
      if (value instanceof RegExp) return keep(new RegExp(value.source, value.flags));
      if (value instanceof ArrayBuffer) return keep(value.slice());
      if (ArrayBuffer.isView(value)) return keep(cloneView(value, clone));
      if (value instanceof Map) {
        const copy = keep(new Map());
        for (const [key, item] of [...value]) copy.set(clone(key), clone(item));
        return copy;
      }
      if (value instanceof Set) {
        const copy = keep(new Set());
        for (const item of [...value]) copy.add(clone(item));
        return copy;
      }
      if (value instanceof Error) return keep(cloneError(value, clone));
      if (boxes.some((Box) => value instanceof Box)) return keep(Object(value.valueOf()));
      if (value instanceof Symbol || bound.some((Bound) => value instanceof Bound)) refuse(value);
      return copyMembers(value, keep({}));
    };

    const transfer = [...(options?.transfer ?? [])];
    if (!transfer.every((buffer) => buffer instanceof ArrayBuffer)) {
      throw coded("ERR_INVALID_TRANSFER_OBJECT", "Found invalid object in transferList");
    }
    // A view of a detached buffer has lost its length, so buffers move when all is cloned.
    for (const buffer of transfer) clones.set(buffer, buffer.slice());
    const result = clone(value);
    for (const buffer of transfer) buffer.transfer();
    return result;
  };
})();
