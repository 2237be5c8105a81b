// KeyObject and what makes one: PEM, DER, JWK, or the bytes of a secret.
((common) => {
  const { native, errors, Buffer, viewed, bytesOf, BYTES } = common;
  const { coded, wrongType } = errors;
  const KEY =
    "of type string or an instance of ArrayBuffer, Buffer, TypedArray, DataView, KeyObject, " +
    "or CryptoKey";

  // For what else in the module needs the insides.
  let inside;

  class KeyObject {
    #type;
    // The native key, or the bytes of a secret.
    #handle;

    static {
      inside = (key) => key.#handle;
    }

    constructor(type, handle) {
      if (type !== "secret" && type !== "public" && type !== "private") {
        const message = `The argument 'type' is invalid. Received '${type}'`;
        throw coded(TypeError, "ERR_INVALID_ARG_VALUE", message);
      }
      this.#type = type;
      this.#handle = handle;
    }

    get type() {
      return this.#type;
    }

    get symmetricKeySize() {
      return this.#type === "secret" ? this.#handle.length : undefined;
    }

    get asymmetricKeyType() {
      return this.#type === "secret" ? undefined : native.describeKey(this.#handle).type;
    }

    get asymmetricKeyDetails() {
      if (this.#type === "secret") return undefined;
      const { type, bits, curve, exponent } = native.describeKey(this.#handle);
      if (type === "rsa") {
        const publicExponent = BigInt(`0x${Buffer.from(exponent).toString("hex")}`);
        return { modulusLength: bits, publicExponent };
      }
      return type === "ec" ? { namedCurve: curve } : {};
    }

    equals(other) {
      if (!(other instanceof KeyObject)) {
        throw wrongType("otherKeyObject", "an instance of KeyObject", other);
      }
      if (this.#type !== other.#type) return false;
      if (this.#type !== "secret") return native.sameKey(this.#handle, other.#handle);
      return this.#handle.length === other.#handle.length && native.same(this.#handle, other.#handle);
    }

    export(options) {
      if (this.#type === "secret") {
        if (options?.format !== "jwk") return Buffer.from(this.#handle);
        return { kty: "oct", k: this.#handle.toString("base64url") };
      }
      if (options?.format === "jwk") return exportedJwk(this.#handle);
      return exported(this.#handle, this.#type, options);
    }
  }
  Object.defineProperty(KeyObject.prototype, Symbol.toStringTag, {
    value: "KeyObject",
    configurable: true,
  });

  const LABELS = {
    spki: "PUBLIC KEY",
    pkcs8: "PRIVATE KEY",
    sec1: "EC PRIVATE KEY",
  };

  const exported = (handle, sort, { format, type, cipher } = {}) => {
    const invalid = (name, value) =>
      coded(
        TypeError,
        "ERR_INVALID_ARG_VALUE",
        `The property 'options.${name}' is invalid. Received ${value && `'${value}'`}`,
      );
    const kind = native.describeKey(handle).type;
    const forms = sort === "public" ? ["spki", "pkcs1"] : ["pkcs8", "pkcs1", "sec1"];
    if (!forms.includes(type)) throw invalid("type", type);
    if (format !== "pem" && format !== "der") throw invalid("format", format);
    if (cipher !== undefined) {
      const message = "keys are not exported encrypted here";
      throw coded(Error, "ERR_FEATURE_UNAVAILABLE_ON_PLATFORM", message);
    }
    if ((type === "pkcs1" && kind !== "rsa") || (type === "sec1" && kind !== "ec")) {
      const need = type === "pkcs1" ? "RSA keys" : "EC keys";
      const message = `The selected key encoding ${type} can only be used for ${need}.`;
      throw coded(Error, "ERR_CRYPTO_INCOMPATIBLE_KEY_OPTIONS", message);
    }
    const der = Buffer.from(native.writeKey(handle, type));
    if (format === "der") return der;
    const label = LABELS[type] ?? `RSA ${sort.toUpperCase()} KEY`;
    const lines = der.toString("base64").replace(/.{64}(?=.)/g, "$&\n");
    return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
  };

  const KTY = { rsa: "RSA", ec: "EC", ed25519: "OKP" };
  const exportedJwk = (handle) => {
    const { type, crv } = native.describeKey(handle);
    const members = native.keyMembers(handle);
    const jwk = { kty: KTY[type] };
    if (type === "ed25519") jwk.crv = crv;
    for (const name in members) jwk[name] = Buffer.from(members[name]).toString("base64url");
    if (type === "ec") jwk.crv = crv;
    return jwk;
  };

  const unsupported = () =>
    Object.assign(
      coded(Error, "ERR_OSSL_UNSUPPORTED", "error:1E08010C:DECODER routines::unsupported"),
      { library: "DECODER routines", reason: "unsupported" },
    );

  // The public key in a certificate: the seventh part of its first part, with the version, which
  // old ones leave out.
  const publicKeyOf = (certificate) => {
    const at = (start) => {
      let length = certificate[start + 1];
      let first = start + 2;
      if (length > 0x80) {
        const digits = length - 0x80;
        length = certificate.readUIntBE(first, digits);
        first += digits;
      }
      return { first, end: first + length };
    };
    const body = at(at(0).first);
    let place = body.first;
    for (let skip = certificate[place] === 0xa0 ? 6 : 5; skip > 0; skip--) place = at(place).end;
    return certificate.subarray(place, at(place).end);
  };

  const PRIVATE = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];
  const PUBLIC = ["PUBLIC KEY", "RSA PUBLIC KEY"];
  const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----([^-]+)-----END \1-----/g;

  // What reads the first block of a kind that is asked for.
  const fromPem = (text, allowPublic) => {
    for (const [, label, body] of text.matchAll(BLOCK)) {
      if (label === "ENCRYPTED PRIVATE KEY" || body.includes("ENCRYPTED")) {
        throw coded(TypeError, "ERR_MISSING_PASSPHRASE", "Passphrase required for encrypted key");
      }
      const der = Buffer.from(body, "base64");
      if (PRIVATE.includes(label)) return ["private", native.readKey(der, true)];
      if (allowPublic && PUBLIC.includes(label)) return ["public", native.readKey(der, false)];
      if (allowPublic && label === "CERTIFICATE") {
        return ["public", native.readKey(publicKeyOf(der), false)];
      }
    }
    throw unsupported();
  };

  const fromJwk = (jwk) => {
    if (typeof jwk !== "object" || jwk === null) throw wrongType("key.key", "of type object", jwk);
    const invalid = () =>
      coded(TypeError, "ERR_CRYPTO_INVALID_JWK", `Invalid JWK ${jwk.kty} key`);
    const member = (name) => {
      if (typeof jwk[name] !== "string") throw wrongType(`key.${name}`, "of type string", jwk[name]);
      return Buffer.from(jwk[name], "base64url");
    };
    const sort = jwk.d === undefined ? "public" : "private";
    const isPrivate = sort === "private";
    const read = () => {
      switch (jwk.kty) {
        case "RSA": {
          const names = isPrivate ? ["n", "e", "d", "p", "q", "dp", "dq", "qi"] : ["n", "e"];
          return native.rsaKey(names.map(member));
        }
        case "EC":
          return native.curveKey(jwk.crv, member("x"), member("y"), isPrivate ? member("d") : undefined);
        case "OKP":
          if (jwk.crv !== "Ed25519") throw invalid();
          return native.ed25519Key(member(isPrivate ? "d" : "x"), isPrivate);
        default: {
          const message = "The property 'key.kty' must be one of: 'RSA', 'EC', 'OKP'. Received " +
            (typeof jwk.kty === "string" ? `'${jwk.kty}'` : jwk.kty);
          throw coded(TypeError, "ERR_INVALID_ARG_VALUE", message);
        }
      }
    };
    try {
      return [sort, read()];
    } catch (error) {
      throw error.code?.startsWith("ERR_OSSL") ? invalid() : error;
    }
  };

  // The sort and the native key of whatever Node takes for one.
  const read = (input, allowPublic) => {
    const expected = allowPublic ? KEY : BYTES;
    let data = input;
    let format = "pem";
    let type;
    if (typeof input === "object" && input !== null && viewed(input) === undefined) {
      if (input instanceof KeyObject) return [input.type, inside(input)];
      ({ key: data, format = "pem", type } = input);
      if (data instanceof KeyObject) return [data.type, inside(data)];
      if (format === "jwk") return fromJwk(data);
      if (typeof data !== "string" && viewed(data) === undefined) {
        throw wrongType("key.key", expected, data);
      }
    } else if (typeof input !== "string" && viewed(input) === undefined) {
      throw wrongType("key", expected, input);
    }
    const bytes = bytesOf("key", data, input?.encoding);
    if (format === "pem") return fromPem(Buffer.from(bytes).toString("latin1"), allowPublic);
    if (format !== "der") {
      const message = `The property 'options.format' is invalid. Received '${format}'`;
      throw coded(TypeError, "ERR_INVALID_ARG_VALUE", message);
    }
    const isPublic = allowPublic && type !== "pkcs8" && type !== "sec1";
    return [isPublic ? "public" : "private", native.readKey(bytes, !isPublic)];
  };

  const wrongKey = (type, expected) =>
    coded(TypeError, "ERR_CRYPTO_INVALID_KEY_OBJECT_TYPE", `Invalid key object type ${type}, expected ${expected}.`);

  const privateKey = (input) => {
    const [type, handle] = read(input, false);
    if (type !== "private") throw wrongKey(type, "private");
    return handle;
  };
  // A private key stands for its public part.
  const anyKey = (input) => {
    const [type, handle] = read(input, true);
    if (type === "secret") throw wrongKey(type, "private or public");
    return handle;
  };

  return {
    KeyObject,
    privateKey,
    anyKey,
    // The bytes of a secret that may be a KeyObject.
    keyBytes(name, key) {
      if (!(key instanceof KeyObject)) return bytesOf(name, key, "utf8", KEY);
      if (key.type !== "secret") throw wrongKey(key.type, "secret");
      return inside(key);
    },
    exports: {
      KeyObject,
      createSecretKey(key, encoding) {
        const bytes = bytesOf("key", key, encoding, BYTES.replace("of type string or ", ""));
        return new KeyObject("secret", Buffer.from(bytes));
      },
      createPrivateKey(input) {
        if (input instanceof KeyObject) throw wrongType("key", BYTES, input);
        return new KeyObject("private", privateKey(input));
      },
      createPublicKey(input) {
        const [type, handle] = read(input, true);
        const given = input instanceof KeyObject;
        if (type === "secret" || (given && type === "public")) throw wrongKey(type, "private");
        return new KeyObject("public", type === "private" ? native.publicPart(handle) : handle);
      },
    },
  };
});
