// Blob and File: bytes with a type, and with a name.
(parts) => {
  const { native, errors, expose } = parts;
  const { wrongType } = errors;
  const PLAIN = /^[\x20-\x7e]*$/;
  let bytesOfBlob, blobOf;

  const copyOf = (part) => {
    if (part instanceof Blob) return bytesOfBlob(part);
    if (part instanceof ArrayBuffer) return new Uint8Array(part).slice();
    if (ArrayBuffer.isView(part)) {
      return new Uint8Array(part.buffer, part.byteOffset, part.byteLength).slice();
    }
    return new Uint8Array(native.encode(`${part}`));
  };
  const joined = (pieces) => {
    const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
    let at = 0;
    for (const piece of pieces) {
      all.set(piece, at);
      at += piece.length;
    }
    return all;
  };
  const typeOf = (type) => {
    const text = `${type ?? ""}`;
    return PLAIN.test(text) ? text.toLowerCase() : "";
  };
  // As Array.prototype.slice takes it.
  const clamp = (index, length, otherwise) => {
    if (index === undefined) return otherwise;
    index = Math.trunc(index) || 0;
    return index < 0 ? Math.max(index + length, 0) : Math.min(index, length);
  };

  class Blob {
    #bytes;
    #type;

    static {
      // Nobody writes to these bytes.
      bytesOfBlob = (blob) => blob.#bytes;
      blobOf = (bytes, type) => {
        const blob = new Blob([], { type });
        blob.#bytes = bytes;
        return blob;
      };
    }

    constructor(sources = [], options = undefined) {
      const isList = typeof sources === "object" && sources !== null && Symbol.iterator in sources;
      if (!isList) throw wrongType("sources", "a sequence", sources);
      this.#bytes = joined(Array.from(sources, copyOf));
      this.#type = typeOf(options?.type);
    }

    get size() {
      return this.#bytes.length;
    }

    get type() {
      return this.#type;
    }

    slice(start = undefined, end = undefined, type = "") {
      const { length } = this.#bytes;
      const first = clamp(start, length, 0);
      const last = clamp(end, length, length);
      return blobOf(this.#bytes.slice(first, Math.max(first, last)), typeOf(type));
    }

    async arrayBuffer() {
      return this.#bytes.slice().buffer;
    }

    async bytes() {
      return this.#bytes.slice();
    }

    async text() {
      return native.decode(this.#bytes, false, false)[0];
    }

    stream() {
      return parts.streamOf(() => this.#bytes.slice());
    }
  }

  class File extends Blob {
    #name;
    #lastModified;

    constructor(sources, name, options = undefined) {
      if (arguments.length < 2) throw errors.missing("fileBits", "fileName");
      super(sources, options);
      this.#name = `${name}`;
      this.#lastModified = Math.trunc(options?.lastModified ?? Date.now()) || 0;
    }

    get name() {
      return this.#name;
    }

    get lastModified() {
      return this.#lastModified;
    }
  }

  expose(Blob);
  expose(File);
  Object.assign(parts, { bytesOfBlob, blobOf, joined });
};
