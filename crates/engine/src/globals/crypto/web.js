// The web's crypto: random values, digests and signatures.
((native, { wrongType, missing }) => {
  const { isView } = ArrayBuffer;
  // As the standard has it.
  const MOST_RANDOM = 65536;

  const refused = (name, message) => new DOMException(message, name);
  const unsupported = (message = "Unrecognized algorithm name") =>
    refused("NotSupportedError", message);

  const bytesOf = (name, value) => {
    if (value instanceof ArrayBuffer) return new Uint8Array(value);
    if (isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    throw wrongType(name, "an instance of ArrayBuffer, Buffer, TypedArray, or DataView", value);
  };

  const HASHES = ["SHA-1", "SHA-256", "SHA-384", "SHA-512"];
  const nameOf = (algorithm) => {
    const name = typeof algorithm === "string" ? algorithm : algorithm?.name;
    if (typeof name !== "string") throw new TypeError("the algorithm has no name");
    return name.toUpperCase();
  };
  const hashOf = (algorithm) => {
    const name = nameOf(algorithm);
    if (!HASHES.includes(name)) throw unsupported();
    return name;
  };
  const digested = (hash, data) => {
    const running = native.hash(hash);
    native.update(running, data);
    return native.digest(running);
  };

  const base64url = (memory) => {
    let text = "";
    for (const byte of new Uint8Array(memory)) text += String.fromCharCode(byte);
    return btoa(text).replace(/[+/=]/g, (sign) => ({ "+": "-", "/": "_" })[sign] ?? "");
  };
  const fromBase64url = (text) => {
    if (typeof text !== "string") throw refused("DataError", "Invalid keyData");
    const plain = atob(text.replace(/[-_]/g, (sign) => (sign === "-" ? "+" : "/")));
    return Uint8Array.from(plain, (letter) => letter.charCodeAt(0));
  };

  let inside;
  const WITHIN = Symbol("within");
  class CryptoKey {
    #handle;

    static {
      inside = (key) => key.#handle;
    }

    constructor(token, handle, members) {
      if (token !== WITHIN) throw new TypeError("Illegal constructor");
      this.#handle = handle;
      for (const name in members) {
        Object.defineProperty(this, name, { value: members[name], enumerable: true });
      }
    }
  }

  // The named curves, and how many bytes a coordinate has.
  const CURVES = { "P-256": 32, "P-384": 48, "P-521": 66 };
  const PAIRS = ["RSASSA-PKCS1-V1_5", "RSA-PSS", "ECDSA"];
  const NAMES = { "RSASSA-PKCS1-V1_5": "RSASSA-PKCS1-v1_5" };
  const BLOCKS = { "SHA-1": 64, "SHA-256": 64, "SHA-384": 128, "SHA-512": 128 };

  // The native key of what it is stored as, and its sort.
  const pairKey = (format, data, name) => {
    switch (format) {
      case "spki":
        return ["public", native.readKey(bytesOf("keyData", data), false)];
      case "pkcs8":
        return ["private", native.readKey(bytesOf("keyData", data), true)];
      case "raw": {
        const bytes = bytesOf("keyData", data);
        const width = (bytes.length - 1) / 2;
        const curve = Object.keys(CURVES).find((curve) => CURVES[curve] === width);
        if (name !== "ECDSA" || bytes[0] !== 4 || !curve) throw new Error("not a point");
        const [x, y] = [bytes.slice(1, 1 + width), bytes.slice(1 + width)];
        return ["public", native.curveKey(curve, x, y)];
      }
      case "jwk": {
        const isPrivate = data.d !== undefined;
        const sort = isPrivate ? "private" : "public";
        const member = (name) => fromBase64url(data[name]);
        if (data.kty === "EC" && name === "ECDSA") {
          const d = isPrivate ? member("d") : undefined;
          return [sort, native.curveKey(data.crv, member("x"), member("y"), d)];
        }
        if (data.kty !== "RSA" || name === "ECDSA") throw new Error("another kind of key");
        const names = isPrivate ? ["n", "e", "d", "p", "q", "dp", "dq", "qi"] : ["n", "e"];
        return [sort, native.rsaKey(names.map(member))];
      }
      default:
        throw unsupported("Unable to import the key in this format");
    }
  };

  const imported = (format, data, algorithm, extractable, usages) => {
    const name = nameOf(algorithm);
    extractable = Boolean(extractable);
    usages = [...usages];
    const key = (handle, type, described) => {
      const allowed = { secret: ["sign", "verify"], private: ["sign"], public: ["verify"] }[type];
      if (usages.some((usage) => !allowed.includes(usage))) {
        throw refused("SyntaxError", `Unsupported key usage for a ${NAMES[name] ?? name} key`);
      }
      if (usages.length === 0 && type !== "public") {
        throw refused("SyntaxError", "Usages cannot be empty when importing a private key.");
      }
      const members = { type, extractable, algorithm: described, usages };
      return new CryptoKey(WITHIN, handle, members);
    };
    if (name === "HMAC") {
      const hash = hashOf(algorithm.hash);
      if (format !== "raw" && format !== "jwk") throw unsupported();
      const bytes = (format === "jwk" ? fromBase64url(data.k) : bytesOf("keyData", data)).slice();
      if (bytes.length === 0) throw refused("DataError", "Zero-length key is not supported");
      return key(bytes, "secret", { name: "HMAC", length: bytes.length * 8, hash: { name: hash } });
    }
    if (!PAIRS.includes(name)) throw unsupported();
    let sort, handle, description;
    try {
      [sort, handle] = pairKey(format, data, name);
      description = native.describeKey(handle);
      if (description.type !== (name === "ECDSA" ? "ec" : "rsa")) throw new Error("another kind");
      if (name === "ECDSA" && description.crv !== algorithm.namedCurve) throw new Error("another curve");
    } catch (error) {
      throw error.name === "NotSupportedError" ? error : refused("DataError", "Invalid keyData");
    }
    if (name === "ECDSA") {
      return key(handle, sort, { name, namedCurve: description.crv });
    }
    return key(handle, sort, {
      name: NAMES[name] ?? name,
      modulusLength: description.bits,
      publicExponent: new Uint8Array(description.exponent),
      hash: { name: hashOf(algorithm.hash) },
    });
  };

  const needKey = (algorithm, key, usage) => {
    if (!(key instanceof CryptoKey)) throw wrongType("key", "an instance of CryptoKey", key);
    if (nameOf(algorithm) !== key.algorithm.name.toUpperCase()) {
      throw refused("InvalidAccessError", "Key algorithm mismatch");
    }
    if (!key.usages.includes(usage)) {
      throw refused("InvalidAccessError", `Unable to use this key to ${usage}`);
    }
  };
  // How the native code is to sign, and the hash that it signs.
  const prepared = (algorithm, key, data) => {
    const digest = hashOf(key.algorithm.hash ?? algorithm.hash);
    const salt = key.algorithm.name === "RSA-PSS" ? algorithm.saltLength : undefined;
    return [{ digest, salt, plain: true }, inside(key), new Uint8Array(digested(digest, data))];
  };
  const authenticated = (key, data) => {
    const running = native.hmac(key.algorithm.hash.name, inside(key));
    native.update(running, data);
    return native.digest(running);
  };
  // Takes as long wherever the two differ.
  const same = (left, right) => {
    if (left.length !== right.length) return false;
    let difference = 0;
    for (let i = 0; i < left.length; i++) difference |= left[i] ^ right[i];
    return difference === 0;
  };

  class SubtleCrypto {
    async digest(algorithm, data) {
      return digested(hashOf(algorithm), bytesOf("data", data));
    }

    async importKey(format, data, algorithm, extractable, usages) {
      return imported(format, data, algorithm, extractable, usages);
    }

    async exportKey(format, key) {
      if (!(key instanceof CryptoKey)) throw wrongType("key", "an instance of CryptoKey", key);
      if (!key.extractable) throw refused("InvalidAccessError", "key is not extractable");
      const forms = { secret: ["raw"], public: ["spki"], private: ["pkcs8"] }[key.type];
      const handle = inside(key);
      if (format === "jwk") {
        const jwk = { key_ops: key.usages, ext: true };
        if (key.type === "secret") return { ...jwk, kty: "oct", k: base64url(handle), alg: `HS${key.algorithm.hash.name.slice(4)}` };
        const { crv } = native.describeKey(handle);
        Object.assign(jwk, crv ? { kty: "EC", crv } : { kty: "RSA" });
        const members = native.keyMembers(handle);
        for (const name in members) jwk[name] = base64url(members[name]);
        return jwk;
      }
      if (!forms.includes(format)) throw unsupported(`Unable to export a ${key.type} key so`);
      return format === "raw" ? handle.slice().buffer : native.writeKey(handle, format);
    }

    async sign(algorithm, key, data) {
      needKey(algorithm, key, "sign");
      data = bytesOf("data", data);
      return key.type === "secret"
        ? authenticated(key, data)
        : native.sign(...prepared(algorithm, key, data));
    }

    async verify(algorithm, key, signature, data) {
      needKey(algorithm, key, "verify");
      signature = bytesOf("signature", signature);
      data = bytesOf("data", data);
      return key.type === "secret"
        ? same(signature, new Uint8Array(authenticated(key, data)))
        : native.verify(...prepared(algorithm, key, data), signature);
    }
  }

  const INTEGERS = [
    Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array,
    BigInt64Array, BigUint64Array,
  ];
  const subtle = new SubtleCrypto();

  class Crypto {
    get subtle() {
      return subtle;
    }

    getRandomValues(array) {
      if (arguments.length === 0) throw missing("typedArray");
      if (!INTEGERS.some((Class) => array instanceof Class)) {
        const message = "The data argument must be an integer-type TypedArray";
        throw refused("TypeMismatchError", message);
      }
      if (array.byteLength > MOST_RANDOM) {
        const message =
          `The requested length exceeds ${MOST_RANDOM} bytes`;
        throw refused("QuotaExceededError", message);
      }
      native.fill(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
      return array;
    }

    randomUUID() {
      const bytes = new Uint8Array(16);
      native.fill(bytes);
      bytes[6] = (bytes[6] & 0x0f) | 0x40;
      bytes[8] = (bytes[8] & 0x3f) | 0x80;
      let text = "";
      for (let i = 0; i < 16; i++) {
        if (i === 4 || i === 6 || i === 8 || i === 10) text += "-";
        text += (bytes[i] + 256).toString(16).slice(1);
      }
      return text;
    }
  }
  for (const Class of [Crypto, SubtleCrypto, CryptoKey]) {
    Object.defineProperty(Class.prototype, Symbol.toStringTag, {
      value: Class.name,
      configurable: true,
    });
  }
  return { crypto: new Crypto(), CryptoKey };
});
