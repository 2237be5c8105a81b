// Node's zlib. A stream is worked off in steps, each with an output of bounded size.
((native, errors, Buffer, constants, addStreams, require) => {
  const { coded, wrongType, outOfRange } = errors;
  const { isView } = ArrayBuffer;
  const later = queueMicrotask;
  // As large as a Buffer may be; a plugin's memory ends long before.
  const LONGEST = 2 ** 32;

  const DATA = "of type string or an instance of Buffer, TypedArray, DataView, or ArrayBuffer";

  const bytesOf = (data, name = "buffer", expected = DATA) => {
    if (typeof data === "string") return Buffer.from(data);
    if (data instanceof Uint8Array) return data;
    if (isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    if (data instanceof ArrayBuffer) return new Uint8Array(data);
    throw wrongType(name, expected, data);
  };

  // A number between two others; what is not finite is told so.
  const within = (name, value, low, high, otherwise) => {
    if (value === undefined || Number.isNaN(value)) return otherwise;
    if (typeof value !== "number") throw wrongType(name, "of type number", value);
    if (!Number.isFinite(value)) throw outOfRange(name, "a finite number", value);
    if (value < low || value > high) {
      throw outOfRange(name, high === Infinity ? `>= ${low}` : `>= ${low} and <= ${high}`, value);
    }
    return value;
  };

  const isBrotli = (kind) => kind.startsWith("brotli");

  const brotliOptions = (params = {}) => {
    for (const name of Object.keys(params)) {
      const value = params[name];
      if (!/^[0-8]$/.test(name)) {
        throw coded(RangeError, "ERR_BROTLI_INVALID_PARAM", `${name} is not a valid Brotli parameter`);
      }
      if (typeof value !== "number" && typeof value !== "boolean") {
        throw wrongType("options.params[key]", "of type number", value);
      }
    }
    return {
      quality: params[constants.BROTLI_PARAM_QUALITY],
      window: params[constants.BROTLI_PARAM_LGWIN],
      mode: params[constants.BROTLI_PARAM_MODE],
    };
  };

  // The options of a stream, checked; and the native stream.
  const open = (kind, options = {}, size = undefined) => {
    const chunkSize = within("options.chunkSize", options?.chunkSize, 64, Infinity, 16384);
    const most = within("options.maxOutputLength", options?.maxOutputLength, 1, LONGEST, LONGEST);
    let settings;
    if (isBrotli(kind)) {
      settings = { ...brotliOptions(options?.params), size };
    } else {
      const inflates = kind === "inflate" || kind === "gunzip" || kind === "unzip";
      const { windowBits, level, memLevel, strategy, dictionary } = options ?? {};
      const lowest = inflates && windowBits === 0 ? 0 : kind === "gzip" ? 9 : 8;
      within("options.memLevel", memLevel, 1, 9);
      within("options.strategy", strategy, 0, 4);
      const wanted = within("options.level", level, -1, 9, -1);
      settings = {
        windowBits: within("options.windowBits", windowBits, lowest, 15, 15),
        level: wanted === -1 ? undefined : Math.trunc(wanted),
      };
      if (dictionary !== undefined) {
        if (!isView(dictionary) && !(dictionary instanceof ArrayBuffer)) {
          const expected = "an instance of Buffer, TypedArray, DataView, or ArrayBuffer";
          throw wrongType("options.dictionary", expected, dictionary);
        }
        settings.dictionary = bytesOf(dictionary);
      }
    }
    return { kind, stream: native.open(kind, settings), chunkSize, most, written: 0, ended: false };
  };

  const failure = (code, words) =>
    Object.assign(new Error(words), { errno: constants[code] ?? -1, code });

  const tooLarge = (most) =>
    coded(RangeError, "ERR_BUFFER_TOO_LARGE", `Cannot create a Buffer larger than ${most} bytes`);

  // Works `bytes` off, and hands what comes out to `take`.
  const work = (open, bytes, flush, take) => {
    let at = 0;
    for (;;) {
      if (open.ended) return;
      const [memory, next, end] = native.step(open.stream, bytes, at, flush, open.chunkSize);
      const { byteLength } = memory;
      open.written += byteLength;
      if (open.written > open.most) throw tooLarge(open.most);
      if (byteLength > 0) take(Buffer.from(memory));
      if (end === 1) {
        open.ended = true;
        return;
      }
      if (end !== undefined) throw failure(end[0], end[1]);
      // Nothing more comes of these bytes, unless the output was full.
      const idle = next === at && byteLength === 0;
      at = next;
      if (idle || (at >= bytes.length && byteLength < Math.min(open.chunkSize, MOST_OUTPUT))) {
        if (flush !== constants.Z_FINISH || idle) return;
      }
    }
  };
  // What native code gives at most in a step.
  const MOST_OUTPUT = 262144;

  const whole = (kind, data, options) => {
    const bytes = bytesOf(data);
    const stream = open(kind, options, bytes.length);
    const parts = [];
    const finish = options?.finishFlush ?? constants.Z_FINISH;
    const flush = isBrotli(kind) && options?.finishFlush === 1 ? constants.Z_SYNC_FLUSH : finish;
    work(stream, bytes, flush, (part) => parts.push(part));
    if (!stream.ended && flush === constants.Z_FINISH) throw truncated();
    const joined = parts.length === 1 ? parts[0] : Buffer.concat(parts);
    return options?.info ? { buffer: joined, engine: {} } : joined;
  };

  const truncated = () => failure("Z_BUF_ERROR", "unexpected end of file");

  const module = { constants, codes: {} };
  for (const name of ["Z_OK", "Z_STREAM_END", "Z_NEED_DICT", "Z_ERRNO", "Z_STREAM_ERROR",
    "Z_DATA_ERROR", "Z_MEM_ERROR", "Z_BUF_ERROR", "Z_VERSION_ERROR"]) {
    module.codes[name] = constants[name];
    module.codes[constants[name]] = name;
  }
  // Node's older names of zlib's constants, at the module itself.
  for (const name in constants) {
    if (name.startsWith("BROTLI")) continue;
    Object.defineProperty(module, name, { value: constants[name] });
  }

  for (const kind of [
    "deflate", "inflate", "gzip", "gunzip", "deflateRaw", "inflateRaw", "unzip", "brotliCompress",
    "brotliDecompress",
  ]) {
    const sync = { [`${kind}Sync`]: (data, options) => whole(kind, data, options) };
    const calling = {
      [kind](data, options, callback) {
        if (typeof options === "function") [options, callback] = [undefined, options];
        if (typeof callback !== "function") {
          throw wrongType("callback", "of type function", callback);
        }
        // What is not bytes is told at once; the rest in a job of its own.
        const bytes = bytesOf(data, "chunk", DATA.replace("DataView, or ArrayBuffer", "or DataView"));
        later(() => {
          let result;
          try {
            result = whole(kind, bytes, options);
          } catch (error) {
            callback(error);
            return;
          }
          callback(null, result);
        });
      },
    };
    module[`${kind}Sync`] = sync[`${kind}Sync`];
    module[kind] = calling[kind];
  }
  addStreams(module, { open, work, truncated, bytesOf, constants }, require);
  return module;
});
