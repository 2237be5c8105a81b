// What the parts of the module `crypto` share: bytes in, bytes out, callbacks.
((native, errors, Buffer) => {
  const { coded, wrongType, outOfRange } = errors;
  const { isView } = ArrayBuffer;
  const later = queueMicrotask;
  const BYTES = "of type string or an instance of ArrayBuffer, Buffer, TypedArray, or DataView";

  const viewed = (value) => {
    if (value instanceof Uint8Array) return value;
    if (isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    if (value instanceof ArrayBuffer) return new Uint8Array(value);
  };

  const common = {
    native, errors, Buffer, viewed, BYTES,
    bytesOf(name, value, encoding, expected = BYTES) {
      if (typeof value === "string") {
        return Buffer.from(value, encoding === "buffer" ? "utf8" : encoding);
      }
      const bytes = viewed(value);
      if (bytes === undefined) throw wrongType(name, expected, value);
      return bytes;
    },
    // A Buffer of what native code made; or, where there is such an encoding, text.
    shown(memory, encoding) {
      const bytes = Buffer.from(memory);
      return Buffer.isEncoding(encoding) ? bytes.toString(encoding) : bytes;
    },
    needString(name, value) {
      if (typeof value !== "string") throw wrongType(name, "of type string", value);
    },
    needFunction(name, value) {
      if (typeof value !== "function") throw wrongType(name, "of type function", value);
    },
    needInteger(name, value, low, high) {
      if (typeof value !== "number") throw wrongType(name, "of type number", value);
      if (!Number.isInteger(value)) throw outOfRange(name, "an integer", value);
      if (value < low || value > high) throw outOfRange(name, `>= ${low} && <= ${high}`, value);
    },
    needHash(name) {
      if (native.hashSize(name) > 0) return;
      throw coded(TypeError, "ERR_CRYPTO_INVALID_DIGEST", `Invalid digest: ${name}`);
    },
    // The work is done at once; its result comes in a job of its own.
    calledBack(callback, work) {
      let result;
      try {
        result = work();
      } catch (error) {
        later(() => callback(error));
        return;
      }
      later(() => callback(null, result));
    },
  };
  return common;
});
