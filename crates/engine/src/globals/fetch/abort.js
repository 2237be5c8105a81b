// AbortController and AbortSignal. There is no EventTarget behind them: the only event is "abort".
(parts) => {
  const { native, errors } = parts;
  const key = Symbol("constructor");
  let abort;

  class AbortSignal {
    #aborted = false;
    #reason = undefined;
    #listeners = [];
    #onabort = null;

    static {
      abort = (signal, reason = new DOMException("This operation was aborted", "AbortError")) => {
        if (signal.#aborted) return;
        signal.#aborted = true;
        signal.#reason = reason;
        signal.dispatchEvent({ type: "abort", target: signal, currentTarget: signal });
      };
    }

    constructor(given = undefined) {
      if (given === key) return;
      throw errors.coded(TypeError, "ERR_ILLEGAL_CONSTRUCTOR", "Illegal constructor");
    }

    static abort(reason = undefined) {
      const signal = new AbortSignal(key);
      abort(signal, reason);
      return signal;
    }

    // Rings while a request or the call itself waits, not after the call.
    static timeout(milliseconds) {
      if (!(milliseconds >= 0 && milliseconds < 2 ** 32)) {
        throw errors.outOfRange("delay", `>= 0 && <= ${2 ** 32 - 1}`, milliseconds);
      }
      const signal = new AbortSignal(key);
      native.setAlarm(milliseconds, () => {
        abort(signal, new DOMException("The operation was aborted due to timeout", "TimeoutError"));
      });
      return signal;
    }

    static any(signals) {
      signals = [...signals];
      const any = new AbortSignal(key);
      for (const signal of signals) {
        if (signal.aborted) abort(any, signal.reason);
        else signal.addEventListener("abort", () => abort(any, signal.reason), { once: true });
      }
      return any;
    }

    get aborted() {
      return this.#aborted;
    }

    get reason() {
      return this.#reason;
    }

    get onabort() {
      return this.#onabort;
    }
    set onabort(listener) {
      this.#onabort = typeof listener === "function" ? listener : null;
    }

    throwIfAborted() {
      if (this.#aborted) throw this.#reason;
    }

    addEventListener(type, listener, options = undefined) {
      if (listener === null || listener === undefined) return;
      const known = this.#listeners.some((other) => {
        return other.type === `${type}` && other.listener === listener;
      });
      if (known) return;
      this.#listeners.push({ type: `${type}`, listener, once: Boolean(options?.once) });
    }

    removeEventListener(type, listener) {
      this.#listeners = this.#listeners.filter((other) => {
        return other.type !== `${type}` || other.listener !== listener;
      });
    }

    dispatchEvent(event) {
      const call = (listener) => {
        try {
          if (typeof listener === "function") listener.call(this, event);
          else listener.handleEvent(event);
        } catch (error) {
          // Nobody is there to catch it: it counts as an unhandled rejection.
          Promise.reject(error);
        }
      };
      if (event.type === "abort" && this.#onabort) call(this.#onabort);
      for (const { type, listener, once } of [...this.#listeners]) {
        if (type !== `${event.type}`) continue;
        if (once) this.removeEventListener(type, listener);
        call(listener);
      }
      return true;
    }
  }

  class AbortController {
    #signal = new AbortSignal(key);

    get signal() {
      return this.#signal;
    }

    abort(reason = undefined) {
      abort(this.#signal, reason);
    }
  }

  // Web interfaces show their members to `for in`, and their name.
  parts.expose = (Class) => {
    for (const name of Object.getOwnPropertyNames(Class.prototype)) {
      if (name !== "constructor") Object.defineProperty(Class.prototype, name, { enumerable: true });
    }
    Object.defineProperty(Class.prototype, Symbol.toStringTag, {
      value: Class.name,
      configurable: true,
    });
    parts[Class.name] = Class;
  };
  parts.expose(AbortSignal);
  parts.expose(AbortController);
  parts.neverAborted = () => new AbortSignal(key);
};
