// TextEncoder and TextDecoder; `native` reads and writes the bytes.
((native, { coded, wrongType }) => {
  const labels = {
    "utf-8": [
      "unicode-1-1-utf-8", "unicode11utf8", "unicode20utf8", "utf-8", "utf8", "x-unicode20utf8",
    ],
    "utf-16le": [
      "csunicode", "iso-10646-ucs-2", "ucs-2", "unicode", "unicodefeff", "utf-16", "utf-16le",
    ],
    "utf-16be": ["unicodefffe", "utf-16be"],
    "windows-1252": [
      "ansi_x3.4-1968", "ascii", "cp1252", "cp819", "csisolatin1", "ibm819", "iso-8859-1",
      "iso-ir-100", "iso8859-1", "iso88591", "iso_8859-1", "iso_8859-1:1987", "l1", "latin1",
      "us-ascii", "windows-1252", "x-cp1252",
    ],
  };
  const nameOf = (label) => {
    const wanted = `${label}`.replace(/^[\t\n\f\r ]+|[\t\n\f\r ]+$/g, "").toLowerCase();
    for (const name in labels) if (labels[name].includes(wanted)) return name;
    const message = `The "${label}" encoding is not supported`;
    throw coded(RangeError, "ERR_ENCODING_NOT_SUPPORTED", message);
  };

  const decoders = {
    "utf-8": native.utf8,
    "utf-16le": (bytes, fatal, stream) => native.utf16(bytes, false, fatal, stream),
    "utf-16be": (bytes, fatal, stream) => native.utf16(bytes, true, fatal, stream),
    "windows-1252": native.windows1252,
  };

  const bytesOf = (input) => {
    if (input === undefined) return new Uint8Array();
    if (input instanceof ArrayBuffer) return new Uint8Array(input);
    if (ArrayBuffer.isView(input)) {
      return new Uint8Array(input.buffer, input.byteOffset, input.byteLength);
    }
    throw wrongType("input", "an instance of ArrayBuffer or ArrayBufferView", input);
  };

  const joined = (first, second) => {
    const both = new Uint8Array(first.length + second.length);
    both.set(first);
    both.set(second, first.length);
    return both;
  };

  class TextEncoder {
    get encoding() {
      return "utf-8";
    }

    encode(text = "") {
      return new Uint8Array(native.encode(`${text}`));
    }

    encodeInto(text, target) {
      if (!(target instanceof Uint8Array)) {
        throw wrongType("dest", "an instance of Uint8Array", target);
      }
      const [read, written] = native.encodeInto(`${text}`, target);
      return { read, written };
    }
  }

  class TextDecoder {
    #encoding;
    #fatal;
    #ignoreBOM;
    #started = false;
    #waiting = new Uint8Array();

    constructor(label = "utf-8", options = undefined) {
      this.#encoding = nameOf(label);
      this.#fatal = Boolean(options?.fatal);
      this.#ignoreBOM = Boolean(options?.ignoreBOM);
    }

    get encoding() {
      return this.#encoding;
    }

    get fatal() {
      return this.#fatal;
    }

    get ignoreBOM() {
      return this.#ignoreBOM;
    }

    decode(input = undefined, options = undefined) {
      const stream = Boolean(options?.stream);
      let bytes = bytesOf(input);
      if (this.#waiting.length > 0) bytes = joined(this.#waiting, bytes);
      const decoded = decoders[this.#encoding](bytes, this.#fatal, stream);
      if (!decoded) {
        this.#started = false;
        this.#waiting = new Uint8Array();
        const message = `The encoded data was not valid for encoding ${this.#encoding}`;
        throw coded(TypeError, "ERR_ENCODING_INVALID_ENCODED_DATA", message);
      }
      let [text, waiting] = decoded;
      this.#waiting = bytes.slice(bytes.length - waiting);
      const first = !this.#started;
      this.#started = stream && (this.#started || text.length > 0);
      const marked = this.#encoding.startsWith("utf") && text.startsWith("\uFEFF");
      return first && marked && !this.#ignoreBOM ? text.slice(1) : text;
    }
  }

  for (const Class of [TextEncoder, TextDecoder]) {
    Object.defineProperty(Class.prototype, Symbol.toStringTag, {
      value: Class.name,
      configurable: true,
    });
  }
  return { TextEncoder, TextDecoder };
});
