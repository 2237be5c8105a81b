// Equality in depth: strict as `isDeepStrictEqual`, loose as `assert.deepEqual`.
(types) => {
  const { is, keys, getPrototypeOf, getOwnPropertySymbols } = Object;
  const isEnumerable = (object, key) => Object.prototype.propertyIsEnumerable.call(object, key);

  const equal = (left, right, strict) => {
    // Pairs that are being compared: cycles are equal if they are so everywhere else.
    const open = new Map();

    const bytesOf = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    const sameBytes = (left, right) =>
      left.length === right.length && left.every((byte, place) => byte === right[place]);

    // In a set or a map an object's partner has to be searched.
    const withPartners = (left, right, same) => {
      const rest = [...right];
      return left.every((item) => {
        const place = rest.findIndex((other) => same(item, other));
        if (place >= 0) rest.splice(place, 1);
        return place >= 0;
      });
    };
    const isSimple = (value) => typeof value !== "object" || value === null;
    const sameSets = (left, right) => {
      if (left.size !== right.size) return false;
      const rest = [...left].filter((item) => !right.has(item));
      if (rest.length === 0) return true;
      if (strict && rest.some(isSimple)) return false;
      return withPartners(
        rest,
        [...right].filter((item) => !left.has(item)),
        compare,
      );
    };
    const sameMaps = (left, right) => {
      if (left.size !== right.size) return false;
      const rest = [];
      for (const [key, value] of left) {
        if (right.has(key)) {
          if (!compare(value, right.get(key))) return false;
        } else if (strict && isSimple(key)) {
          return false;
        } else {
          rest.push([key, value]);
        }
      }
      if (rest.length === 0) return true;
      const others = [...right].filter(([key]) => !left.has(key));
      return withPartners(rest, others, (a, b) => compare(a[0], b[0]) && compare(a[1], b[1]));
    };

    const sameMembers = (left, right) => {
      const names = keys(left);
      if (names.length !== keys(right).length) return false;
      if (!names.every((name) => isEnumerable(right, name))) return false;
      const symbols = strict
        ? getOwnPropertySymbols(left).filter((symbol) => isEnumerable(left, symbol))
        : [];
      if (strict) {
        const others = getOwnPropertySymbols(right).filter((symbol) => isEnumerable(right, symbol));
        if (symbols.length !== others.length) return false;
        if (!symbols.every((symbol) => isEnumerable(right, symbol))) return false;
      }
      return [...names, ...symbols].every((name) => compare(left[name], right[name]));
    };

    const inside = (left, right) => {
      if (strict && getPrototypeOf(left) !== getPrototypeOf(right)) return false;
      for (const name of [
        "isDate",
        "isRegExp",
        "isMap",
        "isSet",
        "isNativeError",
        "isBoxedPrimitive",
        "isArrayBufferView",
        "isAnyArrayBuffer",
        "isPromise",
      ]) {
        if (types[name](left) !== types[name](right)) return false;
      }
      if (Array.isArray(left) !== Array.isArray(right)) return false;
      if (types.isDate(left) && !is(left.getTime(), right.getTime())) return false;
      if (
        types.isRegExp(left)
        && (`${left}` !== `${right}` || left.lastIndex !== right.lastIndex)
      ) {
        return false;
      }
      if (types.isNativeError(left) || left instanceof Error) {
        if (left.message !== right.message || left.name !== right.name) return false;
        if (!compare(left.cause, right.cause) || !compare(left.errors, right.errors)) return false;
      }
      if (types.isBoxedPrimitive(left) && !is(left.valueOf(), right.valueOf())) return false;
      if (Array.isArray(left) && left.length !== right.length) return false;
      if (types.isArrayBufferView(left)) {
        if (left.constructor !== right.constructor && strict) return false;
        if (!sameBytes(bytesOf(left), bytesOf(right))) return false;
        if (types.isTypedArray(left)) return true;
      }
      if (types.isAnyArrayBuffer(left) && !sameBytes(new Uint8Array(left), new Uint8Array(right))) {
        return false;
      }
      if (types.isSet(left) && !sameSets(left, right)) return false;
      if (types.isMap(left) && !sameMaps(left, right)) return false;
      if (types.isPromise(left)) return false;
      return sameMembers(left, right);
    };

    const compare = (left, right) => {
      if (left === right) return left !== 0 || !strict || is(left, right);
      const objects = !isSimple(left) && !isSimple(right);
      if (!objects) {
        if (strict || !isSimple(left) || !isSimple(right)) return is(left, right);
        return left == right || (left !== left && right !== right);
      }
      if (open.get(left) === right) return true;
      const before = open.get(left);
      open.set(left, right);
      const same = inside(left, right);
      open.set(left, before);
      return same;
    };
    return compare(left, right);
  };

  return {
    strictly: (left, right) => equal(left, right, true),
    loosely: (left, right) => equal(left, right, false),
  };
};
