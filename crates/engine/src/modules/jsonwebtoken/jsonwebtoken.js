// The npm package jsonwebtoken, version 9: sign, verify, decode, and its errors.
((crypto, Buffer, jws) => {
  const { KeyObject, createSecretKey, createPrivateKey, createPublicKey } = crypto;
  const { isArray } = Array;
  const later = queueMicrotask;

  const SECRET_ALGORITHMS = ["HS256", "HS384", "HS512"];
  const RSA_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
  const CURVE_ALGORITHMS = ["ES256", "ES384", "ES512"];
  const ALGORITHMS = [...SECRET_ALGORITHMS, ...RSA_ALGORITHMS, ...CURVE_ALGORITHMS, "none"];
  const CURVES = { ES256: "prime256v1", ES384: "secp384r1", ES512: "secp521r1" };
  const SMALLEST_MODULUS = 2048;

  class JsonWebTokenError extends Error {
    constructor(message, error) {
      super(message);
      this.name = "JsonWebTokenError";
      if (error) this.inner = error;
    }
  }
  class TokenExpiredError extends JsonWebTokenError {
    constructor(message, expiredAt) {
      super(message);
      this.name = "TokenExpiredError";
      this.expiredAt = expiredAt;
    }
  }
  class NotBeforeError extends JsonWebTokenError {
    constructor(message, date) {
      super(message);
      this.name = "NotBeforeError";
      this.date = date;
    }
  }

  const UNITS = [
    [/^(milliseconds?|msecs?|ms)$/i, 1],
    [/^(seconds?|secs?|s)$/i, 1000],
    [/^(minutes?|mins?|m)$/i, 60_000],
    [/^(hours?|hrs?|h)$/i, 3_600_000],
    [/^(days?|d)$/i, 86_400_000],
    [/^(weeks?|w)$/i, 604_800_000],
    [/^(years?|yrs?|y)$/i, 31_557_600_000],
  ];
  // Seconds since 1970 at so much after `from`: a number is seconds, "2 days" what it says, and
  // "120" milliseconds.
  const timespan = (time, from = Math.floor(Date.now() / 1000)) => {
    if (typeof time === "number") return from + time;
    if (typeof time !== "string" || time.length > 100) return undefined;
    if (time === "") {
      throw new Error('val is not a non-empty string or a valid number. val=""');
    }
    const [, count, unit = "ms"] = /^(-?(?:\d+)?\.?\d+) *([a-z]+)?$/i.exec(time) ?? [];
    const [, milliseconds] = UNITS.find(([name]) => name.test(unit)) ?? [];
    if (count === undefined || milliseconds === undefined) return undefined;
    return Math.floor(from + (Number.parseFloat(count) * milliseconds) / 1000);
  };

  // Options and claims ------------------------------------------------------------------------

  const isString = (value) => typeof value === "string" || value instanceof String;
  const isNumber = (value) => typeof value === "number" || value instanceof Number;
  const isBoolean = (value) => value === true || value === false || value instanceof Boolean;
  const isPlainObject = (value) => {
    if (typeof value !== "object" || value === null) return false;
    const prototype = Object.getPrototypeOf(value);
    return prototype === null || Object.getPrototypeOf(prototype) === null;
  };
  const isSpan = (value) => Number.isInteger(value) || (isString(value) && Boolean(value));
  const HINT = 'should be a number of seconds or string representing a timespan';
  const EXAMPLES = ' eg: "1d", "20h", 60';

  const OPTIONS = {
    expiresIn: [isSpan, `"expiresIn" ${HINT}`],
    notBefore: [isSpan, `"notBefore" ${HINT}`],
    audience: [(value) => isString(value) || isArray(value), '"audience" must be a string or array'],
    algorithm: [(value) => ALGORITHMS.includes(value), '"algorithm" must be a valid string enum value'],
    header: [isPlainObject, '"header" must be an object'],
    mutatePayload: [isBoolean, '"mutatePayload" must be a boolean'],
    noTimestamp: [isBoolean, '"noTimestamp" must be a boolean'],
    allowInsecureKeySizes: [isBoolean, '"allowInsecureKeySizes" must be a boolean'],
    allowInvalidAsymmetricKeyTypes: [isBoolean, '"allowInvalidAsymmetricKeyTypes" must be a boolean'],
  };
  for (const name of ["encoding", "issuer", "subject", "jwtid", "keyid"]) {
    OPTIONS[name] = [isString, `"${name}" must be a string`];
  }
  const TIMES = {};
  for (const name of ["iat", "exp", "nbf"]) {
    TIMES[name] = [isNumber, `"${name}" should be a number of seconds`];
  }

  const check = (rules, allowUnknown, object, name) => {
    if (!isPlainObject(object)) throw new Error(`Expected "${name}" to be a plain object.`);
    for (const key of Object.keys(object)) {
      if (!Object.hasOwn(rules, key)) {
        if (!allowUnknown) throw new Error(`"${key}" is not allowed in "${name}"`);
        continue;
      }
      const [isValid, message] = rules[key];
      if (!isValid(object[key])) throw new Error(message);
    }
  };

  // The option that sets a claim.
  const CLAIMS = { audience: "aud", issuer: "iss", subject: "sub", jwtid: "jti" };
  const FOR_OBJECTS = [
    "expiresIn", "notBefore", "noTimestamp", "audience", "issuer", "subject", "jwtid",
  ];

  // Keys --------------------------------------------------------------------------------------

  const keyOf = (material, make, refuse) => {
    if (material === null || material === undefined || material instanceof KeyObject) return material;
    try {
      return make(material);
    } catch {
      try {
        return createSecretKey(typeof material === "string" ? Buffer.from(material) : material);
      } catch {
        throw refuse();
      }
    }
  };

  const checkKind = (algorithm, key) => {
    if (!algorithm || !key) return;
    const kind = key.asymmetricKeyType;
    if (!kind) return;
    const allowed = kind === "rsa" ? RSA_ALGORITHMS : kind === "ec" ? CURVE_ALGORITHMS : undefined;
    if (!allowed) throw new Error(`Unknown key type "${kind}".`);
    if (!allowed.includes(algorithm)) {
      const names = allowed.join(", ");
      throw new Error(`"alg" parameter for "${kind}" key type must be one of: ${names}.`);
    }
    const { namedCurve } = key.asymmetricKeyDetails;
    if (kind === "ec" && namedCurve !== CURVES[algorithm]) {
      throw new Error(`"alg" parameter "${algorithm}" requires curve "${CURVES[algorithm]}".`);
    }
  };

  // sign --------------------------------------------------------------------------------------

  const signed = (payload, material, options) => {
    const isObject = typeof payload === "object" && !Buffer.isBuffer(payload);
    const header = {
      alg: options.algorithm || "HS256",
      typ: isObject ? "JWT" : undefined,
      kid: options.keyid,
      ...options.header,
    };
    if (!material && options.algorithm !== "none") {
      throw new Error("secretOrPrivateKey must have a value");
    }
    const refuse = () => new Error("secretOrPrivateKey is not valid key material");
    const key = keyOf(material, createPrivateKey, refuse);
    if (header.alg.startsWith("HS") && key.type !== "secret") {
      throw new Error(`secretOrPrivateKey must be a symmetric key when using ${header.alg}`);
    }
    if (/^(?:RS|PS|ES)/.test(header.alg)) {
      if (key.type !== "private") {
        throw new Error(`secretOrPrivateKey must be an asymmetric key when using ${header.alg}`);
      }
      const small = key.asymmetricKeyDetails?.modulusLength < SMALLEST_MODULUS;
      if (!options.allowInsecureKeySizes && !header.alg.startsWith("ES") && small) {
        throw new Error(
          `secretOrPrivateKey has a minimum key size of ${SMALLEST_MODULUS} bits for ${header.alg}`,
        );
      }
    }

    if (payload === undefined) throw new Error("payload is required");
    if (isObject) {
      check(TIMES, true, payload, "payload");
      if (!options.mutatePayload) payload = { ...payload };
    } else {
      const invalid = FOR_OBJECTS.filter((name) => options[name] !== undefined);
      if (invalid.length > 0) {
        throw new Error(`invalid ${invalid.join(",")} option for ${typeof payload} payload`);
      }
    }
    for (const [claim, option] of [["exp", "expiresIn"], ["nbf", "notBefore"]]) {
      if (payload[claim] !== undefined && options[option] !== undefined) {
        throw new Error(
          `Bad "options.${option}" option the payload already has an "${claim}" property.`,
        );
      }
    }
    check(OPTIONS, false, options, "options");
    if (!options.allowInvalidAsymmetricKeyTypes) checkKind(header.alg, key);

    const now = payload.iat || Math.floor(Date.now() / 1000);
    if (options.noTimestamp) delete payload.iat;
    else if (isObject) payload.iat = now;
    for (const [claim, option] of [["nbf", "notBefore"], ["exp", "expiresIn"]]) {
      if (options[option] === undefined) continue;
      payload[claim] = timespan(options[option], now);
      if (payload[claim] === undefined) throw new Error(`"${option}" ${HINT}${EXAMPLES}`);
    }
    for (const option of Object.keys(CLAIMS)) {
      if (options[option] === undefined) continue;
      const claim = CLAIMS[option];
      if (payload[claim] !== undefined) {
        throw new Error(
          `Bad "options.${option}" option. The payload already has an "${claim}" property.`,
        );
      }
      payload[claim] = options[option];
    }
    return jws.sign(header, payload, key, options.encoding || "utf8");
  };

  const sign = (payload, material, options, callback) => {
    if (typeof options === "function") [options, callback] = [{}, options];
    options ??= {};
    if (typeof callback !== "function") return signed(payload, material, options);
    let token;
    try {
      token = signed(payload, material, options);
    } catch (error) {
      callback(error);
      return;
    }
    later(() => callback(null, token));
  };

  // decode and verify -------------------------------------------------------------------------

  const decode = (token, options) => {
    const decoded = jws.decode(token, options);
    if (!decoded) return null;
    let { payload } = decoded;
    if (typeof payload === "string") {
      try {
        const parsed = JSON.parse(payload);
        if (typeof parsed === "object" && parsed !== null) payload = parsed;
      } catch {
        // It is text.
      }
    }
    const { header, signature } = decoded;
    return options?.complete === true ? { header, payload, signature } : payload;
  };

  // Compares a claim with what the options ask for.
  const checkClaims = (payload, options) => {
    const invalid = (what, expected) =>
      new JsonWebTokenError(`jwt ${what} invalid. expected: ${expected}`);
    const { audience, issuer, subject, jwtid, nonce } = options;
    if (audience) {
      const wanted = isArray(audience) ? audience : [audience];
      const given = isArray(payload.aud) ? payload.aud : [payload.aud];
      const matches = (one, pattern) =>
        pattern instanceof RegExp ? pattern.test(one) : pattern === one;
      if (!given.some((one) => wanted.some((pattern) => matches(one, pattern)))) {
        throw invalid("audience", wanted.join(" or "));
      }
    }
    if (issuer) {
      const wrong = isArray(issuer)
        ? !issuer.includes(payload.iss)
        : typeof issuer === "string" && payload.iss !== issuer;
      if (wrong) throw invalid("issuer", issuer);
    }
    if (subject && payload.sub !== subject) throw invalid("subject", subject);
    if (jwtid && payload.jti !== jwtid) throw invalid("jwtid", jwtid);
    if (nonce && payload.nonce !== nonce) throw invalid("nonce", nonce);
  };

  const checkTimes = (payload, options, now) => {
    const tolerance = options.clockTolerance || 0;
    const dated = (seconds) => new Date(seconds * 1000);
    const needNumber = (claim) => {
      if (typeof payload[claim] !== "number") {
        throw new JsonWebTokenError(`invalid ${claim} value`);
      }
    };
    if (payload.nbf !== undefined && !options.ignoreNotBefore) {
      needNumber("nbf");
      if (payload.nbf > now + tolerance) {
        throw new NotBeforeError("jwt not active", dated(payload.nbf));
      }
    }
    if (payload.exp !== undefined && !options.ignoreExpiration) {
      needNumber("exp");
      if (now >= payload.exp + tolerance) {
        throw new TokenExpiredError("jwt expired", dated(payload.exp));
      }
    }
  };

  const checkAge = (payload, options, now) => {
    if (!options.maxAge) return;
    if (typeof payload.iat !== "number") {
      throw new JsonWebTokenError("iat required when maxAge is specified");
    }
    const end = timespan(options.maxAge, payload.iat);
    if (end === undefined) throw new JsonWebTokenError(`"maxAge" ${HINT}${EXAMPLES}`);
    if (now >= end + (options.clockTolerance || 0)) {
      throw new TokenExpiredError("maxAge exceeded", new Date(end * 1000));
    }
  };

  // Before the key is known.
  const opened = (token, options) => {
    const refused = (message) => new JsonWebTokenError(message);
    const { clockTimestamp, nonce, allowInvalidAsymmetricKeyTypes } = options;
    if (clockTimestamp && typeof clockTimestamp !== "number") {
      throw refused("clockTimestamp must be a number");
    }
    if (nonce !== undefined && (typeof nonce !== "string" || nonce.trim() === "")) {
      throw refused("nonce must be a non-empty string");
    }
    if (!["undefined", "boolean"].includes(typeof allowInvalidAsymmetricKeyTypes)) {
      throw refused("allowInvalidAsymmetricKeyTypes must be a boolean");
    }
    if (!token) throw refused("jwt must be provided");
    if (typeof token !== "string") throw refused("jwt must be a string");
    if (token.split(".").length !== 3) throw refused("jwt malformed");
    const decoded = decode(token, { complete: true });
    if (!decoded) throw refused("invalid token");
    return decoded;
  };

  const verified = (token, decoded, material, options) => {
    const { header, payload, signature } = decoded;
    const refused = (message) => new JsonWebTokenError(message);
    const isSigned = token.split(".")[2].trim() !== "";
    if (!isSigned && material) throw refused("jwt signature is required");
    if (isSigned && !material) throw refused("secret or public key must be provided");
    if (!isSigned && !options.algorithms) {
      throw refused('please specify "none" in "algorithms" to verify unsigned tokens');
    }
    const refuse = () => refused("secretOrPublicKey is not valid key material");
    const key = keyOf(material, createPublicKey, refuse);
    const usual = () => {
      if (key.type === "secret") return SECRET_ALGORITHMS;
      return key.asymmetricKeyType === "ec" ? CURVE_ALGORITHMS : RSA_ALGORITHMS;
    };
    const { alg } = header;
    if (!(options.algorithms ?? usual()).includes(alg)) throw refused("invalid algorithm");
    if (alg.startsWith("HS") && key.type !== "secret") {
      throw refused(`secretOrPublicKey must be a symmetric key when using ${alg}`);
    }
    if (/^(?:RS|PS|ES)/.test(alg) && key.type !== "public") {
      throw refused(`secretOrPublicKey must be an asymmetric key when using ${alg}`);
    }
    if (!options.allowInvalidAsymmetricKeyTypes) checkKind(alg, key);
    if (!jws.verify(token, alg, key)) throw refused("invalid signature");

    const now = options.clockTimestamp || Math.floor(Date.now() / 1000);
    checkTimes(payload, options, now);
    checkClaims(payload, options);
    checkAge(payload, options, now);
    return options.complete === true ? { header, payload, signature } : payload;
  };

  const verify = (token, material, options, callback) => {
    if (typeof options === "function" && !callback) [options, callback] = [{}, options];
    options = { ...options };
    const done = (work) => {
      if (!callback) return work();
      let result;
      try {
        result = work();
      } catch (error) {
        return callback(error);
      }
      return callback(null, result);
    };
    let decoded;
    try {
      decoded = opened(token, options);
      if (typeof material === "function" && !callback) {
        throw new JsonWebTokenError(
          "verify must be called asynchronous if secret or public key is provided as a callback",
        );
      }
    } catch (error) {
      return done(() => {
        throw error;
      });
    }
    if (typeof material !== "function") {
      return done(() => verified(token, decoded, material, options));
    }
    return material(decoded.header, (error, found) =>
      done(() => {
        if (!error) return verified(token, decoded, found, options);
        const message = `error in secret or public key callback: ${error.message}`;
        throw new JsonWebTokenError(message);
      }));
  };

  return { decode, verify, sign, JsonWebTokenError, NotBeforeError, TokenExpiredError };
});
