// createCipheriv and createDecipheriv.
((common, keyBytes) => {
  const { native, errors, Buffer, BYTES, bytesOf, shown, needString } = common;
  const { coded, wrongType } = errors;
  const DATA = "of type string or an instance of Buffer, TypedArray, or DataView";
  // What GCM may be shortened to.
  const TAG_LENGTHS = [4, 8, 12, 13, 14, 15, 16];

  const invalidState = (name) =>
    coded(Error, "ERR_CRYPTO_INVALID_STATE", `Invalid state for operation ${name}`);

  // Text of bytes that come in parts, which may end in the middle of a character.
  const decoderOf = (encoding) => {
    const name = encoding.toLowerCase();
    if (name === "utf8" || name === "utf-8") {
      const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
      return (bytes, last) => decoder.decode(bytes, { stream: !last });
    }
    const group = name.startsWith("base64") ? 3 : /^(utf-?16le|ucs-?2)$/.test(name) ? 2 : 1;
    let waiting = Buffer.alloc(0);
    return (bytes, last) => {
      const all = Buffer.concat([waiting, bytes]);
      const whole = last ? all.length : all.length - (all.length % group);
      waiting = all.subarray(whole);
      return all.toString(encoding, 0, whole);
    };
  };

  class Stage {
    #cipher;
    #encrypts;
    #authenticates;
    #tagLength;
    #tag;
    #finished = false;
    #decoder;
    #encoding;

    constructor(encrypts, algorithm, key, iv, options) {
      needString("cipher", algorithm);
      const secret = keyBytes("key", key);
      const vector = iv === null ? new Uint8Array(0) : bytesOf("iv", iv);
      const shape = native.cipherShape(algorithm);
      if (!shape) throw coded(Error, "ERR_CRYPTO_UNKNOWN_CIPHER", "Unknown cipher");
      if (secret.length !== shape.keyLength) {
        throw coded(RangeError, "ERR_CRYPTO_INVALID_KEYLEN", "Invalid key length");
      }
      this.#authenticates = shape.mode === "gcm";
      if (this.#authenticates ? vector.length === 0 : vector.length !== shape.ivLength) {
        throw coded(TypeError, "ERR_CRYPTO_INVALID_IV", "Invalid initialization vector");
      }
      const length = options?.authTagLength;
      if (this.#authenticates && length !== undefined && !TAG_LENGTHS.includes(length)) {
        const message = `Invalid authentication tag length: ${length}`;
        throw coded(TypeError, "ERR_CRYPTO_INVALID_AUTH_TAG", message);
      }
      this.#tagLength = length;
      this.#encrypts = encrypts;
      this.#cipher = native.cipher(algorithm, secret, vector, encrypts);
    }

    #shown(memory, encoding, last) {
      if (!encoding || encoding === "buffer") return shown(memory);
      if (this.#decoder === undefined) {
        this.#decoder = decoderOf(encoding);
        this.#encoding = encoding;
      } else if (this.#encoding !== encoding) {
        const message = "Cannot change encoding";
        throw coded(Error, "ERR_INTERNAL_ASSERTION", message);
      }
      return this.#decoder(Buffer.from(memory), last);
    }

    update(data, inputEncoding, outputEncoding) {
      const bytes = bytesOf("data", data, inputEncoding, DATA);
      if (this.#finished) throw new Error("Trying to add data in unsupported state");
      return this.#shown(native.cipherUpdate(this.#cipher, bytes), outputEncoding, false);
    }

    final(encoding) {
      if (this.#finished) throw coded(Error, "ERR_CRYPTO_INVALID_STATE", "Invalid state");
      this.#finished = true;
      const memory = native.cipherFinish(this.#cipher);
      if (this.#authenticates && this.#encrypts) {
        this.#tag = shown(native.tag(this.#cipher, this.#tagLength ?? 16));
      }
      return this.#shown(memory, encoding, true);
    }

    setAutoPadding(pads = true) {
      if (this.#finished) throw invalidState("setAutoPadding");
      native.setPadding(this.#cipher, Boolean(pads));
      return this;
    }

    setAAD(data, options) {
      const bytes = bytesOf("buffer", data, options?.encoding);
      if (this.#finished || !this.#authenticates) throw invalidState("setAAD");
      native.authenticate(this.#cipher, bytes);
      return this;
    }

    getAuthTag() {
      if (this.#tag === undefined) throw invalidState("getAuthTag");
      return this.#tag;
    }

    setAuthTag(tag, encoding) {
      const bytes = bytesOf("buffer", tag, encoding);
      const wanted = this.#tagLength;
      if (!this.#authenticates || this.#finished || this.#tag !== undefined) {
        throw invalidState("setAuthTag");
      }
      if (wanted === undefined ? !TAG_LENGTHS.includes(bytes.length) : wanted !== bytes.length) {
        const message = `Invalid authentication tag length: ${bytes.length}`;
        throw coded(TypeError, "ERR_CRYPTO_INVALID_AUTH_TAG", message);
      }
      native.expectTag(this.#cipher, bytes);
      this.#tag = bytes;
      return this;
    }
  }

  class Cipheriv extends Stage {
    constructor(algorithm, key, iv, options) {
      super(true, algorithm, key, iv, options);
    }
  }
  class Decipheriv extends Stage {
    constructor(algorithm, key, iv, options) {
      super(false, algorithm, key, iv, options);
    }
  }
  // Each direction has the half of the tag that it needs.
  const { getAuthTag, setAuthTag } = Stage.prototype;
  delete Stage.prototype.getAuthTag;
  delete Stage.prototype.setAuthTag;
  const method = (Class, name, value) =>
    Object.defineProperty(Class.prototype, name, { value, writable: true, configurable: true });
  method(Cipheriv, "getAuthTag", getAuthTag);
  method(Decipheriv, "setAuthTag", setAuthTag);

  return {
    Cipheriv, Decipheriv,
    createCipheriv: (...args) => new Cipheriv(...args),
    createDecipheriv: (...args) => new Decipheriv(...args),
    getCiphers: () => native.cipherNames(),
    getCipherInfo(name) {
      const shape = native.cipherShape(`${name}`);
      if (!shape) return undefined;
      const { mode, keyLength, ivLength } = shape;
      const info = { mode, name: shape.name, keyLength };
      if (mode === "cbc" || mode === "ecb") info.blockSize = 16;
      if (mode !== "ecb") info.ivLength = ivLength;
      return info;
    },
  };
});
