// What Request and Response have in common: bytes that can be read once.
(parts) => {
  const { native, streamOf, writeForm, readForm, blobOf, bytesOfBlob, Blob, FormData } = parts;
  const kindOf = (value) => Object.prototype.toString.call(value);

  // The bytes of whatever was given as a body, and the content type that goes with it.
  const extract = (body) => {
    if (body === undefined || body === null) return { bytes: null, type: null };
    if (kindOf(body) === "[object ArrayBuffer]") {
      return { bytes: new Uint8Array(body).slice(), type: null };
    }
    if (ArrayBuffer.isView(body)) {
      const bytes = new Uint8Array(body.buffer, body.byteOffset, body.byteLength).slice();
      return { bytes, type: null };
    }
    if (body instanceof Blob) return { bytes: bytesOfBlob(body), type: body.type || null };
    if (body instanceof FormData) return writeForm(body);
    const isForm = kindOf(body) === "[object URLSearchParams]";
    const type = isForm ? "application/x-www-form-urlencoded" : "text/plain";
    return { bytes: new Uint8Array(native.encode(`${body}`)), type: `${type};charset=UTF-8` };
  };

  const toText = (bytes) => {
    const [text] = native.decode(bytes, false, false);
    return text.startsWith("\uFEFF") ? text.slice(1) : text;
  };

  let bytesOf, useUp;

  class Body {
    #bytes;
    #used = false;
    #stream;

    static {
      bytesOf = (body) => body.#bytes;
      useUp = (body) => body.#take();
    }

    constructor(bytes) {
      this.#bytes = bytes;
    }

    get bodyUsed() {
      return this.#used;
    }

    get body() {
      if (this.#bytes === null) return null;
      this.#stream ??= streamOf(() => {
        this.#used = true;
        return this.#bytes.slice();
      });
      return this.#stream;
    }

    async blob() {
      return blobOf(this.#take().slice(), this.headers.get("content-type") ?? "");
    }

    async formData() {
      return readForm(this.#take(), this.headers.get("content-type") ?? "");
    }

    async arrayBuffer() {
      return this.#take().slice().buffer;
    }

    async bytes() {
      return this.#take().slice();
    }

    // node-fetch's.
    async buffer() {
      return Buffer.from(this.#take());
    }

    async json() {
      return JSON.parse(toText(this.#take()));
    }

    async text() {
      return toText(this.#take());
    }

    #take() {
      if (this.#used || this.#stream?.locked) throw new TypeError("the body has been read already");
      this.#used = this.#bytes !== null;
      return this.#bytes ?? new Uint8Array();
    }
  }

  parts.expose(Body);
  Object.assign(parts, { extract, bytesOf, useUp });
};
