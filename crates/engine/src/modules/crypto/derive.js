// Keys derived from passwords and other keys.
((common, keyBytes) => {
  const { native, errors, BYTES, bytesOf, shown, needString, needFunction, needInteger, needHash,
    calledBack } = common;
  const { coded, wrongType } = errors;
  const LONGEST = 2 ** 31 - 1;

  const pbkdf2 = (password, salt, iterations, size, digest) => {
    password = bytesOf("password", password);
    salt = bytesOf("salt", salt);
    needInteger("iterations", iterations, 1, LONGEST);
    needInteger("keylen", size, 0, LONGEST);
    needString("digest", digest);
    needHash(digest);
    return () => shown(native.pbkdf2(digest, password, salt, iterations, size));
  };

  const hkdf = (digest, key, salt, info, size) => {
    needString("digest", digest);
    const secret = keyBytes("ikm", key);
    salt = bytesOf("salt", salt);
    info = bytesOf("info", info);
    needInteger("length", size, 0, LONGEST);
    needHash(digest);
    // What the construction can give at most.
    if (size > 255 * native.hashSize(digest)) {
      throw coded(RangeError, "ERR_CRYPTO_INVALID_KEYLEN", "Invalid key length");
    }
    return () => native.hkdf(digest, secret, salt, info, size);
  };

  const scrypt = (password, salt, size, options = {}) => {
    password = bytesOf("password", password);
    salt = bytesOf("salt", salt);
    needInteger("keylen", size, 0, LONGEST);
    const cost = options.N ?? options.cost ?? 16384;
    const blockSize = options.r ?? options.blockSize ?? 8;
    const parallelization = options.p ?? options.parallelization ?? 1;
    // As in Node: without an option for more, no more than 32 MB.
    const most = options.maxmem ?? 32 * 1024 * 1024;
    needInteger("N", cost, 0, 2 ** 32 - 1);
    needInteger("r", blockSize, 0, 2 ** 32 - 1);
    needInteger("p", parallelization, 0, 2 ** 32 - 1);
    const invalid = (why) =>
      coded(RangeError, "ERR_CRYPTO_INVALID_SCRYPT_PARAMS", `Invalid scrypt params: ${why}`);
    if (cost < 2 || (cost & (cost - 1)) !== 0 || blockSize < 1 || parallelization < 1) {
      throw coded(RangeError, "ERR_CRYPTO_INVALID_SCRYPT_PARAMS", "Invalid scrypt params");
    }
    if (128 * blockSize * (cost + parallelization + 2) > most) {
      throw invalid("error:030000AC:digital envelope routines::memory limit exceeded");
    }
    return () => {
      const key = native.scrypt(password, salt, [cost, blockSize, parallelization], size);
      if (key === undefined) throw invalid("N * r * p is limited to 524288 here");
      return shown(key);
    };
  };

  return {
    pbkdf2Sync: (...args) => pbkdf2(...args)(),
    pbkdf2(password, salt, iterations, size, digest, callback) {
      if (typeof digest === "function") [digest, callback] = [undefined, digest];
      const work = pbkdf2(password, salt, iterations, size, digest);
      needFunction("callback", callback);
      calledBack(callback, work);
    },
    hkdfSync: (...args) => hkdf(...args)(),
    hkdf(digest, key, salt, info, size, callback) {
      const work = hkdf(digest, key, salt, info, size);
      needFunction("callback", callback);
      calledBack(callback, work);
    },
    scryptSync: (...args) => scrypt(...args)(),
    scrypt(password, salt, size, options, callback) {
      if (typeof options === "function") [options, callback] = [undefined, options];
      const work = scrypt(password, salt, size, options);
      needFunction("callback", callback);
      calledBack(callback, work);
    },
  };
});
