// `events`: Node's EventEmitter, and the functions beside it.
(require, { coded, wrongType, outOfRange }) => {
  const { apply, ownKeys } = Reflect;
  const errorMonitor = Symbol("events.errorMonitor");
  const captureRejectionSymbol = Symbol.for("nodejs.rejection");
  const kCapture = Symbol("kCapture");
  let defaultMaxListeners = 10;

  const needListener = (listener) => {
    if (typeof listener !== "function") throw wrongType("listener", "of type function", listener);
  };
  const needCount = (name, count) => {
    if (typeof count !== "number" || !(count >= 0)) {
      throw outOfRange(name, ">= 0", count);
    }
  };

  function EventEmitter(options) {
    EventEmitter.init.call(this, options);
  }

  EventEmitter.init = function (options) {
    if (!Object.hasOwn(this, "_events") || this._events === undefined) {
      this._events = { __proto__: null };
      this._eventsCount = 0;
    }
    this._maxListeners ??= undefined;
    if (options?.captureRejections) this[kCapture] = true;
  };

  // Always arrays of listeners; never changed in place, since an emit may be going through one.
  const listOf = (emitter, type) => emitter._events?.[type] ?? [];
  const setList = (emitter, type, list) => {
    if (!Object.hasOwn(emitter, "_events")) EventEmitter.init.call(emitter);
    const events = emitter._events;
    if (list.length > 0) {
      if (!(type in events)) emitter._eventsCount++;
      events[type] = list;
    } else if (type in events) {
      emitter._eventsCount--;
      delete events[type];
    }
  };

  const add = (emitter, type, listener, first) => {
    needListener(listener);
    if (emitter._events?.newListener) {
      emitter.emit("newListener", type, listener.listener ?? listener);
    }
    const list = listOf(emitter, type);
    setList(emitter, type, first ? [listener, ...list] : [...list, listener]);
    return emitter;
  };

  const onceOnly = (emitter, type, listener) => {
    needListener(listener);
    let fired = false;
    const wrapper = function (...parameters) {
      if (fired) return undefined;
      fired = true;
      emitter.removeListener(type, wrapper);
      return apply(listener, emitter, parameters);
    };
    wrapper.listener = listener;
    return wrapper;
  };

  const rejected = (emitter, type, parameters) => (error) => {
    queueMicrotask(() => {
      if (typeof emitter[captureRejectionSymbol] === "function") {
        emitter[captureRejectionSymbol](error, type, ...parameters);
      } else if (type === "error") {
        throw error;
      } else {
        emitter.emit("error", error);
      }
    });
  };

  const unhandled = (error) => {
    if (error instanceof Error) return error;
    const { inspect } = require("util");
    const message = `Unhandled error. (${inspect(error)})`;
    return Object.assign(coded(Error, "ERR_UNHANDLED_ERROR", message), { context: error });
  };

  Object.assign(EventEmitter.prototype, {
    emit(type, ...parameters) {
      if (type === "error") {
        if (listOf(this, errorMonitor).length > 0) this.emit(errorMonitor, ...parameters);
        if (listOf(this, "error").length === 0) throw unhandled(parameters[0]);
      }
      const list = listOf(this, type);
      for (const listener of list) {
        const result = apply(listener, this, parameters);
        if (this[kCapture] && typeof result?.then === "function") {
          result.then(undefined, rejected(this, type, parameters));
        }
      }
      return list.length > 0;
    },
    addListener(type, listener) {
      return add(this, type, listener, false);
    },
    prependListener(type, listener) {
      return add(this, type, listener, true);
    },
    once(type, listener) {
      return this.on(type, onceOnly(this, type, listener));
    },
    prependOnceListener(type, listener) {
      return this.prependListener(type, onceOnly(this, type, listener));
    },
    removeListener(type, listener) {
      needListener(listener);
      const list = listOf(this, type);
      const place = list.findLastIndex((one) => one === listener || one.listener === listener);
      if (place < 0) return this;
      setList(this, type, list.toSpliced(place, 1));
      if (this._events.removeListener) this.emit("removeListener", type, listener);
      return this;
    },
    removeAllListeners(type) {
      const types = arguments.length > 0 ? [type] : ownKeys(this._events ?? {});
      for (const one of types) {
        if (this._events?.removeListener && one !== "removeListener") {
          for (const listener of listOf(this, one).toReversed()) this.removeListener(one, listener);
        }
        setList(this, one, []);
      }
      return this;
    },
    setMaxListeners(count) {
      needCount("setMaxListeners", count);
      this._maxListeners = count;
      return this;
    },
    getMaxListeners() {
      return this._maxListeners ?? defaultMaxListeners;
    },
    listeners(type) {
      return listOf(this, type).map((one) => one.listener ?? one);
    },
    rawListeners(type) {
      return [...listOf(this, type)];
    },
    listenerCount(type, listener) {
      const list = listOf(this, type);
      if (!listener) return list.length;
      return list.filter((one) => one === listener || one.listener === listener).length;
    },
    eventNames() {
      return ownKeys(this._events ?? {});
    },
  });
  const { prototype } = EventEmitter;
  prototype.on = prototype.addListener;
  prototype.off = prototype.removeListener;

  const isTarget = (emitter) => typeof emitter?.addEventListener === "function";
  const listen = (emitter, type, listener) => {
    if (typeof emitter?.on === "function") emitter.on(type, listener);
    else if (isTarget(emitter)) emitter.addEventListener(type, listener);
    else throw wrongType("emitter", "an instance of EventEmitter", emitter);
  };
  const unlisten = (emitter, type, listener) => {
    if (typeof emitter.removeListener === "function") emitter.removeListener(type, listener);
    else emitter.removeEventListener(type, listener);
  };

  const aborted = (signal) => {
    const error = coded(Error, "ABORT_ERR", "The operation was aborted");
    error.name = "AbortError";
    error.cause = signal.reason;
    return error;
  };

  // Listens to an event and to what ends the wait for it; tells how to stop listening.
  const watch = (emitter, type, signal, { heard, failed }) => {
    const stopped = () => failed(aborted(signal));
    listen(emitter, type, heard);
    if (type !== "error" && !isTarget(emitter)) emitter.on("error", failed);
    signal?.addEventListener("abort", stopped, { once: true });
    return () => {
      unlisten(emitter, type, heard);
      if (type !== "error" && !isTarget(emitter)) emitter.removeListener("error", failed);
      signal?.removeEventListener("abort", stopped);
    };
  };

  const once = async (emitter, type, { signal } = {}) => {
    if (signal?.aborted) throw aborted(signal);
    let end;
    try {
      return await new Promise((resolve, reject) => {
        const heard = (...parameters) => resolve(parameters);
        end = watch(emitter, type, signal, { heard, failed: reject });
      });
    } finally {
      end?.();
    }
  };

  const on = (emitter, type, { signal, close = [] } = {}) => {
    if (signal?.aborted) throw aborted(signal);
    const heard = [];
    const waiting = [];
    let failure;
    let done = false;
    const finish = () => {
      if (done) return;
      done = true;
      end();
      for (const name of close) unlisten(emitter, name, finish);
      for (const { resolve } of waiting.splice(0)) resolve({ value: undefined, done: true });
    };
    const end = watch(emitter, type, signal, {
      heard: (...value) => {
        const next = waiting.shift();
        if (next) next.resolve({ value, done: false });
        else heard.push(value);
      },
      failed: (error) => {
        const next = waiting.shift();
        if (next) next.reject(error);
        else failure = { error };
        finish();
      },
    });
    for (const name of close) listen(emitter, name, finish);
    return {
      next() {
        if (heard.length > 0) return Promise.resolve({ value: heard.shift(), done: false });
        if (failure) {
          const { error } = failure;
          failure = undefined;
          return Promise.reject(error);
        }
        if (done) return Promise.resolve({ value: undefined, done: true });
        return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
      },
      return() {
        finish();
        return Promise.resolve({ value: undefined, done: true });
      },
      throw(error) {
        failure = { error };
        finish();
        return Promise.resolve({ value: undefined, done: true });
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  };

  Object.assign(EventEmitter, {
    EventEmitter,
    errorMonitor,
    captureRejectionSymbol,
    captureRejections: false,
    once,
    on,
    listenerCount: (emitter, type) => emitter.listenerCount(type),
    getEventListeners: (emitter, type) => emitter.listeners(type),
    getMaxListeners: (emitter) => emitter.getMaxListeners(),
    setMaxListeners(count = defaultMaxListeners, ...emitters) {
      needCount("setMaxListeners", count);
      if (emitters.length === 0) defaultMaxListeners = count;
      for (const emitter of emitters) emitter.setMaxListeners?.(count);
    },
  });
  Object.defineProperty(EventEmitter, "defaultMaxListeners", {
    enumerable: true,
    get: () => defaultMaxListeners,
    set(count) {
      needCount("defaultMaxListeners", count);
      defaultMaxListeners = count;
    },
  });
  return EventEmitter;
};
