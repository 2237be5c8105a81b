// Response.
(parts) => {
  const { expose, extract, bytesOf, native, Body, Headers } = parts;
  const WITHOUT_BODY = [101, 103, 204, 205, 304];

  const statusOf = (status) => {
    status = Number(status);
    if (status >= 200 && status <= 599) return Math.trunc(status);
    throw new RangeError("a status is a number from 200 to 599");
  };

  let respond;

  class Response extends Body {
    #status = 200;
    #statusText = "";
    #headers;
    #url = "";
    #redirected = false;
    #type = "default";

    static {
      // What a host answered; it may have any status.
      respond = ({ status, statusText, headers, body, url, redirected }) => {
        const bytes = WITHOUT_BODY.includes(status) ? null : body;
        const response = new Response(bytes, { headers });
        response.#status = status;
        response.#statusText = statusText;
        response.#url = url;
        response.#redirected = redirected;
        response.#type = "basic";
        return response;
      };
    }

    constructor(body = null, init = undefined) {
      init ??= {};
      const status = statusOf(init.status ?? 200);
      const { bytes, type } = extract(body);
      if (bytes !== null && WITHOUT_BODY.includes(status)) {
        throw new TypeError(`a response with status ${status} cannot have a body`);
      }
      super(bytes);
      this.#status = status;
      this.#statusText = `${init.statusText ?? ""}`;
      this.#headers = new Headers(init.headers);
      if (type && !this.#headers.has("content-type")) this.#headers.set("content-type", type);
    }

    static json(data, init = undefined) {
      const text = JSON.stringify(data);
      if (text === undefined) throw new TypeError("the data is not JSON");
      const headers = new Headers(init?.headers);
      if (!headers.has("content-type")) headers.set("content-type", "application/json");
      return new Response(text, { ...init, headers });
    }

    static error() {
      const response = new Response();
      response.#status = 0;
      response.#type = "error";
      return response;
    }

    static redirect(url, status = 302) {
      const location = native.parse(`${url}`, undefined);
      if (location === undefined) throw new TypeError(`"${url}" is not an absolute URL`);
      if (![301, 302, 303, 307, 308].includes(status)) {
        throw new RangeError(`${status} is not the status of a redirect`);
      }
      return new Response(null, { status, headers: { location } });
    }

    get type() {
      return this.#type;
    }

    get url() {
      return this.#url;
    }

    get redirected() {
      return this.#redirected;
    }

    get status() {
      return this.#status;
    }

    get ok() {
      return this.#status >= 200 && this.#status <= 299;
    }

    get statusText() {
      return this.#statusText;
    }

    get headers() {
      return this.#headers;
    }

    // node-fetch says where a body came from that is no JSON.
    async json() {
      const text = await this.text();
      try {
        return JSON.parse(text);
      } catch (error) {
        if (this.#url === "") throw error;
        const reason = `invalid json response body at ${this.#url} reason: ${error.message}`;
        throw new parts.FetchError(native.redact(reason), "invalid-json");
      }
    }

    clone() {
      if (this.bodyUsed) throw new TypeError("the body has been read already");
      const clone = new Response(bytesOf(this), { headers: this.#headers });
      clone.#status = this.#status;
      clone.#statusText = this.#statusText;
      clone.#url = this.#url;
      clone.#redirected = this.#redirected;
      clone.#type = this.#type;
      return clone;
    }
  }

  expose(Response);
  parts.respond = respond;
};
