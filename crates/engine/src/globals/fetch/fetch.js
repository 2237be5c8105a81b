// fetch, which also is the module node-fetch and has its classes as properties.
(parts) => {
  const { native, bytesOf, respond, useUp, Headers, Request, Response } = parts;

  // node-fetch's, and a TypeError as the standard has it.
  class FetchError extends TypeError {
    constructor(message, type = undefined) {
      super(message);
      this.type = type;
    }
  }

  class AbortError extends Error {
    constructor(message = "The user aborted a request.") {
      super(message);
      this.type = "aborted";
    }

    // The reason of a signal is a DOMException with this name.
    static [Symbol.hasInstance](error) {
      return error?.name === "AbortError";
    }
  }

  for (const Class of [FetchError, AbortError]) {
    Object.defineProperty(Class.prototype, "name", {
      value: Class.name,
      writable: true,
      configurable: true,
    });
  }

  const start = (request, resolve, reject) => {
    const { url, method, signal, timeout, redirect } = request;
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    const failed = (reason) => {
      const message = native.redact(`request to ${url} failed, reason: ${reason}`);
      return new FetchError(message, "system");
    };
    let alarm;
    const settle = (reason, response) => {
      signal.removeEventListener("abort", aborted);
      if (alarm !== undefined) native.clearAlarm(alarm);
      try {
        if (response) resolve(respond(response));
        else reject(failed(reason));
      } catch (error) {
        reject(failed(error.message));
      }
    };
    const stop = (error) => {
      native.cancel(number);
      reject(error);
    };
    const aborted = () => {
      if (alarm !== undefined) native.clearAlarm(alarm);
      stop(signal.reason);
    };
    const body = bytesOf(request) ?? undefined;
    const headers = [...request.headers];
    const sent = { method, url: url.split("#", 1)[0], headers, body, redirect };
    const { number, refusal } = native.send(sent, settle);
    if (number === undefined) {
      reject(failed(refusal));
      return;
    }
    if (body) useUp(request);
    signal.addEventListener("abort", aborted);
    if (timeout > 0) {
      alarm = native.setAlarm(timeout, () => {
        signal.removeEventListener("abort", aborted);
        stop(new FetchError(`network timeout at: ${url}`, "request-timeout"));
      });
    }
  };

  // Without an executor, whose frame would stand in the stack of every failure.
  const withResolvers = Promise.withResolvers.bind(Promise);

  function fetch(input, init = undefined) {
    const { promise, resolve, reject } = withResolvers();
    try {
      start(new Request(input, init), resolve, reject);
    } catch (error) {
      reject(error);
    }
    return promise;
  }

  const isRedirect = (status) => [301, 302, 303, 307, 308].includes(status);
  const members = { Headers, Request, Response, FetchError, AbortError, isRedirect, default: fetch };
  for (const name in members) {
    Object.defineProperty(fetch, name, {
      value: members[name],
      writable: true,
      configurable: true,
    });
  }
  parts.fetch = fetch;
  parts.FetchError = FetchError;
};
