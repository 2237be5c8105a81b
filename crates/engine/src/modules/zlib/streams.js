// createGzip and its like: Transforms of the module `stream`, which is required with the first.
((module, { open, work, truncated, bytesOf, constants }, require) => {
  const KINDS = {
    Gzip: "gzip", Gunzip: "gunzip", Deflate: "deflate", Inflate: "inflate",
    DeflateRaw: "deflateRaw", InflateRaw: "inflateRaw", Unzip: "unzip",
    BrotliCompress: "brotliCompress", BrotliDecompress: "brotliDecompress",
  };

  const classes = () => {
    const { Transform } = require("stream");

    class ZlibBase extends Transform {
      #open;
      bytesWritten = 0;

      constructor(kind, options) {
        const opened = open(kind, options);
        super({ autoDestroy: true, ...options });
        this.#open = opened;
      }

      #work(bytes, flush, done) {
        try {
          work(this.#open, bytes, flush, (part) => this.push(part));
        } catch (error) {
          done(error);
          return;
        }
        done();
      }

      _transform(chunk, encoding, done) {
        const bytes = typeof chunk === "string" ? Buffer.from(chunk, encoding) : bytesOf(chunk);
        this.bytesWritten += bytes.length;
        this.#work(bytes, constants.Z_NO_FLUSH, done);
      }

      _flush(done) {
        this.#work(new Uint8Array(0), constants.Z_FINISH, (error) => {
          done(!error && !this.#open.ended ? truncated() : error);
        });
      }

      // Writes out what is buffered inside.
      flush(kind, callback) {
        if (typeof kind === "function") [kind, callback] = [undefined, kind];
        const how = kind === constants.Z_SYNC_FLUSH ? kind : constants.Z_FULL_FLUSH;
        this.#work(new Uint8Array(0), how, (error) => {
          if (error) this.destroy(error);
          if (callback) queueMicrotask(callback);
        });
      }

      close(callback) {
        if (callback) this.once("close", callback);
        this.destroy();
      }
    }

    const made = {};
    for (const name of Object.keys(KINDS)) {
      made[name] = {
        [name]: class extends ZlibBase {
          constructor(options) {
            super(KINDS[name], options);
          }
        },
      }[name];
    }
    return made;
  };

  let made;
  for (const name of Object.keys(KINDS)) {
    Object.defineProperty(module, name, {
      configurable: true,
      enumerable: true,
      get: () => (made ??= classes())[name],
    });
    module[`create${name}`] = (options) => new module[name](options);
  }
});
