// What all streams have in common: the class Stream, how they are made, and how they end.
(parts) => {
  const { errors, EventEmitter } = parts;
  const { coded, outOfRange } = errors;
  const resolved = Promise.resolve();

  function Stream(options) {
    EventEmitter.call(this, options);
  }
  Object.setPrototypeOf(Stream, EventEmitter);
  Stream.prototype = Object.create(EventEmitter.prototype, {
    constructor: { value: Stream, writable: true, configurable: true },
  });

  // As queueMicrotask, but what is thrown counts as an unhandled rejection of its own.
  const later = (task) => void resolved.then(task);

  const statesOf = (stream) =>
    [stream._readableState, stream._writableState].filter((state) => state !== undefined);

  const newState = (options) => ({
    destroyed: false,
    closed: false,
    closeEmitted: false,
    errored: null,
    errorEmitted: false,
    constructed: true,
    autoDestroy: options?.autoDestroy !== false,
    emitClose: options?.emitClose !== false,
  });

  const close = (stream, error) => {
    const states = statesOf(stream);
    for (const state of states) {
      state.closed = true;
      if (error) state.errored ??= error;
    }
    later(() => {
      if (error && !states.some((state) => state.errorEmitted)) {
        for (const state of states) state.errorEmitted = true;
        stream.emit("error", error);
      }
      for (const state of states) state.closeEmitted = true;
      if (states.some((state) => state.emitClose)) stream.emit("close");
    });
  };

  const destroy = (stream, error, callback) => {
    const states = statesOf(stream);
    if (states.some((state) => state.destroyed)) {
      callback?.();
      return stream;
    }
    for (const state of states) {
      state.destroyed = true;
      if (error) state.errored ??= error;
    }
    const run = () => {
      let called = false;
      const done = (other) => {
        if (called) return;
        called = true;
        const end = other ?? null;
        callback?.(end);
        close(stream, end);
      };
      try {
        stream._destroy(error ?? null, done);
      } catch (other) {
        done(other);
      }
    };
    if (states.every((state) => state.constructed)) run();
    else stream.once(parts.constructed, run);
    return stream;
  };

  // Ends a stream with an error, or only tells of it if it does not end by itself.
  const fail = (stream, error) => {
    const states = statesOf(stream);
    if (states.some((state) => state.destroyed)) return;
    if (states.some((state) => state.autoDestroy)) {
      destroy(stream, error);
      return;
    }
    for (const state of states) {
      state.errored ??= error;
      state.errorEmitted = true;
    }
    later(() => stream.emit("error", error));
  };

  parts.constructed = Symbol("constructed");

  // Takes over the methods that the options give, and runs `_construct`.
  const construct = (stream, options, names) => {
    for (const name of [...names, "destroy", "construct"]) {
      if (typeof options?.[name] === "function") stream[`_${name}`] = options[name];
    }
    if (options?.signal) parts.addAbortSignal(options.signal, stream);
    if (typeof stream._construct !== "function") return;
    for (const state of statesOf(stream)) state.constructed = false;
    later(() => {
      const done = (error) => {
        for (const state of statesOf(stream)) state.constructed = true;
        stream.emit(parts.constructed);
        if (error) fail(stream, error);
        else later(() => parts.goOn(stream));
      };
      try {
        stream._construct(done);
      } catch (error) {
        done(error);
      }
    });
  };

  const aborted = (signal) => {
    const error = coded(Error, "ABORT_ERR", "The operation was aborted");
    error.name = "AbortError";
    error.cause = signal.reason;
    return error;
  };
  parts.aborted = aborted;
  parts.addAbortSignal = (signal, stream) => {
    const abort = () => destroy(stream, aborted(signal));
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
    return stream;
  };

  // Node's own: 16 objects, or 16 KiB.
  const defaultHighWaterMark = (given, objectMode) => {
    if (given === undefined || given === null) return objectMode ? 16 : 16 * 1024;
    if (Number.isInteger(given) && given >= 0) return given;
    throw outOfRange("highWaterMark", "a non-negative integer", given);
  };

  // Getters that look at a state.
  parts.defineState = (prototype, name, getters) => {
    for (const key of Object.keys(getters)) {
      Object.defineProperty(prototype, key, {
        configurable: true,
        enumerable: false,
        get() {
          return this[name] ? getters[key](this[name], this) : false;
        },
        set() {},
      });
    }
  };

  for (const [key, of] of [
    ["destroyed", (states) => states.some((state) => state.destroyed)],
    ["closed", (states) => states.some((state) => state.closed)],
    ["errored", (states) => states.find((state) => state.errored)?.errored ?? null],
  ]) {
    Object.defineProperty(Stream.prototype, key, {
      configurable: true,
      get() {
        return of(statesOf(this));
      },
      set() {},
    });
  }

  parts.Stream = Stream;
  parts.common = { later, newState, destroy, fail, construct, defaultHighWaterMark };
};
