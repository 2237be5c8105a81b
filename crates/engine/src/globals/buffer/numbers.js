// Buffer's methods that read and write numbers, defined on `prototype`. A number is either put
// together from its bytes, or goes through a scratch array where the hardware knows its layout.
((prototype, { coded, wrongType, outOfRange }) => {
  const method = (name, value) =>
    Object.defineProperty(prototype, name, { value, writable: true, configurable: true });

  const checkOffset = (bytes, offset, size) => {
    if (typeof offset !== "number") throw wrongType("offset", "of type number", offset);
    const last = bytes.length - size;
    if (offset >= 0 && offset <= last && Number.isInteger(offset)) return;
    if (Math.floor(offset) !== offset) throw outOfRange("offset", "an integer", offset);
    if (last < 0) {
      throw coded(
        RangeError,
        "ERR_BUFFER_OUT_OF_BOUNDS",
        "Attempt to access memory outside buffer bounds",
      );
    }
    throw outOfRange("offset", `>= 0 and <= ${last}`, offset);
  };

  const checkSize = (size) => {
    if (typeof size !== "number") throw wrongType("byteLength", "of type number", size);
    if (!Number.isInteger(size)) throw outOfRange("byteLength", "an integer", size);
    if (size < 1 || size > 6) throw outOfRange("byteLength", ">= 1 and <= 6", size);
  };

  const checkValue = (value, size, low, high) => {
    if (!(value > high || value < low)) return;
    if (size <= 4) throw outOfRange("value", `>= ${low} and <= ${high}`, value);
    const range =
      low === 0
        ? `>= 0 and < 2 ** ${size * 8}`
        : `>= -(2 ** ${size * 8 - 1}) and < 2 ** ${size * 8 - 1}`;
    throw outOfRange("value", range, value);
  };

  const read = (bytes, offset, size, signed, little) => {
    let number = 0;
    if (little) for (let i = size; i-- > 0; ) number = number * 256 + bytes[offset + i];
    else for (let i = 0; i < size; i++) number = number * 256 + bytes[offset + i];
    return signed && number >= 2 ** (size * 8 - 1) ? number - 2 ** (size * 8) : number;
  };

  const write = (bytes, value, offset, size, signed, little) => {
    const low = signed ? -(2 ** (size * 8 - 1)) : 0;
    checkValue(value, size, low, low + 2 ** (size * 8) - 1);
    checkOffset(bytes, offset, size);
    let rest = Math.trunc(value) || 0;
    if (rest < 0) rest += 2 ** (size * 8);
    for (let i = 0; i < size; i++) {
      bytes[little ? offset + i : offset + size - 1 - i] = rest % 256;
      rest = Math.floor(rest / 256);
    }
    return offset + size;
  };

  const integers = (kind, signed, little, end) => {
    method(`read${kind}${end}`, function (offset, byteLength) {
      if (offset === undefined) throw wrongType("offset", "of type number", offset);
      checkSize(byteLength);
      checkOffset(this, offset, byteLength);
      return read(this, offset, byteLength, signed, little);
    });
    method(`write${kind}${end}`, function (value, offset, byteLength) {
      checkSize(byteLength);
      return write(this, +value, offset, byteLength, signed, little);
    });
    for (const size of [1, 2, 4]) {
      if (size === 1 && !little) continue;
      const name = size === 1 ? `${kind}8` : `${kind}${size * 8}${end}`;
      method(`read${name}`, function (offset = 0) {
        checkOffset(this, offset, size);
        return read(this, offset, size, signed, little);
      });
      method(`write${name}`, function (value, offset = 0) {
        return write(this, +value, offset, size, signed, little);
      });
    }
  };

  // `array` holds one number of the kind, in the byte order of the machine.
  const NATIVE = new Uint8Array(new Uint16Array([1]).buffer)[0] ? "LE" : "BE";
  const scratch = (name, array, end, check) => {
    const bytes = new Uint8Array(array.buffer);
    const size = bytes.length;
    const place = (i) => (end === NATIVE ? i : size - 1 - i);
    method(`read${name}${end}`, function (offset = 0) {
      checkOffset(this, offset, size);
      for (let i = 0; i < size; i++) bytes[place(i)] = this[offset + i];
      return array[0];
    });
    method(`write${name}${end}`, function (value, offset = 0) {
      check?.(value);
      array[0] = value;
      checkOffset(this, offset, size);
      for (let i = 0; i < size; i++) this[offset + i] = bytes[place(i)];
      return offset + size;
    });
  };

  const bigRange = (low, high, range) => (value) => {
    if (value < low || value > high) throw outOfRange("value", range, value);
  };
  const signed64 = bigRange(-(2n ** 63n), 2n ** 63n - 1n, ">= -(2n ** 63n) and < 2n ** 63n");
  const unsigned64 = bigRange(0n, 2n ** 64n - 1n, ">= 0n and < 2n ** 64n");

  for (const end of ["LE", "BE"]) {
    const little = end === "LE";
    for (const kind of ["UInt", "Uint"]) integers(kind, false, little, end);
    integers("Int", true, little, end);
    scratch("Float", new Float32Array(1), end);
    scratch("Double", new Float64Array(1), end);
    scratch("BigInt64", new BigInt64Array(1), end, signed64);
    for (const kind of ["BigUInt64", "BigUint64"]) {
      scratch(kind, new BigUint64Array(1), end, unsigned64);
    }
  }
});
