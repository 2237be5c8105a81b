// The module `crypto`: its parts are made when they are first used.
((load, common, exports) => {
  const { defineProperty } = Object;

  // Makes each name an ordinary property once one of them is read.
  const lazy = (names, make) => {
    const settle = () => {
      const made = make();
      for (const name of names) {
        defineProperty(exports, name, {
          value: made[name], writable: true, configurable: true, enumerable: true,
        });
      }
    };
    for (const name of names) {
      defineProperty(exports, name, {
        configurable: true,
        enumerable: true,
        get() {
          settle();
          return exports[name];
        },
        set(value) {
          defineProperty(exports, name, {
            value, writable: true, configurable: true, enumerable: true,
          });
        },
      });
    }
  };
  const once = (make) => {
    let made;
    return () => (made ??= make());
  };

  const constants = {
    RSA_PKCS1_PADDING: 1,
    RSA_NO_PADDING: 3,
    RSA_PKCS1_OAEP_PADDING: 4,
    RSA_PKCS1_PSS_PADDING: 6,
    RSA_PSS_SALTLEN_DIGEST: -1,
    RSA_PSS_SALTLEN_MAX_SIGN: -2,
    RSA_PSS_SALTLEN_AUTO: -2,
  };
  const keys = once(() => load("keys")(common));
  // A secret is nearly always text or bytes: only a KeyObject needs what makes them.
  const keyBytes = (name, key) =>
    typeof key === "string" ? common.bytesOf(name, key, "utf8") : keys().keyBytes(name, key);

  exports.constants = constants;
  lazy(["Hash", "Hmac", "createHash", "createHmac", "getHashes", "hash"], () =>
    load("hashes")(common, keyBytes));
  lazy(
    ["randomBytes", "randomFill", "randomFillSync", "randomInt", "randomUUID", "timingSafeEqual"],
    () => load("random")(common),
  );
  lazy(["hkdf", "hkdfSync", "pbkdf2", "pbkdf2Sync", "scrypt", "scryptSync"], () =>
    load("derive")(common, keyBytes));
  lazy(["KeyObject", "createPrivateKey", "createPublicKey", "createSecretKey"], () =>
    keys().exports);
  lazy(
    ["Sign", "Verify", "createSign", "createVerify", "privateDecrypt", "publicEncrypt", "sign",
      "verify"],
    () => load("signatures")(common, keys(), constants),
  );
  lazy(
    ["Cipheriv", "Decipheriv", "createCipheriv", "createDecipheriv", "getCipherInfo", "getCiphers"],
    () => load("ciphers")(common, keyBytes),
  );
  lazy(["webcrypto", "subtle", "getRandomValues"], () => {
    const { crypto } = globalThis;
    return {
      webcrypto: crypto,
      subtle: crypto.subtle,
      getRandomValues: (array) => crypto.getRandomValues(array),
    };
  });
  return exports;
});
