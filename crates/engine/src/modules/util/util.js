// `util`.
(errors, types, inspect, { format, formatWithOptions }, { strictly }) => {
  const { coded, wrongType } = errors;
  const custom = Symbol.for("nodejs.util.promisify.custom");

  const promisify = (original) => {
    if (typeof original !== "function") throw wrongType("original", "of type function", original);
    if (original[custom]) {
      const given = original[custom];
      if (typeof given !== "function")
        throw wrongType("util.promisify.custom", "of type function", given);
      return Object.defineProperty(given, custom, { value: given, configurable: true });
    }
    function promisified(...parameters) {
      return new Promise((resolve, reject) => {
        Reflect.apply(original, this, [
          ...parameters,
          (error, ...values) => (error ? reject(error) : resolve(values[0])),
        ]);
      });
    }
    Object.setPrototypeOf(promisified, Object.getPrototypeOf(original));
    Object.defineProperty(promisified, custom, { value: promisified, configurable: true });
    return Object.defineProperties(promisified, Object.getOwnPropertyDescriptors(original));
  };
  promisify.custom = custom;

  const callbackify = (original) => {
    if (typeof original !== "function") throw wrongType("original", "of type function", original);
    function callbackified(...parameters) {
      const callback = parameters.pop();
      if (typeof callback !== "function")
        throw wrongType("last argument", "of type function", callback);
      Reflect.apply(original, this, parameters).then(
        (value) => queueMicrotask(() => Reflect.apply(callback, this, [null, value])),
        (reason) => {
          if (!reason) {
            const message = "Promise was rejected with falsy value";
            reason = Object.assign(coded(Error, "ERR_FALSY_VALUE_REJECTION", message), { reason });
          }
          queueMicrotask(() => Reflect.apply(callback, this, [reason]));
        },
      );
    }
    Object.defineProperty(callbackified, "name", { value: `${original.name}Callbackified` });
    return callbackified;
  };

  const inherits = (Class, Parent) => {
    if (Class === undefined || Class === null) throw wrongType("ctor", "of type function", Class);
    if (Parent === undefined || Parent === null)
      throw wrongType("superCtor", "of type function", Parent);
    if (Parent.prototype === undefined) {
      throw wrongType("superCtor.prototype", "of type object", Parent.prototype);
    }
    Object.defineProperty(Class, "super_", { value: Parent, writable: true, configurable: true });
    Object.setPrototypeOf(Class.prototype, Parent.prototype);
  };

  const warned = new Set();
  const deprecate = (original, message, code = undefined) => {
    let told = false;
    function deprecated(...parameters) {
      if (!told && !(code && warned.has(code))) console.warn(`DeprecationWarning: ${message}`);
      told = true;
      if (code) warned.add(code);
      return new.target
        ? Reflect.construct(original, parameters, new.target)
        : Reflect.apply(original, this, parameters);
    }
    Object.setPrototypeOf(deprecated, original);
    if (original.prototype) deprecated.prototype = original.prototype;
    return deprecated;
  };

  const util = {
    promisify,
    callbackify,
    inherits,
    deprecate,
    inspect,
    format,
    formatWithOptions,
    types,
    isDeepStrictEqual: strictly,
    stripVTControlCharacters(text) {
      if (typeof text !== "string") throw wrongType("str", "of type string", text);
      return text.replace(/\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b\][^\x07]*\x07/g, "");
    },
    toUSVString: (text) => `${text}`.toWellFormed(),
    debuglog: () => Object.assign(() => {}, { enabled: false }),
    TextEncoder,
    TextDecoder,
    isArray: Array.isArray,
    isBoolean: (value) => typeof value === "boolean",
    isBuffer: (value) => Buffer.isBuffer(value),
    isDate: types.isDate,
    isError: (value) => types.isNativeError(value) || value instanceof Error,
    isFunction: (value) => typeof value === "function",
    isNull: (value) => value === null,
    isNullOrUndefined: (value) => value === null || value === undefined,
    isNumber: (value) => typeof value === "number",
    isObject: (value) => value !== null && typeof value === "object",
    isPrimitive: (value) =>
      value === null || (typeof value !== "object" && typeof value !== "function"),
    isRegExp: types.isRegExp,
    isString: (value) => typeof value === "string",
    isSymbol: (value) => typeof value === "symbol",
    isUndefined: (value) => value === undefined,
  };
  util.debug = util.debuglog;
  return util;
};
