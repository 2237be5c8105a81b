// pipeline and finished, with callbacks and as promises.
(parts) => {
  const { errors, Readable, PassThrough, common } = parts;
  const { coded, wrongType, missing } = errors;
  const { later, destroy } = common;

  const isStream = (value) => Boolean(value?._readableState || value?._writableState);
  const premature = () => coded(Error, "ERR_STREAM_PREMATURE_CLOSE", "Premature close");

  const finished = (stream, options, callback) => {
    if (typeof options === "function") [options, callback] = [{}, options];
    if (!isStream(stream)) throw wrongType("stream", "an instance of Stream", stream);
    const { _readableState: source, _writableState: sink } = stream;
    const reads = options?.readable ?? Boolean(source);
    const writes = options?.writable ?? Boolean(sink);
    let told = false;
    const tell = (error) => {
      if (told) return;
      told = true;
      cleanUp();
      callback.call(stream, error);
    };
    const readDone = () => !reads || !source || source.endEmitted;
    const writeDone = () => !writes || !sink || sink.finished;
    const check = () => {
      if (readDone() && writeDone()) tell();
    };
    const failed = (error) => tell(error);
    const closed = () => {
      const error = stream.errored;
      if (error) tell(error);
      else if (readDone() && writeDone()) tell();
      else tell(premature());
    };
    const abort = () => tell(parts.aborted(options.signal));
    const cleanUp = () => {
      stream.removeListener("end", check);
      stream.removeListener("finish", check);
      stream.removeListener("error", failed);
      stream.removeListener("close", closed);
      options?.signal?.removeEventListener("abort", abort);
    };
    stream.on("end", check);
    stream.on("finish", check);
    if (options?.error !== false) stream.on("error", failed);
    stream.on("close", closed);
    if (stream.closed) later(closed);
    else if (readDone() && writeDone()) later(check);
    if (options?.signal?.aborted) later(abort);
    else options?.signal?.addEventListener("abort", abort, { once: true });
    return cleanUp;
  };

  // A stream out of whatever stands at a place of a pipeline.
  const sourceOf = (value) => {
    if (isStream(value)) return value;
    if (value?.[Symbol.asyncIterator] || value?.[Symbol.iterator]) return Readable.from(value);
    throw wrongType("source", "an instance of Stream, Iterable, or AsyncIterable", value);
  };

  const pipeline = (...steps) => {
    const callback = steps.pop();
    if (typeof callback !== "function")
      throw wrongType("streams[stream.length - 1]", "of type function", callback);
    let options = {};
    const last = steps.at(-1);
    if (
      last
      && !isStream(last)
      && typeof last === "object"
      && !last[Symbol.asyncIterator]
      && !last[Symbol.iterator]
    ) {
      options = steps.pop();
    }
    if (steps.length === 1 && Array.isArray(steps[0])) [steps] = steps;
    if (steps.length < 2) throw missing("streams");

    const streams = [];
    let result;
    let failure;
    let left = 0;
    let told = false;
    const done = (error) => {
      left--;
      // What the first error has torn down fails as well: the first one counts.
      if (error && (!failure || failure.code === "ERR_STREAM_PREMATURE_CLOSE")) failure = error;
      if (failure) for (const stream of streams) destroy(stream, failure);
      if (told || (left > 0 && !failure)) return;
      told = true;
      later(() => callback(failure, result));
    };
    const watch = (stream, role) => {
      left++;
      streams.push(stream);
      // A listener stays, for errors that come after the end.
      stream.on("error", () => {});
      finished(stream, { signal: options.signal, ...role }, done);
    };

    let current;
    steps.forEach((step, place) => {
      const isFirst = place === 0;
      const isLast = place === steps.length - 1;
      if (typeof step === "function") {
        const made = isFirst
          ? step({ signal: options.signal })
          : step(current, { signal: options.signal });
        if (isLast && typeof made?.then === "function") {
          left++;
          made.then(
            (value) => {
              result = value;
              done();
            },
            (error) => done(error ?? premature()),
          );
          return;
        }
        if (isLast && !isStream(made)) {
          const through = new PassThrough({ objectMode: true });
          watch(sourceOf(made), { writable: false });
          streams.at(-1).pipe(through);
          watch(through, { readable: false });
          current = through;
          return;
        }
        current = sourceOf(made);
        if (!streams.includes(current)) watch(current, { writable: false });
        return;
      }
      const stream = isFirst ? sourceOf(step) : step;
      if (!isStream(stream)) throw wrongType(`streams[${place}]`, "an instance of Stream", step);
      watch(stream, { readable: !isLast, writable: !isFirst });
      if (current) sourceOf(current).pipe(stream, { end: options.end !== false || !isLast });
      current = stream;
    });
    return current;
  };

  const promises = {
    finished: (stream, options) =>
      new Promise((resolve, reject) => {
        finished(stream, options ?? {}, (error) => (error ? reject(error) : resolve()));
      }),
    pipeline: (...steps) =>
      new Promise((resolve, reject) => {
        pipeline(...steps, (error, value) => (error ? reject(error) : resolve(value)));
      }),
  };
  const custom = Symbol.for("nodejs.util.promisify.custom");
  Object.defineProperty(pipeline, custom, { value: promises.pipeline });
  Object.defineProperty(finished, custom, { value: promises.finished });

  const { Stream } = parts;
  for (const name of ["Readable", "Writable", "Duplex", "Transform", "PassThrough"]) {
    Stream[name] = parts[name];
  }
  Object.assign(Stream, {
    Stream,
    pipeline,
    finished,
    promises,
    addAbortSignal: parts.addAbortSignal,
    destroy: (stream, error) => destroy(stream, error),
    isReadable: (stream) => Boolean(stream?._readableState && stream.readable),
    isErrored: (stream) => Boolean(stream?.errored),
    isDisturbed: (stream) => Boolean(stream?.readableDidRead || stream?.errored),
    getDefaultHighWaterMark: (objectMode) => common.defaultHighWaterMark(undefined, objectMode),
  });
};
