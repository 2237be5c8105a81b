// Node's Buffer. The class behind it is a Uint8Array; `native` does what loops over bytes.
((native, errors, defineNumbers) => {
  const encodings = { __proto__: null, ...native.encodings };
  const { coded, wrongType, outOfRange } = errors;
  const { isView } = ArrayBuffer;
  const UTF8 = encodings.utf8;
  const HEX = encodings.hex;
  const UTF16 = encodings.utf16le;
  // Node's own limit on 64-bit machines; the realm's memory ends long before.
  const LONGEST = 2 ** 32;

  class FastBuffer extends Uint8Array {}

  function Buffer(value, encodingOrOffset, length) {
    if (typeof value !== "number") return Buffer.from(value, encodingOrOffset, length);
    if (typeof encodingOrOffset === "string") throw wrongType("string", "of type string", value);
    return Buffer.alloc(value);
  }
  Object.setPrototypeOf(Buffer, Uint8Array);
  Object.defineProperty(Buffer, "prototype", { value: FastBuffer.prototype, writable: false });
  Object.defineProperty(Buffer, Symbol.species, { configurable: true, get: () => FastBuffer });

  const lookUp = (name) => encodings[name] ?? encodings[`${name}`.toLowerCase()];
  const encodingOf = (name) => {
    if (name === undefined) return UTF8;
    const encoding = lookUp(name);
    if (encoding !== undefined) return encoding;
    throw coded(TypeError, "ERR_UNKNOWN_ENCODING", `Unknown encoding: ${name}`);
  };

  const isBytes = (value) => value instanceof Uint8Array;
  const isBuffer = (value) => value instanceof Buffer;
  const isArrayBuffer = (value) => value instanceof ArrayBuffer;
  const needBytes = (name, value) => {
    if (!isBytes(value)) throw wrongType(name, "an instance of Buffer or Uint8Array", value);
  };
  const needSize = (size) => {
    if (typeof size !== "number") throw wrongType("size", "of type number", size);
    if (!(size >= 0 && size <= LONGEST)) {
      throw outOfRange("size", `>= 0 && <= ${LONGEST}`, size);
    }
  };

  // An index as Uint8Array.prototype.slice takes it.
  const clamp = (index, length, otherwise) => {
    if (index === undefined) return otherwise;
    index = Math.trunc(index) || 0;
    return index < 0 ? Math.max(index + length, 0) : Math.min(index, length);
  };
  // An integer from 0 to `high`.
  const within = (name, value, high, otherwise) => {
    if (value === undefined) return otherwise;
    if (typeof value !== "number") throw wrongType(name, "of type number", value);
    if (!Number.isInteger(value)) throw outOfRange(name, "an integer", value);
    if (value < 0 || value > high) throw outOfRange(name, `>= 0 && <= ${high}`, value);
    return value;
  };

  const fromString = (text, name) => {
    const encoding = typeof name === "string" && name !== "" ? encodingOf(name) : UTF8;
    return new FastBuffer(native.encode(text, encoding));
  };

  const fromArrayLike = (list) => {
    const length = Math.max(0, Math.trunc(list.length) || 0);
    const bytes = new FastBuffer(length);
    if (isView(list)) bytes.set(list);
    else for (let i = 0; i < length; i++) bytes[i] = list[i];
    return bytes;
  };

  const fromArrayBuffer = (buffer, offset, length) => {
    offset = +offset || 0;
    const most = buffer.byteLength - offset;
    const outside = (name) =>
      coded(RangeError, "ERR_BUFFER_OUT_OF_BOUNDS", `"${name}" is outside of buffer bounds`);
    if (most < 0) throw outside("offset");
    if (length !== undefined) length = +length > 0 ? +length : 0;
    if (length > most) throw outside("length");
    return new FastBuffer(buffer, offset, length);
  };

  const fromObject = (value) => {
    if (value.length !== undefined || isArrayBuffer(value.buffer)) {
      return typeof value.length === "number" ? fromArrayLike(value) : new FastBuffer();
    }
    if (value.type === "Buffer" && Array.isArray(value.data)) return fromArrayLike(value.data);
  };

  const from = (value, encodingOrOffset, length) => {
    if (typeof value === "string") return fromString(value, encodingOrOffset);
    if (typeof value === "object" && value !== null) {
      if (isArrayBuffer(value)) return fromArrayBuffer(value, encodingOrOffset, length);
      const primitive = value.valueOf?.();
      if (
        primitive !== undefined && primitive !== null && primitive !== value &&
        (typeof primitive === "string" || typeof primitive === "object")
      ) {
        return from(primitive, encodingOrOffset, length);
      }
      const bytes = fromObject(value);
      if (bytes) return bytes;
      const text = value[Symbol.toPrimitive]?.("string");
      if (typeof text === "string") return fromString(text, encodingOrOffset);
    }
    throw wrongType(
      "first argument",
      "of type string or an instance of Buffer, ArrayBuffer, or Array or an Array-like Object",
      value,
    );
  };

  const allocate = (size) => {
    needSize(size);
    return new FastBuffer(Math.trunc(size));
  };

  const statics = {
    from,
    of: (...items) => fromArrayLike(items),
    alloc(size, fill, encoding) {
      const bytes = allocate(size);
      return fill === undefined || fill === 0 || size < 1 ? bytes : bytes.fill(fill, encoding);
    },
    // Memory that was used before is never shown to a plugin.
    allocUnsafe: allocate,
    allocUnsafeSlow: allocate,
    isBuffer,
    isEncoding: (name) => typeof name === "string" && name !== "" && lookUp(name) !== undefined,
    byteLength(value, encoding) {
      if (isView(value) || isArrayBuffer(value)) return value.byteLength;
      if (typeof value !== "string") {
        const expected = "of type string or an instance of Buffer or ArrayBuffer";
        throw wrongType("string", expected, value);
      }
      switch (lookUp(encoding)) {
        case HEX:
          return value.length >>> 1;
        case UTF16:
          return value.length * 2;
        case encodings.latin1:
        case encodings.ascii:
          return value.length;
        case encodings.base64:
        case encodings.base64url: {
          const padding = value.endsWith("==") ? 2 : value.endsWith("=") ? 1 : 0;
          return Math.floor(((value.length - padding) * 3) / 4);
        }
        default:
          return native.utf8Length(value);
      }
    },
    compare(left, right) {
      needBytes("buf1", left);
      needBytes("buf2", right);
      return native.compare(left, right);
    },
    concat(list, length) {
      if (!Array.isArray(list)) throw wrongType("list", "an instance of Array", list);
      if (list.length === 0) return new FastBuffer();
      let sum = 0;
      for (let i = 0; i < list.length; i++) {
        needBytes(`list[${i}]`, list[i]);
        sum += list[i].length;
      }
      const joined = allocate(within("length", length, LONGEST, sum));
      let at = 0;
      for (const part of list) {
        const room = joined.length - at;
        joined.set(part.length > room ? part.subarray(0, room) : part, at);
        at += Math.min(part.length, room);
      }
      return joined;
    },
    copyBytesFrom(view, offset, length) {
      if (!isView(view)) throw wrongType("view", "an instance of TypedArray", view);
      const first = within("offset", offset, Infinity, 0);
      const count = within("length", length, Infinity, view.length);
      const part = view.subarray(first, first + count);
      return from(part.buffer.slice(part.byteOffset, part.byteOffset + part.byteLength));
    },
  };

  // Where a search begins, as String.prototype.indexOf would have it.
  const find = (self, value, at, encoding, backwards) => {
    if (typeof at === "string") [at, encoding] = [undefined, at];
    at = +at;
    if (Number.isNaN(at)) at = backwards ? self.length : 0;
    at = Math.trunc(at);
    if (at < 0) at += self.length;
    if (typeof value === "number") value = FastBuffer.of(value);
    const unit = typeof value === "string" && encodingOf(encoding) === UTF16 ? 2 : 1;
    if (typeof value === "string") value = fromString(value, encoding);
    if (!isBytes(value)) {
      const expected = "one of type number or string or an instance of Buffer or Uint8Array";
      throw wrongType("value", expected, value);
    }
    if (at < 0) {
      if (backwards) return -1;
      at = 0;
    }
    if (value.length === 0) return Math.min(at, self.length);
    if (at >= self.length && !backwards) return -1;
    // Characters of two bytes are found at even places only.
    for (;;) {
      const place = native.find(self, value, Math.min(at, self.length), backwards);
      if (place < 0 || place % unit === 0) return place;
      at = place + (backwards ? -1 : 1);
    }
  };

  const swapped = (size) =>
    function () {
      if (this.length % size !== 0) {
        const message = `Buffer size must be a multiple of ${size * 8}-bits`;
        throw coded(RangeError, "ERR_INVALID_BUFFER_SIZE", message);
      }
      native.swap(this, size);
      return this;
    };

  const methods = {
    toString(encoding, start, end) {
      if (arguments.length === 0) return native.decode(this, UTF8, 0, this.length);
      const { length } = this;
      start = start > 0 ? Math.min(Math.trunc(start), length) : 0;
      end = end === undefined || end > length ? length : Math.trunc(end) || 0;
      return end <= start ? "" : native.decode(this, encodingOf(encoding), start, end);
    },
    toJSON() {
      return { type: "Buffer", data: Array.from(this) };
    },
    inspect() {
      // Node shows that many bytes.
      const shown = this.toString("hex", 0, 50).replace(/(..)(?=.)/g, "$1 ");
      const more = this.length - 50;
      return `<Buffer ${shown}${more > 0 ? ` ... ${more} more byte${more > 1 ? "s" : ""}` : ""}>`;
    },
    equals(other) {
      needBytes("otherBuffer", other);
      return native.compare(this, other) === 0;
    },
    compare(target, targetStart, targetEnd, start, end) {
      needBytes("target", target);
      targetStart = within("targetStart", targetStart, LONGEST, 0);
      targetEnd = within("targetEnd", targetEnd, target.length, target.length);
      start = within("sourceStart", start, LONGEST, 0);
      end = within("sourceEnd", end, this.length, this.length);
      if (start >= end) return targetStart >= targetEnd ? 0 : -1;
      if (targetStart >= targetEnd) return 1;
      return native.compare(this.subarray(start, end), target.subarray(targetStart, targetEnd));
    },
    indexOf(value, at, encoding) {
      return find(this, value, at, encoding, false);
    },
    lastIndexOf(value, at, encoding) {
      return find(this, value, at, encoding, true);
    },
    includes(value, at, encoding) {
      return find(this, value, at, encoding, false) !== -1;
    },
    subarray(start, end) {
      const { length } = this;
      const first = clamp(start, length, 0);
      const last = clamp(end, length, length);
      return new FastBuffer(this.buffer, this.byteOffset + first, Math.max(last - first, 0));
    },
    // Unlike Uint8Array's, it shares the memory.
    slice(start, end) {
      return this.subarray(start, end);
    },
    copy(target, targetStart, start, end) {
      needBytes("target", target);
      const index = (name, value, range, high) => {
        value = Math.trunc(value) || 0;
        if (value < 0 || value > high) throw outOfRange(name, range, value);
        return value;
      };
      const { length } = this;
      targetStart = index("targetStart", targetStart, ">= 0", Infinity);
      start = index("sourceStart", start, `>= 0 && <= ${length}`, length);
      end = end === undefined ? length : index("sourceEnd", end, ">= 0", Infinity);
      end = Math.min(end, length);
      if (targetStart >= target.length || start >= end) return 0;
      end = Math.min(end, start + target.length - targetStart);
      target.set(this.subarray(start, end), targetStart);
      return end - start;
    },
    fill(value, start, end, encoding) {
      if (typeof start === "string") [start, end, encoding] = [undefined, undefined, start];
      else if (typeof end === "string") [end, encoding] = [undefined, end];
      if (encoding !== undefined && typeof encoding !== "string") {
        throw wrongType("encoding", "of type string", encoding);
      }
      start = within("offset", start, LONGEST, 0);
      end = within("end", end, this.length, this.length);
      if (start >= end) return this;
      let pattern = value;
      if (typeof value === "string") {
        pattern = fromString(value, encoding);
        if (pattern.length === 0 && value !== "") {
          const message = `The argument 'value' is invalid. Received '${value}'`;
          throw coded(TypeError, "ERR_INVALID_ARG_VALUE", message);
        }
      } else if (isView(value)) {
        pattern = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
        if (pattern.length === 0) {
          const message = `The argument 'value' is invalid. Received ${value.inspect?.() ?? value}`;
          throw coded(TypeError, "ERR_INVALID_ARG_VALUE", message);
        }
      }
      if (typeof pattern !== "object" || pattern === null || pattern.length < 2) {
        const byte = typeof pattern === "object" && pattern !== null ? pattern[0] : pattern;
        Uint8Array.prototype.fill.call(this, byte & 255, start, end);
        return this;
      }
      let filled = Math.min(pattern.length, end - start);
      this.set(pattern.subarray(0, filled), start);
      while (start + filled < end) {
        const more = Math.min(filled, end - start - filled);
        this.copyWithin(start + filled, start, start + more);
        filled += more;
      }
      return this;
    },
    write(text, offset, length, encoding) {
      if (typeof offset === "string") [offset, length, encoding] = [undefined, undefined, offset];
      else if (typeof length === "string") [length, encoding] = [undefined, length];
      if (typeof text !== "string") {
        throw coded(TypeError, "ERR_INVALID_ARG_TYPE", "argument must be a string");
      }
      offset = within("offset", offset, this.length, 0);
      length = within("length", length, this.length, this.length - offset);
      return native.encodeInto(this, text, encodingOf(encoding || undefined), offset, length);
    },
    swap16: swapped(2),
    swap32: swapped(4),
    swap64: swapped(8),
  };
  methods[Symbol.for("nodejs.util.inspect.custom")] = methods.inspect;
  methods.toLocaleString = methods.toString;
  for (const name of ["ascii", "base64", "base64url", "latin1", "hex", "ucs2", "utf8"]) {
    methods[`${name}Slice`] = function (start, end) {
      return this.toString(name, start, end);
    };
    methods[`${name}Write`] = function (text, offset, length) {
      return this.write(text, offset, length, name);
    };
  }

  const hide = (object, members) => {
    for (const name of Reflect.ownKeys(members)) {
      const value = members[name];
      Object.defineProperty(object, name, { value, writable: true, configurable: true });
    }
  };
  hide(Buffer, statics);
  hide(Buffer.prototype, { ...methods, constructor: Buffer });
  Object.defineProperties(Buffer.prototype, {
    parent: { configurable: true, get() { return isBuffer(this) ? this.buffer : undefined; } },
    offset: { configurable: true, get() { return isBuffer(this) ? this.byteOffset : undefined; } },
  });
  defineNumbers(Buffer.prototype, errors);
  return Buffer;
});
