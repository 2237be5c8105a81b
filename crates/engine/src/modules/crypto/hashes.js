// createHash, createHmac and their like.
((common, keyBytes) => {
  const { native, errors: { coded, wrongType }, Buffer, viewed, shown, needString, needHash } = common;
  const DATA = "of type string or an instance of Buffer, TypedArray, or DataView";

  const finalized = () => coded(Error, "ERR_CRYPTO_HASH_FINALIZED", "Digest already called");
  const isUtf8 = (encoding) =>
    !encoding || encoding === "utf8" || encoding === "utf-8" || encoding === "buffer";

  const feed = (running, data, encoding) => {
    if (typeof data === "string") {
      if (isUtf8(encoding)) native.updateText(running, data);
      else native.update(running, Buffer.from(data, encoding));
      return;
    }
    const bytes = data instanceof ArrayBuffer ? undefined : viewed(data);
    if (bytes === undefined) throw wrongType("data", DATA, data);
    native.update(running, bytes);
  };

  const begin = (algorithm) => {
    const running = native.hash(algorithm);
    if (running) return running;
    throw new Error("Digest method not supported");
  };

  class Hash {
    #running;
    #finalized = false;

    constructor(algorithm, options, running) {
      if (running === undefined) {
        needString("algorithm", algorithm);
        running = begin(algorithm);
        const length = options?.outputLength;
        if (length !== undefined && length !== native.hashSize(algorithm)) {
          throw coded(Error, "ERR_OSSL_EVP_NOT_XOF_OR_INVALID_LENGTH", "Unsupported state or unable to change the length");
        }
      }
      this.#running = running;
    }

    update(data, encoding) {
      if (this.#finalized) throw finalized();
      feed(this.#running, data, encoding);
      return this;
    }

    digest(encoding) {
      if (this.#finalized) throw finalized();
      this.#finalized = true;
      return shown(native.digest(this.#running), encoding);
    }

    copy() {
      if (this.#finalized) throw finalized();
      return new Hash(undefined, undefined, native.copy(this.#running));
    }
  }

  class Hmac {
    #running;
    #finalized = false;

    constructor(algorithm, key) {
      needString("hmac", algorithm);
      const bytes = keyBytes("key", key);
      needHash(algorithm);
      this.#running = native.hmac(algorithm, bytes);
    }

    update(data, encoding) {
      if (this.#finalized) throw finalized();
      feed(this.#running, data, encoding);
      return this;
    }

    digest(encoding) {
      // As Node has it, the second time there is nothing.
      if (this.#finalized) return shown(new ArrayBuffer(0), encoding);
      this.#finalized = true;
      return shown(native.digest(this.#running), encoding);
    }
  }

  return {
    // Also called without `new`.
    Hash: new Proxy(Hash, { apply: (target, self, args) => new Hash(args[0], args[1]) }),
    Hmac: new Proxy(Hmac, { apply: (target, self, args) => new Hmac(args[0], args[1]) }),
    createHash: (algorithm, options) => new Hash(algorithm, options),
    createHmac: (algorithm, key) => new Hmac(algorithm, key),
    getHashes: () => native.hashNames().flatMap((name) => [`RSA-${name.toUpperCase()}`, name]),
    hash(algorithm, data, encoding = "hex") {
      needString("algorithm", algorithm);
      const running = begin(algorithm);
      feed(running, data);
      return shown(native.digest(running), encoding);
    },
  };
});
