// `util.types`: what a value is inside, whatever its prototype says.
(native) => {
  // A method or getter that throws on anything but its own kind.
  const brand = (probe) => (value) => {
    if (typeof value !== "object" || value === null) return false;
    try {
      probe(value);
      return true;
    } catch {
      return false;
    }
  };
  const bound = (method, ...parameters) => {
    const { apply } = Reflect;
    return (value) => apply(method, value, parameters);
  };
  const getter = (object, name) => bound(Object.getOwnPropertyDescriptor(object, name).get);

  const TypedArray = Object.getPrototypeOf(Uint8Array);
  const nameOf = getter(TypedArray.prototype, Symbol.toStringTag);
  const isObject = (value) => typeof value === "object" && value !== null;
  const tagOf = (value) => (isObject(value) ? Object.prototype.toString.call(value) : "");
  const ITERATORS = ["Map", "Set"].map((name) => [
    name,
    Object.getPrototypeOf(new globalThis[name]().keys()),
  ]);
  const isIterator = (prototype) => (value) =>
    isObject(value) && Object.getPrototypeOf(value) === prototype;

  const types = {
    isProxy: (value) => native.isProxy(value),
    isAsyncFunction: (value) => native.isAsyncFunction(value),
    isGeneratorFunction: (value) =>
      typeof value === "function"
      && ["GeneratorFunction", "AsyncGeneratorFunction"].includes(value[Symbol.toStringTag]),
    isGeneratorObject: (value) =>
      ["[object Generator]", "[object AsyncGenerator]"].includes(tagOf(value)),
    isPromise: (value) => native.promise(value) !== undefined,
    isMap: brand(getter(Map.prototype, "size")),
    isSet: brand(getter(Set.prototype, "size")),
    isWeakMap: brand(bound(WeakMap.prototype.has, {})),
    isWeakSet: brand(bound(WeakSet.prototype.has, {})),
    isDate: brand(bound(Date.prototype.getTime)),
    isRegExp: (value) =>
      value !== RegExp.prototype
      && brand(bound(RegExp.prototype.toString))(value)
      && tagOf(value) === "[object RegExp]",
    isNativeError: (value) => tagOf(value) === "[object Error]" && value instanceof Error,
    isArrayBuffer: brand(getter(ArrayBuffer.prototype, "byteLength")),
    isSharedArrayBuffer: () => false,
    isDataView: brand(getter(DataView.prototype, "byteLength")),
    isArrayBufferView: ArrayBuffer.isView,
    isTypedArray: (value) => nameOf(value) !== undefined,
    isNumberObject: brand(bound(Number.prototype.valueOf)),
    isStringObject: brand(bound(String.prototype.valueOf)),
    isBooleanObject: brand(bound(Boolean.prototype.valueOf)),
    isBigIntObject: brand(bound(BigInt.prototype.valueOf)),
    isSymbolObject: brand(bound(Symbol.prototype.valueOf)),
    isMapIterator: isIterator(ITERATORS[0][1]),
    isSetIterator: isIterator(ITERATORS[1][1]),
    isArgumentsObject: (value) => tagOf(value) === "[object Arguments]",
    isModuleNamespaceObject: () => false,
    isExternal: () => false,
    isKeyObject: () => false,
    isCryptoKey: () => false,
  };
  types.isAnyArrayBuffer = types.isArrayBuffer;
  types.isBoxedPrimitive = (value) =>
    types.isNumberObject(value)
    || types.isStringObject(value)
    || types.isBooleanObject(value)
    || types.isBigIntObject(value)
    || types.isSymbolObject(value);
  for (const View of [
    Int8Array,
    Uint8Array,
    Uint8ClampedArray,
    Int16Array,
    Uint16Array,
    Int32Array,
    Uint32Array,
    Float32Array,
    Float64Array,
    BigInt64Array,
    BigUint64Array,
  ]) {
    const { name } = View;
    types[`is${name}`] = (value) => nameOf(value) === name;
  }
  return types;
};
