// `string_decoder`: text out of pieces that may end in the midst of a character.
(require, { coded, wrongType }) => {
  const NAMES = {
    utf8: "utf8",
    "utf-8": "utf8",
    ucs2: "utf16le",
    "ucs-2": "utf16le",
    utf16le: "utf16le",
    "utf-16le": "utf16le",
    latin1: "latin1",
    binary: "latin1",
    base64: "base64",
    base64url: "base64url",
    hex: "hex",
    ascii: "ascii",
  };

  // How many bytes at the end begin a character that more bytes could complete.
  const unfinished = (bytes, encoding) => {
    const { length } = bytes;
    if (encoding === "base64" || encoding === "base64url") return length % 3;
    if (encoding === "utf16le") {
      const odd = length % 2;
      const high = length - odd >= 2 ? bytes[length - odd - 1] : 0;
      return high >= 0xd8 && high <= 0xdb ? odd + 2 : odd;
    }
    if (encoding !== "utf8") return 0;
    for (let back = 1; back <= Math.min(3, length); back++) {
      const byte = bytes[length - back];
      if (byte < 0x80) return 0;
      if (byte < 0xc0) continue;
      const size = byte >= 0xf5 || byte < 0xc2 ? 0 : byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      if (size <= back) return 0;
      return back;
    }
    return 0;
  };

  function StringDecoder(encoding) {
    if (!(this instanceof StringDecoder)) return new StringDecoder(encoding);
    const name = NAMES[`${encoding ?? "utf8"}`.toLowerCase()];
    if (name === undefined) {
      throw coded(TypeError, "ERR_UNKNOWN_ENCODING", `Unknown encoding: ${encoding}`);
    }
    this.encoding = name;
    this._rest = Buffer.alloc(0);
  }

  Object.assign(StringDecoder.prototype, {
    write(piece) {
      if (typeof piece === "string") return piece;
      if (!ArrayBuffer.isView(piece)) {
        const expected = "an instance of Buffer, TypedArray, or DataView";
        throw wrongType("buf", expected, piece);
      }
      let bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
      if (this._rest.length > 0) bytes = Buffer.concat([this._rest, bytes]);
      const waiting = unfinished(bytes, this.encoding);
      this._rest = Buffer.from(bytes.subarray(bytes.length - waiting));
      return bytes.toString(this.encoding, 0, bytes.length - waiting);
    },
    end(piece) {
      const text = piece === undefined ? "" : this.write(piece);
      const rest = this._rest.toString(this.encoding);
      this._rest = Buffer.alloc(0);
      return text + rest;
    },
    text(piece, offset) {
      this._rest = Buffer.alloc(0);
      return this.write(piece.subarray(offset));
    },
  });
  for (const [name, of] of [
    [
      "lastNeed",
      (rest) =>
        rest.length === 0 ? 0 : (rest[0] >= 0xf0 ? 4 : rest[0] >= 0xe0 ? 3 : 2) - rest.length,
    ],
    [
      "lastTotal",
      (rest) => (rest.length === 0 ? 0 : rest[0] >= 0xf0 ? 4 : rest[0] >= 0xe0 ? 3 : 2),
    ],
  ]) {
    Object.defineProperty(StringDecoder.prototype, name, {
      configurable: true,
      get() {
        return of(this._rest);
      },
    });
  }
  return { StringDecoder };
};
