// `querystring`: the older way to read and write what follows a "?".
(require, { coded }) => {
  const HEX = /^[0-9A-Fa-f]{2}$/;

  // As decodeURIComponent, but what is not valid stays or becomes U+FFFD.
  const unescapeBuffer = (text) => {
    const bytes = [];
    for (let place = 0; place < text.length; place++) {
      const hex = text[place] === "%" ? text.slice(place + 1, place + 3) : "";
      if (HEX.test(hex)) {
        bytes.push(parseInt(hex, 16));
        place += 2;
      } else {
        bytes.push(text.charCodeAt(place));
      }
    }
    return Buffer.from(bytes);
  };
  const unescape = (text) => {
    try {
      return decodeURIComponent(text);
    } catch {
      return unescapeBuffer(text).toString();
    }
  };
  const escape = (value) => {
    const text = typeof value === "object" ? String(value) : `${value}`;
    try {
      return encodeURIComponent(text);
    } catch {
      throw coded(URIError, "ERR_INVALID_URI", "URI malformed");
    }
  };

  const textOf = (value) => {
    if (typeof value === "string") return value;
    if (typeof value === "number" && Number.isFinite(value)) return `${value}`;
    return typeof value === "bigint" || typeof value === "boolean" ? `${value}` : "";
  };

  const querystring = {
    escape,
    unescape,
    unescapeBuffer,
    stringify(object, separator = "&", equals = "=", options = undefined) {
      if (object === null || typeof object !== "object") return "";
      const encode = options?.encodeURIComponent ?? querystring.escape;
      const pair = (name, value) =>
        `${encode(textOf(name))}${equals || "="}${encode(textOf(value))}`;
      return Object.keys(object)
        .flatMap((name) => {
          const value = object[name];
          return Array.isArray(value) ? value.map((one) => pair(name, one)) : [pair(name, value)];
        })
        .join(separator || "&");
    },
    parse(query, separator = "&", equals = "=", options = undefined) {
      const result = { __proto__: null };
      if (typeof query !== "string" || query === "") return result;
      const decode = options?.decodeURIComponent ?? querystring.unescape;
      const decoded = (text) => {
        text = text.replaceAll("+", " ");
        if (decode === unescape && !text.includes("%")) return text;
        try {
          return decode(text);
        } catch {
          return unescape(text);
        }
      };
      const most = typeof options?.maxKeys === "number" ? options.maxKeys : 1000;
      let pairs = query.split(separator || "&");
      if (most > 0) pairs = pairs.slice(0, most);
      for (const pair of pairs) {
        if (pair === "") continue;
        const sign = equals || "=";
        const place = pair.indexOf(sign);
        const name = decoded(place < 0 ? pair : pair.slice(0, place));
        const value = place < 0 ? "" : decoded(pair.slice(place + sign.length));
        if (!(name in result)) result[name] = value;
        else if (Array.isArray(result[name])) result[name].push(value);
        else result[name] = [result[name], value];
      }
      return result;
    },
  };
  querystring.decode = querystring.parse;
  querystring.encode = querystring.stringify;
  return querystring;
};
