// Request. Every method becomes capitals, as in node-fetch: the standard would send "patch" as it is,
// which servers refuse.
(parts) => {
  const { native, expose, extract, bytesOf, useUp, neverAborted, Body, Headers } = parts;

  const addressOf = (input) => {
    const text = `${input?.href ?? input}`;
    const url = native.parse(text, undefined);
    if (url === undefined) throw new TypeError(`"${text}" is not an absolute URL`);
    if (!/^https?:/.test(url)) throw new TypeError(`"${text}" is neither http nor https`);
    return url;
  };

  const methodOf = (method) => {
    const name = `${method}`.toUpperCase();
    if (!/^[!#$%&'*+\-.^_`|~0-9A-Z]+$/.test(name) || /^(CONNECT|TRACE|TRACK)$/.test(name)) {
      throw new TypeError(`"${method}" is not a method that can be used`);
    }
    return name;
  };

  const redirectOf = (redirect) => {
    redirect = `${redirect}`;
    if (["follow", "manual", "error"].includes(redirect)) return redirect;
    throw new TypeError(`redirect must be "follow", "manual" or "error", not "${redirect}"`);
  };

  const signalOf = (signal) => {
    if (typeof signal?.addEventListener === "function" && typeof signal.aborted === "boolean") {
      return signal;
    }
    throw new TypeError("signal must be an AbortSignal");
  };

  class Request extends Body {
    #url;
    #method;
    #headers;
    #redirect;
    #signal;
    #timeout;

    constructor(input, init = undefined) {
      if (arguments.length === 0) throw new TypeError("a request needs a URL");
      init ??= {};
      const from = input instanceof Request ? input : undefined;
      const url = from ? from.url : addressOf(input);
      const method = methodOf(init.method ?? from?.method ?? "GET");
      const headers = new Headers(init.headers ?? from?.headers);
      const given = init.body !== undefined && init.body !== null;
      if (from?.bodyUsed && !given) throw new TypeError("the body has been read already");
      let bytes = from ? bytesOf(from) : null;
      if (given) {
        const extracted = extract(init.body);
        bytes = extracted.bytes;
        if (extracted.type && !headers.has("content-type")) {
          headers.set("content-type", extracted.type);
        }
      }
      if (bytes !== null && (method === "GET" || method === "HEAD")) {
        throw new TypeError("a request with method GET or HEAD cannot have a body");
      }
      super(bytes);
      this.#url = url;
      this.#method = method;
      this.#headers = headers;
      this.#redirect = redirectOf(init.redirect ?? from?.redirect ?? "follow");
      const signal = init.signal === undefined ? from?.signal : init.signal;
      this.#signal = signal ? signalOf(signal) : neverAborted();
      this.#timeout = Number(init.timeout ?? from?.timeout ?? 0);
      if (from && !given) useUp(from);
    }

    get url() {
      return this.#url;
    }

    get method() {
      return this.#method;
    }

    get headers() {
      return this.#headers;
    }

    get redirect() {
      return this.#redirect;
    }

    get signal() {
      return this.#signal;
    }

    // node-fetch's: milliseconds, 0 for no limit.
    get timeout() {
      return this.#timeout;
    }

    clone() {
      if (this.bodyUsed) throw new TypeError("the body has been read already");
      const { method, headers, redirect, signal, timeout } = this;
      const body = bytesOf(this);
      const clone = new Request(this.url, { method, redirect, signal, timeout, body });
      clone.#headers = new Headers(headers);
      return clone;
    }
  }

  expose(Request);
};
