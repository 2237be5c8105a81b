// Event and EventTarget, as far as they make sense without a tree of targets.
(parts) => {
  const { errors } = parts;
  const reject = Promise.reject.bind(Promise);
  let dispatch;

  class Event {
    #type;
    #bubbles;
    #cancelable;
    #composed;
    #timeStamp = performance.now();
    #target = null;
    #prevented = false;
    #stopped = false;

    static {
      // Calls the listeners one after the other, unless one of them stops that.
      dispatch = (event, target, listeners, call) => {
        event.#target = target;
        event.#stopped = false;
        for (const listener of listeners) {
          if (!event.#stopped) call(listener);
        }
        return !event.#prevented;
      };
    }

    constructor(type, init = undefined) {
      if (arguments.length === 0) throw errors.missing("type");
      this.#type = `${type}`;
      this.#bubbles = Boolean(init?.bubbles);
      this.#cancelable = Boolean(init?.cancelable);
      this.#composed = Boolean(init?.composed);
    }

    get type() {
      return this.#type;
    }
    get bubbles() {
      return this.#bubbles;
    }
    get cancelable() {
      return this.#cancelable;
    }
    get composed() {
      return this.#composed;
    }
    get timeStamp() {
      return this.#timeStamp;
    }
    get target() {
      return this.#target;
    }
    get currentTarget() {
      return this.#target;
    }
    get defaultPrevented() {
      return this.#prevented;
    }

    preventDefault() {
      if (this.#cancelable) this.#prevented = true;
    }

    stopPropagation() {}

    stopImmediatePropagation() {
      this.#stopped = true;
    }
  }

  class EventTarget {
    #listeners = [];

    addEventListener(type, listener, options = undefined) {
      if (listener === null || listener === undefined) return;
      const signal = options?.signal;
      if (signal?.aborted) return;
      const known = this.#listeners.some((other) => {
        return other.type === `${type}` && other.listener === listener;
      });
      if (known) return;
      this.#listeners.push({ type: `${type}`, listener, once: Boolean(options?.once) });
      signal?.addEventListener("abort", () => this.removeEventListener(type, listener), {
        once: true,
      });
    }

    removeEventListener(type, listener) {
      this.#listeners = this.#listeners.filter((other) => {
        return other.type !== `${type}` || other.listener !== listener;
      });
    }

    dispatchEvent(event) {
      if (!(event instanceof Event)) {
        throw errors.wrongType("event", "an instance of Event", event);
      }
      const listeners = this.#listeners.filter(({ type }) => type === event.type);
      const own = this[`on${event.type}`];
      if (typeof own === "function") listeners.unshift({ listener: own });
      return dispatch(event, this, listeners, ({ type, listener, once }) => {
        if (once) this.removeEventListener(type, listener);
        try {
          if (typeof listener === "function") listener.call(this, event);
          else listener.handleEvent(event);
        } catch (error) {
          // Nobody is there to catch it: it counts as an unhandled rejection.
          reject(error);
        }
      });
    }
  }

  // Web interfaces show their members to `for in`, and their name.
  parts.expose = (Class) => {
    for (const name of Object.getOwnPropertyNames(Class.prototype)) {
      if (name !== "constructor")
        Object.defineProperty(Class.prototype, name, { enumerable: true });
    }
    Object.defineProperty(Class.prototype, Symbol.toStringTag, {
      value: Class.name,
      configurable: true,
    });
    parts[Class.name] = Class;
  };
  parts.expose(Event);
  parts.expose(EventTarget);
};
