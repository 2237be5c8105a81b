// A signed text as JSON Web Signatures have it: header, payload and signature between dots.
((crypto, Buffer) => {
  const { constants } = crypto;
  const SHAPE = /^[a-zA-Z0-9\-_]+?\.[a-zA-Z0-9\-_]+?\.([a-zA-Z0-9\-_]+)?$/;

  const encoded = (text, encoding) => Buffer.from(text, encoding).toString("base64url");

  // How the key of an algorithm signs.
  const asymmetric = {
    RS: (key) => ({ key, padding: constants.RSA_PKCS1_PADDING }),
    PS: (key) => ({
      key,
      padding: constants.RSA_PKCS1_PSS_PADDING,
      saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
    }),
    ES: (key) => ({ key, dsaEncoding: "ieee-p1363" }),
  };

  const ALGORITHM = /^(RS|PS|ES|HS)(256|384|512)$/;
  const parts = (algorithm) => {
    const found = ALGORITHM.exec(algorithm);
    if (found) return [found[1], `sha${found[2]}`];
    if (algorithm === "none") return ["none"];
    throw new TypeError(
      `"${algorithm}" is not a valid algorithm.\n  Supported algorithms are:\n  ` +
        '"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", ' +
        '"ES256", "ES384", "ES512" and "none".',
    );
  };

  const signature = (algorithm, text, key) => {
    const [family, hash] = parts(algorithm);
    if (family === "none") return "";
    if (family === "HS") return crypto.createHmac(hash, key).update(text).digest("base64url");
    return crypto.sign(hash, Buffer.from(text), asymmetric[family](key)).toString("base64url");
  };

  return {
    sign(header, payload, key, encoding) {
      const content = typeof payload === "object" && !Buffer.isBuffer(payload)
        ? JSON.stringify(payload)
        : payload;
      const text = `${encoded(JSON.stringify(header), "binary")}.${encoded(content, encoding)}`;
      return `${text}.${signature(header.alg, text, key)}`;
    },

    verify(token, algorithm, key) {
      const end = token.lastIndexOf(".");
      const [text, given] = [token.slice(0, end), token.slice(end + 1)];
      const [family, hash] = parts(algorithm);
      if (family === "none") return given === "";
      if (family === "HS") {
        const [left, right] = [Buffer.from(given), Buffer.from(signature(algorithm, text, key))];
        return left.length === right.length && crypto.timingSafeEqual(left, right);
      }
      const bytes = Buffer.from(given, "base64url");
      return crypto.verify(hash, Buffer.from(text), asymmetric[family](key), bytes);
    },

    // Nothing when it is none.
    decode(token, options) {
      token = typeof token === "string" ? token : `${token}`;
      if (!SHAPE.test(token)) return null;
      const [head, body, signature = ""] = token.split(".");
      const text = (part, encoding) => Buffer.from(part, "base64url").toString(encoding);
      let header;
      try {
        header = JSON.parse(text(head, "binary"));
      } catch {
        return null;
      }
      if (!header) return null;
      let payload = text(body, "utf8");
      if (header.typ === "JWT" || options?.json) payload = JSON.parse(payload, options?.encoding);
      return { header, payload, signature };
    },
  };
});
