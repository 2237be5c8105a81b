// Node's URL functions from before the web had a standard: a string and its parts as plain fields.
((module, native, errors, makeResolve) => {
  const { coded, wrongType } = errors;
  const { URL } = module;

  // Protocols that have "//" even where it is not written.
  const slashed = new Set(
    ["http", "https", "ftp", "gopher", "file", "ws", "wss"].flatMap((name) => [name, `${name}:`]),
  );
  const isScript = (protocol) => protocol === "javascript" || protocol === "javascript:";

  const invalid = (input) =>
    Object.assign(coded(TypeError, "ERR_INVALID_URL", "Invalid URL"), { input });

  // A character that ends a host although it begins nothing.
  const ENDS_HOST = /[\t\n\r "%';<>\\^`{|}]/;
  const FORBIDDEN_IN_HOST = /[\0\t\n\r #%/:<>?@[\\\]^|]/;
  const FORBIDDEN_IN_IPV6 = /[\0\t\n\r #%/<>?@\\^|]/;
  const LONGEST_HOST = 255;
  const SIMPLE_PATH = /^(\/(?!\/)[^?#\s]*|\/\/(?!\/)[^?#@\s]*)(\?[^#\s]*)?$/;

  const escaped = (text) =>
    text.replace(/[\t\n\r "'<>\\^`{|}]/g, (character) => {
      const code = character.charCodeAt(0).toString(16).toUpperCase();
      return `%${code.padStart(2, "0")}`;
    });

  // Node stops there, too.
  const MOST_PAIRS = 1000;

  const queryObject = (query) => {
    const parsed = Object.create(null);
    for (const [name, value] of native.readForm(query).slice(0, MOST_PAIRS)) {
      if (!(name in parsed)) parsed[name] = value;
      else if (Array.isArray(parsed[name])) parsed[name].push(value);
      else parsed[name] = [parsed[name], value];
    }
    return parsed;
  };

  // encodeURIComponent lets the same characters through, except for the blank.
  const component = (value) => {
    const kinds = ["string", "boolean", "bigint"];
    const shown = kinds.includes(typeof value) || Number.isFinite(value) ? `${value}` : "";
    return encodeURIComponent(shown.toWellFormed());
  };
  const queryText = (query) =>
    Object.keys(query)
      .flatMap((name) => {
        const values = Array.isArray(query[name]) ? query[name] : [query[name]];
        return values.map((value) => `${component(name)}=${component(value)}`);
      })
      .join("&");

  class Url {
    protocol = null;
    slashes = null;
    auth = null;
    host = null;
    port = null;
    hostname = null;
    hash = null;
    search = null;
    query = null;
    pathname = null;
    path = null;
    href = null;

    parse(url, parseQuery, slashesDenoteHost) {
      if (typeof url !== "string") throw wrongType("url", "of type string", url);
      let rest = url.trim();
      const queryStart = rest.search(/[?#]/);
      const end = queryStart < 0 ? rest.length : queryStart;
      rest = rest.slice(0, end).replaceAll("\\", "/") + rest.slice(end);

      const simple = SIMPLE_PATH.exec(rest);
      if (simple && !slashesDenoteHost) {
        this.path = this.href = rest;
        this.pathname = simple[1];
        this.#setQuery(simple[2] ?? "", parseQuery);
        return this;
      }

      const protocol = /^[a-z0-9.+-]+:/i.exec(rest)?.[0];
      if (protocol) {
        this.protocol = protocol.toLowerCase();
        rest = rest.slice(protocol.length);
      }
      const script = isScript(this.protocol);
      if ((slashesDenoteHost || protocol || /^\/\/[^@/]+@[^@/]+/.test(rest)) && !script) {
        if (rest.startsWith("//")) {
          this.slashes = true;
          rest = rest.slice(2);
        }
      }
      if (!script && (this.slashes || (protocol && !slashed.has(this.protocol)))) {
        rest = this.#parseHost(rest, url);
      }
      if (!script) rest = escaped(rest);

      const hashStart = rest.indexOf("#");
      if (hashStart >= 0) {
        this.hash = rest.slice(hashStart);
        rest = rest.slice(0, hashStart);
      }
      const searchStart = rest.indexOf("?");
      this.#setQuery(searchStart < 0 ? "" : rest.slice(searchStart), parseQuery);
      const pathname = searchStart < 0 ? rest : rest.slice(0, searchStart);
      if (pathname) this.pathname = pathname;
      else if (slashed.has(this.protocol) && this.hostname) this.pathname = "/";
      this.#setPath();
      this.href = this.format();
      return this;
    }

    // Takes authority and host off the front of what is left.
    #parseHost(rest, url) {
      const [authority] = rest.split(/[/?#]/, 1);
      const at = authority.lastIndexOf("@");
      if (at >= 0) this.auth = decodeURIComponent(authority.slice(0, at));
      const start = at + 1;
      const ending = authority.slice(start).search(ENDS_HOST);
      const end = ending < 0 ? authority.length : start + ending;
      this.host = rest.slice(start, end);
      rest = rest.slice(end);
      this.#splitPort();
      const hostname = (this.hostname ??= "");
      const isIPv6 = hostname.startsWith("[") && hostname.endsWith("]");
      if (!isIPv6) rest = this.#cutHostname(hostname) + rest;
      this.hostname = this.hostname.length > LONGEST_HOST ? "" : this.hostname.toLowerCase();
      if (this.hostname !== "") {
        if (isIPv6) {
          if (FORBIDDEN_IN_IPV6.test(this.hostname)) throw invalid(url);
        } else {
          if (/[^\0-\x7F]/.test(this.hostname)) this.hostname = native.toASCII(this.hostname);
          if (this.hostname === "" || FORBIDDEN_IN_HOST.test(this.hostname)) throw invalid(url);
        }
      }
      this.host = this.hostname + (this.port ? `:${this.port}` : "");
      if (isIPv6) {
        this.hostname = this.hostname.slice(1, -1);
        if (!rest.startsWith("/")) rest = `/${rest}`;
      }
      return rest;
    }

    #splitPort() {
      const port = /:[0-9]*$/.exec(this.host)?.[0];
      let host = this.host;
      if (port) {
        if (port !== ":") this.port = port.slice(1);
        host = host.slice(0, -port.length);
      }
      if (host) this.hostname = host;
    }

    // A colon that begins no port is taken for the path.
    #cutHostname(hostname) {
      const bad = hostname.indexOf(":");
      if (bad < 0) return "";
      this.hostname = hostname.slice(0, bad);
      return `/${hostname.slice(bad)}`;
    }

    #setQuery(search, parseQuery) {
      if (search) {
        this.search = search;
        this.query = search.slice(1);
        if (parseQuery) this.query = queryObject(this.query);
      } else if (parseQuery) {
        this.query = Object.create(null);
      }
    }

    #setPath() {
      if (this.pathname || this.search) this.path = (this.pathname ?? "") + (this.search ?? "");
    }

    format() {
      let auth = this.auth ?? "";
      if (auth) auth = `${encodeURIComponent(auth).replaceAll("%3A", ":")}@`;
      let protocol = this.protocol ?? "";
      let pathname = this.pathname ?? "";
      let hash = this.hash ?? "";
      let host = "";
      if (this.host) {
        host = auth + this.host;
      } else if (this.hostname) {
        const { hostname } = this;
        const bare = hostname.includes(":") && !hostname.startsWith("[");
        host = auth + (bare ? `[${hostname}]` : hostname) + (this.port ? `:${this.port}` : "");
      }
      const isObject = typeof this.query === "object" && this.query !== null;
      const query = isObject ? queryText(this.query) : "";
      let search = this.search || (query && `?${query}`) || "";
      if (protocol && !protocol.endsWith(":")) protocol += ":";
      pathname = pathname.replaceAll("#", "%23").replaceAll("?", "%3F");
      if (this.slashes || slashed.has(protocol)) {
        if (this.slashes || host) {
          if (pathname && !pathname.startsWith("/")) pathname = `/${pathname}`;
          host = `//${host}`;
        } else if (protocol.startsWith("file")) {
          host = "//";
        }
      }
      search = search.replaceAll("#", "%23");
      if (hash && !hash.startsWith("#")) hash = `#${hash}`;
      if (search && !search.startsWith("?")) search = `?${search}`;
      return protocol + host + pathname + search + hash;
    }

    resolve(relative) {
      return this.resolveObject(parse(relative, false, true)).format();
    }

    resolveObject(relative) {
      return resolved(this, parse(relative, false, true));
    }
  }

  const resolved = makeResolve(Url, slashed);

  const parse = (url, parseQuery, slashesDenoteHost) =>
    url instanceof Url ? url : new Url().parse(url, parseQuery, slashesDenoteHost);

  // An address of the web's class, without the parts that the options leave out.
  const formatWeb = (url, options) => {
    if (options !== undefined && (typeof options !== "object" || options === null)) {
      throw wrongType("options", "of type object", options);
    }
    const { auth = true, fragment = true, search = true, unicode = false } = options ?? {};
    const copy = new URL(url.href);
    if (!fragment) copy.hash = "";
    if (!search) copy.search = "";
    if (!auth) copy.username = copy.password = "";
    if (!unicode || !copy.hostname) return copy.href;
    return copy.href.replace(copy.hostname, native.toUnicode(copy.hostname));
  };

  const functions = {
    parse,
    format(url, options) {
      if (url instanceof URL) return formatWeb(url, options);
      if (typeof url === "string") url = parse(url);
      else if (typeof url !== "object" || url === null) {
        throw wrongType("urlObject", "one of type object or string", url);
      }
      return Url.prototype.format.call(url);
    },
    resolve: (from, to) => parse(from, false, true).resolve(to),
    resolveObject: (from, to) => (from ? parse(from, false, true).resolveObject(to) : to),
    domainToASCII: (domain) => native.toASCII(`${domain}`),
    domainToUnicode: (domain) => native.toUnicode(`${domain}`),
    urlToHttpOptions(url) {
      const { hostname } = url;
      const options = {
        __proto__: null,
        ...url,
        protocol: url.protocol,
        hostname: hostname.startsWith("[") ? hostname.slice(1, -1) : hostname,
        hash: url.hash,
        search: url.search,
        pathname: url.pathname,
        path: `${url.pathname || ""}${url.search || ""}`,
        href: url.href,
      };
      if (url.port !== "") options.port = Number(url.port);
      if (url.username || url.password) {
        const parts = [url.username, url.password].map(decodeURIComponent);
        options.auth = parts.join(":");
      }
      return options;
    },
  };
  return Object.assign(module, { Url }, functions);
});
