// Signatures, and what is encrypted for the owner of a key.
((common, keys, constants) => {
  const { native, errors, viewed, bytesOf, shown, needString, needFunction, calledBack } = common;
  const { coded } = errors;
  const DATA = "of type string or an instance of Buffer, TypedArray, or DataView";
  const { privateKey, anyKey } = keys;

  const optionsOf = (key) =>
    typeof key === "object" && key !== null && viewed(key) === undefined &&
    !(key instanceof keys.KeyObject)
      ? key
      : {};

  // How the native code is to sign.
  const scheme = (digest, options) => {
    const { padding, saltLength = constants.RSA_PSS_SALTLEN_MAX_SIGN, dsaEncoding = "der" } = options;
    if (dsaEncoding !== "der" && dsaEncoding !== "ieee-p1363") {
      const message = `The property 'options.dsaEncoding' is invalid. Received '${dsaEncoding}'`;
      throw coded(TypeError, "ERR_INVALID_ARG_VALUE", message);
    }
    const pss = padding === constants.RSA_PKCS1_PSS_PADDING;
    if (padding !== undefined && !pss && padding !== constants.RSA_PKCS1_PADDING) {
      const message = "error:1C8000A5:Provider routines::illegal or unsupported padding mode";
      throw coded(Error, "ERR_OSSL_ILLEGAL_OR_UNSUPPORTED_PADDING_MODE", message);
    }
    return { digest, plain: dsaEncoding === "ieee-p1363", salt: pss ? saltLength : undefined };
  };

  // A signature is made of the hash of what was given; Ed25519 is the exception.
  const hashed = (algorithm, data) => {
    const running = native.hash(algorithm);
    if (!running) throw coded(TypeError, "ERR_CRYPTO_INVALID_DIGEST", `Invalid digest: ${algorithm}`);
    native.update(running, data);
    return new Uint8Array(native.digest(running));
  };
  const keyRequired = () =>
    coded(Error, "ERR_CRYPTO_SIGN_KEY_REQUIRED", "No key provided to sign");

  // How to sign, and what. Without an algorithm it is OpenSSL's default.
  const prepared = (algorithm, data, handle, key) => {
    const whole = native.describeKey(handle).type === "ed25519";
    const digest = algorithm ?? (whole ? undefined : "sha256");
    const message = digest === undefined || whole ? data : hashed(digest, data);
    return [scheme(digest, optionsOf(key)), handle, message];
  };

  const signed = (algorithm, data, key) => {
    data = bytesOf("data", data);
    if (!key) throw keyRequired();
    const handle = privateKey(key);
    return shown(native.sign(...prepared(algorithm, data, handle, key)));
  };

  const verified = (algorithm, data, key, signature) => {
    data = bytesOf("data", data);
    signature = bytesOf("signature", signature, "utf8", "an instance of Buffer, TypedArray, or DataView");
    const handle = anyKey(key);
    return native.verify(...prepared(algorithm, data, handle, key), signature);
  };

  // What a signature of either direction is made with: a hash under way.
  class Running {
    #algorithm;
    #running;

    constructor(algorithm) {
      needString("algorithm", algorithm);
      this.#algorithm = algorithm;
      this.#running = native.hash(algorithm);
      if (!this.#running) {
        throw coded(TypeError, "ERR_CRYPTO_INVALID_DIGEST", "Invalid digest");
      }
    }

    update(data, encoding) {
      native.update(this.#running, bytesOf("data", data, encoding, DATA));
      return this;
    }

    // How to sign, and what.
    static end(self, handle, key) {
      const message = new Uint8Array(native.digest(self.#running));
      return [scheme(self.#algorithm, optionsOf(key)), handle, message];
    }
  }
  const { end } = Running;
  delete Running.end;

  class Sign extends Running {
    sign(key, encoding) {
      if (!key) throw keyRequired();
      return shown(native.sign(...end(this, privateKey(key), key)), encoding);
    }
  }

  class Verify extends Running {
    verify(key, signature, encoding) {
      const handle = anyKey(key);
      const bytes = bytesOf("signature", signature, encoding);
      return native.verify(...end(this, handle, key), bytes);
    }
  }

  // OAEP with SHA-1 unless the options say otherwise, as in Node.
  const oaepHash = ({ padding, oaepHash: name = "sha1" }) =>
    padding === constants.RSA_PKCS1_PADDING ? undefined : name;

  return {
    Sign, Verify,
    createSign: (algorithm) => new Sign(algorithm),
    createVerify: (algorithm) => new Verify(algorithm),
    sign(algorithm, data, key, callback) {
      if (callback === undefined) return signed(algorithm, data, key);
      needFunction("callback", callback);
      calledBack(callback, () => signed(algorithm, data, key));
    },
    verify(algorithm, data, key, signature, callback) {
      if (callback === undefined) return verified(algorithm, data, key, signature);
      needFunction("callback", callback);
      calledBack(callback, () => verified(algorithm, data, key, signature));
    },
    publicEncrypt(key, text) {
      return shown(native.encrypt(anyKey(key), oaepHash(optionsOf(key)), bytesOf("buffer", text)));
    },
    privateDecrypt(key, text) {
      return shown(native.decrypt(privateKey(key), oaepHash(optionsOf(key)), bytesOf("buffer", text)));
    },
  };
});
