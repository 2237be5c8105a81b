// What `body` and `Blob.stream` give: bytes that are all there already, in one chunk, to be read
// with `for await` or a reader. It is no class of its own: nobody makes such a stream.
(parts) => {
  const busy = () => new TypeError("the stream is locked");

  // `take` gives the bytes, once; none for an empty body.
  parts.streamOf = (take) => {
    let reader;
    let done = false;
    const next = async () => {
      if (done) return { value: undefined, done: true };
      done = true;
      const value = take();
      return value.length > 0 ? { value, done: false } : { value: undefined, done: true };
    };
    const stop = async () => {
      if (!done) take();
      done = true;
    };
    const stream = {
      get locked() {
        return reader !== undefined;
      },
      getReader() {
        if (reader) throw busy();
        const own = {
          read: () =>
            reader === own ? next() : Promise.reject(new TypeError("the reader has no stream")),
          cancel: stop,
          releaseLock() {
            if (reader === own) reader = undefined;
          },
        };
        reader = own;
        return own;
      },
      async cancel() {
        if (reader) throw busy();
        await stop();
      },
      async *values() {
        const own = stream.getReader();
        try {
          for (;;) {
            const { value, done } = await own.read();
            if (done) return;
            yield value;
          }
        } finally {
          await stop();
          own.releaseLock();
        }
      },
      // Node's streams have it, and so node-fetch's bodies.
      pipe(target) {
        const { Readable } = require("stream");
        return Readable.from(stream.values(), { objectMode: false }).pipe(target);
      },
    };
    stream[Symbol.asyncIterator] = stream.values;
    for (const name of Reflect.ownKeys(stream)) {
      Object.defineProperty(stream, name, { enumerable: false });
    }
    return Object.defineProperty(stream, Symbol.toStringTag, { value: "ReadableStream" });
  };
};
