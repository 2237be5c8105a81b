// Writable: chunks go one after the other to `_write`, or all that wait together to `_writev`.
(parts) => {
  const { errors, Stream, common, defineState } = parts;
  const { coded, wrongType } = errors;
  const { later, destroy, fail, construct, defaultHighWaterMark } = common;

  function Writable(options) {
    if (!(this instanceof Writable)) return new Writable(options);
    parts.writableState(this, options, false);
    Stream.call(this, options);
    construct(this, options, ["write", "writev", "final"]);
  }
  Object.setPrototypeOf(Writable, Stream);
  Writable.prototype = Object.create(Stream.prototype, {
    constructor: { value: Writable, writable: true, configurable: true },
  });
  Object.defineProperty(Writable, Symbol.hasInstance, {
    value(object) {
      if (Function.prototype[Symbol.hasInstance].call(this, object)) return true;
      return this === Writable && Boolean(object?._writableState) && object instanceof Stream;
    },
  });

  parts.writableState = (stream, options, isDuplex) => {
    const objectMode = Boolean(options?.objectMode || (isDuplex && options?.writableObjectMode));
    const given = options?.highWaterMark ?? (isDuplex ? options?.writableHighWaterMark : undefined);
    stream._writableState = {
      ...common.newState(options),
      objectMode,
      highWaterMark: defaultHighWaterMark(given, objectMode),
      decodeStrings: options?.decodeStrings !== false,
      defaultEncoding: options?.defaultEncoding ?? "utf8",
      waiting: [],
      length: 0,
      writing: false,
      corked: 0,
      needDrain: false,
      ending: false,
      finalCalled: false,
      finished: false,
      onFinish: [],
    };
  };

  const ended = () => coded(Error, "ERR_STREAM_WRITE_AFTER_END", "write after end");
  const gone = (what) => {
    const message = `Cannot call ${what} after a stream was destroyed`;
    return coded(Error, "ERR_STREAM_DESTROYED", message);
  };

  const failAll = (state, error) => {
    for (const { callback } of state.waiting.splice(0)) callback?.(error);
    for (const callback of state.onFinish.splice(0)) callback(error);
  };

  const go = (stream) => {
    const state = stream._writableState;
    if (state.destroyed || state.errored || state.writing || !state.constructed) return;
    if (state.corked > 0 && !state.ending) return;
    if (state.waiting.length === 0) {
      finish(stream);
      return;
    }
    const together = stream._writev && state.waiting.length > 1;
    const chunks = state.waiting.splice(0, together ? state.waiting.length : 1);
    const size = chunks.reduce((sum, chunk) => sum + chunk.size, 0);
    let sync = true;
    let called = false;
    const done = (error) => {
      if (called) {
        fail(stream, coded(Error, "ERR_MULTIPLE_CALLBACK", "Callback called multiple times"));
        return;
      }
      called = true;
      state.writing = false;
      state.length -= size;
      const settle = () => {
        if (error) {
          for (const { callback } of chunks) callback?.(error);
          failAll(state, error);
          return;
        }
        if (state.needDrain && state.length === 0 && !state.ending && !state.destroyed) {
          state.needDrain = false;
          stream.emit("drain");
        }
        for (const { callback } of chunks) callback?.(null);
        finish(stream);
      };
      if (error) {
        fail(stream, error);
        later(settle);
      } else if (sync) {
        later(settle);
        // A long queue of short writes must not become a deep stack.
        later(() => go(stream));
      } else {
        go(stream);
        settle();
      }
    };
    state.writing = true;
    try {
      if (together) {
        stream._writev(
          chunks.map(({ chunk, encoding }) => ({ chunk, encoding })),
          done,
        );
      } else {
        stream._write(chunks[0].chunk, chunks[0].encoding, done);
      }
    } catch (error) {
      if (!called) done(error);
      else fail(stream, error);
    }
    sync = false;
  };

  const finish = (stream) => {
    const state = stream._writableState;
    const busy = state.writing || state.waiting.length > 0 || state.length > 0;
    if (!state.ending || busy || state.finalCalled || state.destroyed || state.errored) return;
    if (!state.constructed) return;
    state.finalCalled = true;
    const done = (error) => {
      if (state.finished || state.errored) return;
      if (error) {
        failAll(state, error);
        fail(stream, error);
        return;
      }
      later(() => {
        if (state.errored || state.finished) return;
        state.finished = true;
        for (const callback of state.onFinish.splice(0)) callback();
        stream.emit("finish");
        const other = stream._readableState;
        if (state.autoDestroy && (!other || other.endEmitted)) stream.destroy();
      });
    };
    if (typeof stream._final !== "function") {
      done();
      return;
    }
    try {
      stream._final(done);
    } catch (error) {
      done(error);
    }
  };

  parts.goOn = (stream) => {
    if (stream._writableState) go(stream);
    if (stream._readableState) stream.read(0);
  };

  const write = (stream, chunk, encoding, callback) => {
    const state = stream._writableState;
    if (typeof encoding === "function") [encoding, callback] = [undefined, encoding];
    encoding ??= state.defaultEncoding;
    if (chunk === null) {
      throw coded(TypeError, "ERR_STREAM_NULL_VALUES", "May not write null values to stream");
    }
    if (!state.objectMode) {
      if (typeof chunk === "string") {
        if (state.decodeStrings) [chunk, encoding] = [Buffer.from(chunk, encoding), "buffer"];
      } else if (chunk instanceof Uint8Array) {
        if (!Buffer.isBuffer(chunk)) {
          chunk = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
        }
        encoding = "buffer";
      } else {
        const expected = "of type string or an instance of Buffer, TypedArray, or DataView";
        throw wrongType("chunk", expected, chunk);
      }
    }
    const error = state.ending ? ended() : state.destroyed ? gone("write") : undefined;
    if (error) {
      later(() => callback?.(error));
      fail(stream, error);
      return false;
    }
    const size = state.objectMode ? 1 : chunk.length;
    state.length += size;
    state.waiting.push({ chunk, encoding, callback, size });
    const room = state.length < state.highWaterMark;
    if (!room) state.needDrain = true;
    go(stream);
    return room && !state.errored && !state.destroyed;
  };

  const methods = {
    _write(chunk, encoding, callback) {
      if (this._writev) {
        this._writev([{ chunk, encoding }], callback);
        return;
      }
      const message = "The _write() method is not implemented";
      throw coded(Error, "ERR_METHOD_NOT_IMPLEMENTED", message);
    },
    write(chunk, encoding, callback) {
      return write(this, chunk, encoding, callback);
    },
    end(chunk, encoding, callback) {
      if (typeof chunk === "function") [chunk, callback] = [undefined, chunk];
      else if (typeof encoding === "function") [encoding, callback] = [undefined, encoding];
      const state = this._writableState;
      if (chunk !== undefined && chunk !== null) this.write(chunk, encoding);
      state.corked = 0;
      let error = null;
      if (state.finished) {
        error = coded(
          Error,
          "ERR_STREAM_ALREADY_FINISHED",
          "Cannot call end after a stream was finished",
        );
      } else if (state.destroyed) {
        error = gone("end");
      } else {
        state.ending = true;
        go(this);
      }
      if (typeof callback === "function") {
        if (error || state.errored) later(() => callback(error ?? state.errored));
        else if (state.finished) later(() => callback());
        else state.onFinish.push(callback);
      }
      return this;
    },
    cork() {
      this._writableState.corked++;
    },
    uncork() {
      const state = this._writableState;
      if (state.corked > 0) state.corked--;
      if (state.corked === 0) go(this);
    },
    setDefaultEncoding(encoding) {
      this._writableState.defaultEncoding = `${encoding}`.toLowerCase();
      return this;
    },
    destroy(error, callback) {
      const state = this._writableState;
      if (!state.destroyed && (state.waiting.length > 0 || state.onFinish.length > 0)) {
        later(() => failAll(state, error ?? gone("write")));
      }
      return destroy(this, error, callback);
    },
    _destroy(error, callback) {
      callback(error);
    },
    pipe() {
      fail(this, coded(Error, "ERR_STREAM_CANNOT_PIPE", "Cannot pipe, not readable"));
    },
  };
  parts.writableMethods = methods;
  for (const name of Object.keys(methods)) {
    const value = methods[name];
    Object.defineProperty(Writable.prototype, name, { value, writable: true, configurable: true });
  }
  parts.writableGetters = {
    writable: (state) => !state.destroyed && !state.errored && !state.ending && !state.finished,
    writableEnded: (state) => state.ending,
    writableFinished: (state) => state.finished,
    writableLength: (state) => state.length,
    writableHighWaterMark: (state) => state.highWaterMark,
    writableObjectMode: (state) => state.objectMode,
    writableCorked: (state) => state.corked,
    writableNeedDrain: (state) => state.needDrain && !state.destroyed && !state.ending,
    writableAborted: (state) => (state.destroyed || Boolean(state.errored)) && !state.finished,
  };
  defineState(Writable.prototype, "_writableState", parts.writableGetters);
  parts.Writable = Writable;
};
