// Random bytes and numbers, and the comparison that takes as long whatever it compares.
((common) => {
  const { native, errors, Buffer, viewed, needFunction, needInteger, calledBack } = common;
  const { coded, wrongType, outOfRange } = errors;
  const LONGEST = 2 ** 31 - 1;

  const filled = (bytes) => {
    native.fill(bytes);
    return bytes;
  };

  const needSize = (size) => {
    if (typeof size !== "number") throw wrongType("size", "of type number", size);
    if (!(size >= 0 && size <= LONGEST)) throw outOfRange("size", `>= 0 && <= ${LONGEST}`, size);
  };

  const part = (buffer, offset = 0, size = undefined) => {
    const bytes = viewed(buffer);
    if (bytes === undefined) {
      throw wrongType("buf", "an instance of ArrayBuffer or ArrayBufferView", buffer);
    }
    const width = buffer.BYTES_PER_ELEMENT ?? 1;
    offset *= width;
    needInteger("offset", offset, 0, bytes.length);
    size = size === undefined ? bytes.length - offset : size * width;
    needInteger("size", size, 0, LONGEST);
    if (size + offset > bytes.length) {
      throw outOfRange("size + offset", `<= ${bytes.length}`, size + offset);
    }
    return bytes.subarray(offset, offset + size);
  };

  // Six bytes have 2 ** 48 values; what is beyond the last multiple of the range is thrown away.
  const SPREAD = 2 ** 48 - 1;
  const drawn = (low, range) => {
    const limit = SPREAD - (SPREAD % range);
    for (;;) {
      const number = filled(Buffer.alloc(6)).readUIntBE(0, 6);
      if (number < limit) return low + (number % range);
    }
  };

  const compared = (name, value) => {
    const bytes = viewed(value);
    if (bytes !== undefined) return bytes;
    const message =
      `The "${name}" argument must be an instance of ArrayBuffer, Buffer, TypedArray, or DataView.`;
    throw coded(TypeError, "ERR_INVALID_ARG_TYPE", message);
  };

  return {
    randomBytes(size, callback) {
      needSize(size);
      const make = () => filled(Buffer.alloc(Math.trunc(size)));
      if (callback === undefined) return make();
      needFunction("callback", callback);
      calledBack(callback, make);
    },
    randomFillSync(buffer, offset, size) {
      filled(part(buffer, offset, size));
      return buffer;
    },
    randomFill(buffer, offset, size, callback) {
      if (typeof offset === "function") [offset, size, callback] = [undefined, undefined, offset];
      else if (typeof size === "function") [size, callback] = [undefined, size];
      needFunction("callback", callback);
      const bytes = part(buffer, offset, size);
      calledBack(callback, () => (filled(bytes), buffer));
    },
    randomUUID(options) {
      if (options !== undefined && (typeof options !== "object" || options === null)) {
        throw wrongType("options", "of type object", options);
      }
      const bytes = filled(Buffer.alloc(16));
      bytes[6] = (bytes[6] & 0x0f) | 0x40;
      bytes[8] = (bytes[8] & 0x3f) | 0x80;
      return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
    },
    randomInt(low, high, callback) {
      const alone = high === undefined || typeof high === "function";
      if (alone) [low, high, callback] = [0, low, high];
      if (callback !== undefined) needFunction("callback", callback);
      if (!Number.isSafeInteger(low)) throw wrongType("min", "a safe integer", low);
      if (!Number.isSafeInteger(high)) throw wrongType("max", "a safe integer", high);
      if (high <= low) {
        throw outOfRange("max", `greater than the value of "min" (${low})`, high);
      }
      const range = high - low;
      if (!(range <= SPREAD)) {
        throw outOfRange(alone ? "max" : "max - min", `<= ${SPREAD}`, range);
      }
      if (callback === undefined) return drawn(low, range);
      // Node's passes undefined here, null elsewhere.
      calledBack((error, number) => callback(error ?? undefined, number), () => drawn(low, range));
    },
    timingSafeEqual(left, right) {
      left = compared("buf1", left);
      right = compared("buf2", right);
      if (left.length !== right.length) {
        const message = "Input buffers must have the same byte length";
        throw coded(RangeError, "ERR_CRYPTO_TIMING_SAFE_EQUAL_LENGTH", message);
      }
      return native.same(left, right);
    },
  };
});
