// setTimeout and its like. As in Node they give objects, which can be turned into numbers.
(native, { wrongType }, require) => {
  const reject = Promise.reject.bind(Promise);
  // What Node's clock can count; beyond it, as below 1, a delay is 1.
  const LONGEST = 2 ** 31 - 1;
  // Those that were turned into numbers.
  const known = new Map();

  const needFunction = (callback) => {
    if (typeof callback !== "function") throw wrongType("callback", "of type function", callback);
  };
  const delayOf = (delay) => {
    delay = +delay;
    return delay >= 1 && delay <= LONGEST ? Math.trunc(delay) : 1;
  };

  let stop;

  class Timer {
    #callback;
    #parameters;
    #delay;
    #repeats;
    #number;
    #cleared = false;
    #referenced = true;

    static {
      stop = (timer) => {
        if (typeof timer === "number" || typeof timer === "string") timer = known.get(+timer);
        if (typeof timer !== "object" || timer === null || !(#number in timer)) return;
        timer.#cleared = true;
        known.delete(timer.#number);
        native.clear(timer.#number);
      };
    }

    constructor(callback, parameters, delay, repeats) {
      needFunction(callback);
      this.#callback = callback;
      this.#parameters = parameters;
      this.#delay = delay;
      this.#repeats = repeats;
      this.#start();
    }

    #start() {
      this.#number = native.set(this.#number, this.#delay, () => this.#ring());
    }

    #ring() {
      if (!this.#repeats) known.delete(this.#number);
      try {
        this.#callback(...this.#parameters);
      } catch (error) {
        // Nobody is there to catch it: it counts as an unhandled rejection.
        reject(error);
      }
      if (this.#repeats && !this.#cleared) this.#start();
    }

    // A call waits for its promise and not for timers, so these two change nothing else.
    ref() {
      this.#referenced = true;
      return this;
    }

    unref() {
      this.#referenced = false;
      return this;
    }

    hasRef() {
      return this.#referenced;
    }

    refresh() {
      if (!this.#cleared) this.#start();
      return this;
    }

    close() {
      stop(this);
      return this;
    }

    [Symbol.toPrimitive]() {
      if (!this.#cleared) known.set(this.#number, this);
      return this.#number;
    }
  }

  class Timeout extends Timer {}

  class Immediate extends Timer {}
  for (const name of ["refresh", "close", Symbol.toPrimitive]) {
    Object.defineProperty(Immediate.prototype, name, { value: undefined });
  }

  const functions = {
    setTimeout(callback, delay, ...parameters) {
      return new Timeout(callback, parameters, delayOf(delay), false);
    },
    setInterval(callback, delay, ...parameters) {
      return new Timeout(callback, parameters, delayOf(delay), true);
    },
    setImmediate(callback, ...parameters) {
      return new Immediate(callback, parameters, 0, false);
    },
    clearTimeout(timer) {
      if (!(timer instanceof Immediate)) stop(timer);
    },
    clearInterval(timer) {
      if (!(timer instanceof Immediate)) stop(timer);
    },
    clearImmediate(immediate) {
      if (immediate instanceof Immediate) stop(immediate);
    },
  };
  const custom = Symbol.for("nodejs.util.promisify.custom");
  for (const name of ["setTimeout", "setImmediate"]) {
    Object.defineProperty(functions[name], custom, {
      get: () => require("timers/promises")[name],
    });
  }
  return functions;
};
