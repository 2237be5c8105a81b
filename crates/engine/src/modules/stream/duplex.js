// Duplex, and what turns what is written into what is read: Transform and PassThrough.
(parts) => {
  const { errors, Stream, Readable, common, defineState } = parts;
  const { coded } = errors;
  const { construct } = common;

  const inherit = (Class, Parent) => {
    Object.setPrototypeOf(Class, Parent);
    Class.prototype = Object.create(Parent.prototype, {
      constructor: { value: Class, writable: true, configurable: true },
    });
    parts[Class.name] = Class;
  };

  function Duplex(options) {
    if (!(this instanceof Duplex)) return new Duplex(options);
    parts.readableState(this, options, true);
    parts.writableState(this, options, true);
    Stream.call(this, options);
    this.allowHalfOpen = options?.allowHalfOpen !== false;
    if (options?.readable === false) {
      Object.assign(this._readableState, { ended: true, endEmitted: true });
    }
    if (options?.writable === false) {
      Object.assign(this._writableState, { ending: true, finalCalled: true, finished: true });
    }
    const names = ["read", "write", "writev", "final", "transform", "flush"];
    construct(this, options, names);
  }
  inherit(Duplex, Readable);
  for (const name of Object.keys(parts.writableMethods)) {
    if (name === "pipe") continue;
    const value = parts.writableMethods[name];
    Object.defineProperty(Duplex.prototype, name, { value, writable: true, configurable: true });
  }
  defineState(Duplex.prototype, "_writableState", parts.writableGetters);

  function Transform(options) {
    if (!(this instanceof Transform)) return new Transform(options);
    this._goOn = null;
    // Only what was written can be read ahead: one chunk is enough.
    Duplex.call(this, options);
  }
  inherit(Transform, Duplex);
  const methods = {
    _transform() {
      const message = "The _transform() method is not implemented";
      throw coded(Error, "ERR_METHOD_NOT_IMPLEMENTED", message);
    },
    _write(chunk, encoding, callback) {
      this._transform(chunk, encoding, (error, result) => {
        if (error) {
          callback(error);
          return;
        }
        if (result !== undefined && result !== null) this.push(result);
        const readable = this._readableState;
        if (readable.ended || readable.length < readable.highWaterMark) callback();
        else this._goOn = callback;
      });
    },
    _read() {
      const goOn = this._goOn;
      this._goOn = null;
      goOn?.();
    },
    _final(callback) {
      const done = (error, result) => {
        if (error) {
          callback(error);
          return;
        }
        if (result !== undefined && result !== null) this.push(result);
        this.push(null);
        callback();
      };
      if (typeof this._flush === "function") this._flush(done);
      else done();
    },
  };
  for (const name of Object.keys(methods)) {
    const value = methods[name];
    Object.defineProperty(Transform.prototype, name, { value, writable: true, configurable: true });
  }

  function PassThrough(options) {
    if (!(this instanceof PassThrough)) return new PassThrough(options);
    Transform.call(this, options);
  }
  inherit(PassThrough, Transform);
  PassThrough.prototype._transform = (chunk, encoding, callback) => callback(null, chunk);
};
