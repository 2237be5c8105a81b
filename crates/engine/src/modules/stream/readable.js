// Readable: a queue of chunks that `_read` fills. It flows to "data" listeners, or is read.
(parts) => {
  const { require, errors, Stream, common, defineState } = parts;
  const { coded, wrongType } = errors;
  const { later, destroy, fail, construct, defaultHighWaterMark } = common;

  function Readable(options) {
    if (!(this instanceof Readable)) return new Readable(options);
    parts.readableState(this, options, false);
    Stream.call(this, options);
    construct(this, options, ["read"]);
  }
  Object.setPrototypeOf(Readable, Stream);
  Readable.prototype = Object.create(Stream.prototype, {
    constructor: { value: Readable, writable: true, configurable: true },
  });

  parts.readableState = (stream, options, isDuplex) => {
    const objectMode = Boolean(options?.objectMode || (isDuplex && options?.readableObjectMode));
    const given = options?.highWaterMark ?? (isDuplex ? options?.readableHighWaterMark : undefined);
    const state = {
      ...common.newState(options),
      objectMode,
      highWaterMark: defaultHighWaterMark(given, objectMode),
      queue: [],
      // How many at the front of the queue were taken already.
      taken: 0,
      length: 0,
      flowing: null,
      reading: false,
      // Whether `_read` is on the stack.
      sync: false,
      ended: false,
      endEmitted: false,
      wantsReadable: true,
      awake: false,
      pipes: [],
      awaitsDrain: new Set(),
      encoding: null,
      decoder: null,
      dataEmitted: false,
    };
    stream._readableState = state;
    if (options?.encoding) setEncoding(stream, options.encoding);
  };

  const setEncoding = (stream, encoding) => {
    const state = stream._readableState;
    const { StringDecoder } = require("string_decoder");
    state.decoder = new StringDecoder(encoding);
    state.encoding = state.decoder.encoding;
    const waiting = state.queue.slice(state.taken).map((chunk) => state.decoder.write(chunk));
    Object.assign(state, { queue: [], taken: 0, length: 0 });
    for (const text of waiting) if (text !== "") enqueue(state, text);
  };

  const sizeOf = (state, chunk) => (state.objectMode ? 1 : chunk.length);
  const enqueue = (state, chunk) => {
    state.queue.push(chunk);
    state.length += sizeOf(state, chunk);
  };

  // Takes one object, or that many bytes; everything there is, if it is not said how many.
  const take = (state, count) => {
    if (state.length === 0) return null;
    const all = count === undefined || Number.isNaN(count);
    if (state.objectMode || (all && state.flowing)) {
      const chunk = state.queue[state.taken];
      state.queue[state.taken++] = undefined;
      if (state.taken === state.queue.length || state.taken > 1024) {
        state.queue = state.queue.slice(state.taken);
        state.taken = 0;
      }
      state.length -= sizeOf(state, chunk);
      return chunk;
    }
    if (!all && count > state.length && !state.ended) return null;
    const rest = state.queue.slice(state.taken);
    const whole = rest.length === 1 ? rest[0] : state.decoder ? rest.join("") : Buffer.concat(rest);
    const wanted = all ? whole.length : Math.min(count, whole.length);
    state.queue = wanted < whole.length ? [whole.slice(wanted)] : [];
    state.taken = 0;
    state.length -= wanted;
    return wanted < whole.length ? whole.slice(0, wanted) : whole;
  };

  // Asks for more if there is room.
  const fill = (stream) => {
    const state = stream._readableState;
    const room = state.length < state.highWaterMark || state.length === 0;
    if (!room || state.reading || state.ended || state.destroyed || state.errored) return;
    if (!state.constructed) return;
    state.reading = true;
    state.sync = true;
    try {
      stream._read(state.highWaterMark);
    } catch (error) {
      fail(stream, error);
    }
    state.sync = false;
  };

  // Goes on in a moment with whatever there is to tell.
  const wake = (stream) => {
    const state = stream._readableState;
    if (state.awake) return;
    state.awake = true;
    later(() => {
      state.awake = false;
      advance(stream);
    });
  };

  const advance = (stream) => {
    const state = stream._readableState;
    while (state.flowing && !state.destroyed && stream.read() !== null);
    if (state.destroyed || state.errored) return;
    const listens = stream.listenerCount("readable") > 0;
    if (listens && state.wantsReadable && !state.endEmitted && (state.length > 0 || state.ended)) {
      state.wantsReadable = !state.ended && state.length <= state.highWaterMark;
      stream.emit("readable");
    }
    endIfDone(stream);
    const before = state.length;
    if (state.flowing !== false || listens) fill(stream);
    if (state.length > before && (state.flowing || listens)) wake(stream);
  };

  const endIfDone = (stream) => {
    const state = stream._readableState;
    if (!state.ended || state.length > 0 || state.endEmitted || state.ending) return;
    // Nobody has asked for anything yet.
    if (state.flowing === null && stream.listenerCount("readable") === 0 && !state.wasRead) return;
    state.ending = true;
    later(() => {
      if (state.errored || state.closeEmitted || state.endEmitted) return;
      state.endEmitted = true;
      stream.emit("end");
      const other = stream._writableState;
      if (other && stream.allowHalfOpen === false && !other.ending) stream.end();
      else if (state.autoDestroy && (!other || other.finished)) stream.destroy();
    });
  };

  const addChunk = (stream, chunk, encoding, first) => {
    const state = stream._readableState;
    if (chunk === null) {
      state.reading = false;
      if (state.ended) return false;
      const rest = state.decoder?.end();
      if (rest) enqueue(state, rest);
      state.ended = true;
      state.wantsReadable = true;
      wake(stream);
      return false;
    }
    if (!state.objectMode) {
      if (typeof chunk === "string") {
        const same = state.encoding && state.encoding === (encoding || "utf8");
        if (!same) chunk = Buffer.from(chunk, encoding);
      } else if (chunk instanceof Uint8Array) {
        if (!Buffer.isBuffer(chunk)) {
          chunk = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
        }
      } else {
        const expected = "one of type string or an instance of Buffer or Uint8Array";
        fail(stream, wrongType("chunk", expected, chunk));
        return false;
      }
      if (state.decoder && typeof chunk !== "string") chunk = state.decoder.write(chunk);
    }
    const empty = !state.objectMode && chunk.length === 0;
    if (first) {
      if (state.endEmitted) {
        const message = "stream.unshift() after end event";
        fail(stream, coded(Error, "ERR_STREAM_UNSHIFT_AFTER_END_EVENT", message));
        return false;
      }
      if (!empty) {
        state.queue = [chunk, ...state.queue.slice(state.taken)];
        state.taken = 0;
        state.length += sizeOf(state, chunk);
      }
    } else if (state.ended) {
      fail(stream, coded(Error, "ERR_STREAM_PUSH_AFTER_EOF", "stream.push() after EOF"));
      return false;
    } else if (state.destroyed || state.errored) {
      return false;
    } else {
      state.reading = false;
      if (!empty) {
        const atOnce = state.flowing && state.length === 0 && !state.sync;
        if (atOnce && stream.listenerCount("data") > 0) {
          state.dataEmitted = true;
          stream.emit("data", chunk);
        } else {
          enqueue(state, chunk);
        }
      }
    }
    wake(stream);
    return !state.ended && (state.length < state.highWaterMark || state.length === 0);
  };

  const flow = (stream, flowing) => {
    const state = stream._readableState;
    if (state.flowing === flowing) return;
    state.flowing = flowing;
    if (flowing) {
      later(() => {
        if (state.flowing) stream.emit("resume");
      });
      wake(stream);
    } else {
      stream.emit("pause");
    }
  };

  const methods = {
    _read() {
      throw coded(Error, "ERR_METHOD_NOT_IMPLEMENTED", "The _read() method is not implemented");
    },
    push(chunk, encoding) {
      return addChunk(this, chunk, encoding, false);
    },
    unshift(chunk, encoding) {
      return addChunk(this, chunk, encoding, true);
    },
    read(count) {
      const state = this._readableState;
      if (count !== undefined) count = Math.trunc(count);
      state.wasRead = true;
      if (count > state.highWaterMark && !state.objectMode) state.highWaterMark = count;
      fill(this);
      if (count === 0) {
        endIfDone(this);
        return null;
      }
      const chunk = take(state, count);
      if (chunk === null) state.wantsReadable = true;
      else if (state.length <= state.highWaterMark) state.wantsReadable = true;
      if (chunk !== null && !state.errored && !state.closeEmitted) {
        state.dataEmitted = true;
        this.emit("data", chunk);
      }
      endIfDone(this);
      // Without a chunk there is nothing to tell before the next one, which wakes it.
      if (chunk !== null && !state.ended) wake(this);
      return chunk;
    },
    setEncoding(encoding) {
      setEncoding(this, encoding);
      return this;
    },
    pause() {
      flow(this, false);
      return this;
    },
    resume() {
      if (this.listenerCount("readable") === 0) flow(this, true);
      return this;
    },
    isPaused() {
      return this._readableState.flowing === false;
    },
    on(type, listener) {
      Stream.prototype.on.call(this, type, listener);
      const state = this._readableState;
      if (type === "data") {
        if (state.flowing !== false) this.resume();
      } else if (type === "readable" && !state.endEmitted) {
        state.flowing = false;
        state.wantsReadable = true;
        wake(this);
      }
      return this;
    },
    removeListener(type, listener) {
      Stream.prototype.removeListener.call(this, type, listener);
      if (type === "readable" && this.listenerCount("readable") === 0) {
        const state = this._readableState;
        if (this.listenerCount("data") > 0) flow(this, true);
        else state.flowing = null;
      }
      return this;
    },
    pipe(target, options) {
      const state = this._readableState;
      const awaits = state.awaitsDrain;
      const data = (chunk) => {
        if (target.write(chunk) !== false) return;
        awaits.add(target);
        this.pause();
      };
      const drained = () => {
        awaits.delete(target);
        if (awaits.size === 0 && this.listenerCount("data") > 0) flow(this, true);
      };
      const ended = () => target.end();
      const unpipe = () => this.unpipe(target);
      const failed = (error) => {
        unpipe();
        target.removeListener("error", failed);
        if (target.listenerCount("error") === 0) fail(target, error);
      };
      const cleanUp = () => {
        this.removeListener("data", data);
        this.removeListener("end", ended);
        this.removeListener("end", unpipe);
        target.removeListener("drain", drained);
        target.removeListener("error", failed);
        target.removeListener("close", unpipe);
        target.removeListener("finish", unpipe);
        if (awaits.has(target)) drained();
      };
      state.pipes.push({ target, cleanUp });
      const finish = options?.end === false ? unpipe : ended;
      if (state.endEmitted) later(finish);
      else this.once("end", finish);
      target.on("drain", drained);
      target.prependListener("error", failed);
      target.once("close", unpipe);
      target.once("finish", unpipe);
      this.on("data", data);
      target.emit("pipe", this);
      if (target.writableNeedDrain) {
        awaits.add(target);
        this.pause();
      } else {
        this.resume();
      }
      return target;
    },
    unpipe(target) {
      const state = this._readableState;
      const gone = state.pipes.filter((pipe) => target === undefined || pipe.target === target);
      state.pipes = state.pipes.filter((pipe) => !gone.includes(pipe));
      if (gone.length > 0 && state.pipes.length === 0) this.pause();
      for (const pipe of gone) {
        pipe.cleanUp();
        pipe.target.emit("unpipe", this, { hasUnpiped: false });
      }
      return this;
    },
    destroy(error, callback) {
      return destroy(this, error, callback);
    },
    _destroy(error, callback) {
      callback(error);
    },
    async *iterator({ destroyOnReturn = true } = {}) {
      const state = this._readableState;
      let wakeUp;
      const tell = () => wakeUp?.();
      for (const type of ["readable", "end", "close"]) this.on(type, tell);
      const failed = tell;
      this.on("error", failed);
      let finished = false;
      try {
        for (;;) {
          const chunk = state.destroyed ? null : this.read();
          if (chunk !== null) {
            yield chunk;
            continue;
          }
          if (state.errored) throw state.errored;
          if (state.endEmitted) break;
          if (state.destroyed) {
            throw coded(Error, "ERR_STREAM_PREMATURE_CLOSE", "Premature close");
          }
          await new Promise((resolve) => {
            wakeUp = resolve;
          });
        }
        finished = true;
      } finally {
        for (const type of ["readable", "end", "close"]) this.removeListener(type, tell);
        if (finished || destroyOnReturn) destroy(this, null);
      }
    },
    async toArray() {
      const all = [];
      for await (const chunk of this) all.push(chunk);
      return all;
    },
    async forEach(visit) {
      for await (const chunk of this) await visit(chunk);
    },
    [Symbol.asyncIterator]() {
      return this.iterator();
    },
  };
  methods.addListener = methods.on;
  methods.off = methods.removeListener;
  for (const name of Reflect.ownKeys(methods)) {
    const value = methods[name];
    Object.defineProperty(Readable.prototype, name, { value, writable: true, configurable: true });
  }
  defineState(Readable.prototype, "_readableState", {
    readableEnded: (state) => state.endEmitted,
    readableFlowing: (state) => state.flowing,
    readableLength: (state) => state.length,
    readableHighWaterMark: (state) => state.highWaterMark,
    readableObjectMode: (state) => state.objectMode,
    readableEncoding: (state) => state.encoding,
    readableDidRead: (state) => state.dataEmitted,
    readableAborted: (state) => (state.destroyed || Boolean(state.errored)) && !state.endEmitted,
    readable: (state) => !state.destroyed && !state.errored && !state.endEmitted,
  });

  Readable.from = (source, options) => {
    if (typeof source === "string" || source instanceof Uint8Array) {
      return new Readable({
        objectMode: true,
        ...options,
        read() {
          this.push(source);
          this.push(null);
        },
      });
    }
    const make = source?.[Symbol.asyncIterator] ?? source?.[Symbol.iterator];
    if (typeof make !== "function") throw wrongType("iterable", "an instance of Iterable", source);
    const iterator = make.call(source);
    let ended = false;
    return new Readable({
      objectMode: true,
      highWaterMark: 1,
      ...options,
      async read() {
        try {
          const { value, done } = await iterator.next();
          if (!done && (await value) === null) {
            const message = "May not write null values to stream";
            throw coded(TypeError, "ERR_STREAM_NULL_VALUES", message);
          }
          ended = done;
          this.push(done ? null : await value);
        } catch (error) {
          ended = true;
          this.destroy(error);
        }
      },
      async destroy(error, callback) {
        try {
          if (!ended) await iterator.return?.();
          callback(error);
        } catch (other) {
          callback(other);
        }
      },
    });
  };
  parts.Readable = Readable;
};
