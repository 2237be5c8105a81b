// `generic-pool`: things that are dear to make, lent and taken back. Nothing evicts by the clock
// between calls: what has been idle for too long goes when the next one is borrowed or given back.
(require) => {
  const EventEmitter = require("events");

  class TimeoutError extends Error {
    constructor(message) {
      super(message);
      this.name = "TimeoutError";
    }
  }

  const number = (value, otherwise) =>
    Number.isFinite(+value) && value !== null && value !== undefined
      ? Math.trunc(value)
      : otherwise;
  const settingsOf = (given = {}) => {
    const max = Math.max(number(given.max, 1), 1);
    return {
      max,
      min: Math.min(Math.max(number(given.min, 0), 0), max),
      fifo: given.fifo !== false,
      autostart: given.autostart !== false,
      maxWaitingClients: number(given.maxWaitingClients, Infinity),
      testOnBorrow: given.testOnBorrow === true,
      testOnReturn: given.testOnReturn === true,
      acquireTimeoutMillis: number(given.acquireTimeoutMillis, 0),
      destroyTimeoutMillis: number(given.destroyTimeoutMillis, 0),
      idleTimeoutMillis: number(given.idleTimeoutMillis, 30_000),
      softIdleTimeoutMillis: number(given.softIdleTimeoutMillis, -1),
      evicts: number(given.evictionRunIntervalMillis, 0) > 0,
      priorityRange: Math.max(number(given.priorityRange, 1), 1),
    };
  };

  // What a promise becomes, unless its time is up first.
  const within = (promise, milliseconds, message) => {
    if (!milliseconds) return promise;
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new TimeoutError(message)), milliseconds);
    });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
  };

  class Pool extends EventEmitter {
    #factory;
    #settings;
    #idle = [];
    #borrowed = new Map();
    #waiting = [];
    #making = new Set();
    #draining = false;
    #started = false;

    constructor(factory, options) {
      super();
      for (const name of ["create", "destroy"]) {
        if (typeof factory?.[name] !== "function") {
          throw new TypeError(`factory.${name} must be a function`);
        }
      }
      this.#factory = factory;
      this.#settings = settingsOf(options);
      if (this.#settings.testOnBorrow && typeof factory.validate !== "function") {
        throw new TypeError("factory.validate must be a function");
      }
      if (this.#settings.autostart) this.start();
    }

    get spareResourceCapacity() {
      return this.#settings.max - this.size;
    }
    get size() {
      return this.#idle.length + this.#borrowed.size + this.#making.size;
    }
    get available() {
      return this.#idle.length;
    }
    get borrowed() {
      return this.#borrowed.size;
    }
    get pending() {
      return this.#waiting.length;
    }
    get max() {
      return this.#settings.max;
    }
    get min() {
      return this.#settings.min;
    }

    start() {
      if (this.#draining || this.#started) return;
      this.#started = true;
      this.#ensureMinimum();
    }

    acquire(priority = 0) {
      this.start();
      if (this.#draining) {
        return Promise.reject(new Error("pool is draining and cannot accept work"));
      }
      const { maxWaitingClients, acquireTimeoutMillis, priorityRange } = this.#settings;
      const none = this.#idle.length === 0 && this.spareResourceCapacity < 1;
      if (none && this.#waiting.length >= maxWaitingClients) {
        return Promise.reject(new Error("max waitingClients count exceeded"));
      }
      const level = Math.min(Math.max(Math.trunc(priority) || 0, 0), priorityRange - 1);
      const { promise, resolve, reject } = Promise.withResolvers();
      const client = { level, resolve, reject };
      // Those of one priority in the order in which they came.
      const place = this.#waiting.findIndex((other) => other.level > level);
      this.#waiting.splice(place < 0 ? this.#waiting.length : place, 0, client);
      this.#dispense();
      return within(promise, acquireTimeoutMillis, "ResourceRequest timed out").catch((error) => {
        this.#waiting = this.#waiting.filter((other) => other !== client);
        client.gone = true;
        throw error;
      });
    }

    async use(work, priority) {
      const resource = await this.acquire(priority);
      try {
        const result = await work(resource);
        await this.release(resource);
        return result;
      } catch (error) {
        if (this.isBorrowedResource(resource)) await this.destroy(resource);
        throw error;
      }
    }

    isBorrowedResource(resource) {
      return this.#borrowed.has(resource);
    }

    async release(resource) {
      this.#takeBack(resource);
      const { testOnReturn } = this.#settings;
      if (testOnReturn && !(await this.#factory.validate(resource))) {
        await this.#end(resource);
      } else {
        this.#idle.push({ resource, since: Date.now() });
      }
      this.#dispense();
    }

    async destroy(resource) {
      this.#takeBack(resource);
      const ended = this.#end(resource);
      this.#dispense();
      await ended;
    }

    async drain() {
      this.#draining = true;
      while (this.#waiting.length > 0 || this.#borrowed.size > 0 || this.#making.size > 0) {
        await new Promise((resolve) => this.once("_settled", resolve));
      }
    }

    async clear() {
      await Promise.allSettled(this.#making);
      await Promise.all(this.#idle.splice(0).map(({ resource }) => this.#end(resource)));
    }

    async ready() {
      while (this.available < this.min) {
        if (this.#making.size === 0) this.#ensureMinimum();
        await Promise.allSettled(this.#making);
      }
    }

    #takeBack(resource) {
      if (!this.#borrowed.delete(resource)) {
        throw new Error("Resource not currently part of this pool");
      }
      queueMicrotask(() => this.emit("_settled"));
    }

    #evict() {
      if (!this.#settings.evicts) return;
      const { idleTimeoutMillis, softIdleTimeoutMillis, min } = this.#settings;
      const now = Date.now();
      for (const item of [...this.#idle]) {
        const idle = now - item.since;
        const soft = softIdleTimeoutMillis > 0 && idle > softIdleTimeoutMillis && this.size > min;
        if (!soft && !(idleTimeoutMillis > 0 && idle > idleTimeoutMillis)) continue;
        this.#idle.splice(this.#idle.indexOf(item), 1);
        this.#end(item.resource);
      }
    }

    #dispense() {
      this.#evict();
      while (this.#waiting.length > 0 && this.#idle.length > 0) {
        const client = this.#waiting.shift();
        const { resource } = this.#settings.fifo ? this.#idle.shift() : this.#idle.pop();
        this.#lend(client, resource);
      }
      let wanted = Math.min(this.#waiting.length - this.#making.size, this.spareResourceCapacity);
      while (wanted-- > 0) this.#make();
      this.#ensureMinimum();
    }

    async #lend(client, resource) {
      this.#borrowed.set(resource, client);
      if (this.#settings.testOnBorrow) {
        let isValid = false;
        try {
          isValid = await this.#factory.validate(resource);
        } catch (error) {
          this.emit("factoryValidateError", error);
        }
        if (!isValid) {
          this.#borrowed.delete(resource);
          this.#end(resource);
          if (!client.gone) this.#waiting.unshift(client);
          this.#dispense();
          return;
        }
      }
      if (client.gone) {
        this.release(resource);
        return;
      }
      client.resolve(resource);
    }

    #ensureMinimum() {
      if (this.#draining || !this.#started) return;
      let wanted = this.#settings.min - this.size;
      while (wanted-- > 0) this.#make();
    }

    #make() {
      const made = (async () => {
        await null;
        try {
          const resource = await this.#factory.create();
          this.#making.delete(made);
          this.#idle.push({ resource, since: Date.now() });
        } catch (error) {
          this.#making.delete(made);
          this.emit("factoryCreateError", error);
          // Again for whoever waits, but not at once: timers have their turn.
          if (this.#waiting.length > 0) setImmediate(() => this.#dispense());
          this.emit("_settled");
          return;
        }
        this.#dispense();
        this.emit("_settled");
      })();
      this.#making.add(made);
    }

    async #end(resource) {
      const { destroyTimeoutMillis } = this.#settings;
      try {
        const ended = Promise.resolve(this.#factory.destroy(resource));
        await within(ended, destroyTimeoutMillis, "destroy timed out");
      } catch (error) {
        this.emit("factoryDestroyError", error);
      }
      this.#ensureMinimum();
    }
  }

  return {
    Pool,
    createPool: (factory, options) => new Pool(factory, options),
    TimeoutError,
  };
};
