// AbortController and AbortSignal.
(parts) => {
  const { native, errors, Event, EventTarget } = parts;
  const key = Symbol("constructor");
  let abort;

  class AbortSignal extends EventTarget {
    #aborted = false;
    #reason = undefined;
    #onabort = null;

    static {
      abort = (signal, reason = new DOMException("This operation was aborted", "AbortError")) => {
        if (signal.#aborted) return;
        signal.#aborted = true;
        signal.#reason = reason;
        signal.dispatchEvent(new Event("abort"));
      };
    }

    constructor(given = undefined) {
      if (given !== key) {
        throw errors.coded(TypeError, "ERR_ILLEGAL_CONSTRUCTOR", "Illegal constructor");
      }
      super();
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

  parts.expose(AbortSignal);
  parts.expose(AbortController);
  parts.neverAborted = () => new AbortSignal(key);
};
