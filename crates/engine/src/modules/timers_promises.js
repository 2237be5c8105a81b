// `timers/promises`: timers to wait for.
(require, { coded, wrongType }) => {
  const aborted = (signal) => {
    const error = coded(Error, "ABORT_ERR", "The operation was aborted");
    error.name = "AbortError";
    error.cause = signal.reason;
    return error;
  };
  const check = (options) => {
    if (options !== undefined && (typeof options !== "object" || options === null)) {
      throw wrongType("options", "of type object", options);
    }
  };

  const wait = async (start, stop, value, options) => {
    check(options);
    const signal = options?.signal;
    if (signal?.aborted) throw aborted(signal);
    let abort;
    try {
      return await new Promise((resolve, reject) => {
        const timer = start(() => resolve(value));
        abort = () => {
          stop(timer);
          reject(aborted(signal));
        };
        signal?.addEventListener("abort", abort, { once: true });
      });
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  };

  const promised = {
    setTimeout: (delay, value, options) =>
      wait((ring) => setTimeout(ring, delay), clearTimeout, value, options),
    setImmediate: (value, options) =>
      wait((ring) => setImmediate(ring), clearImmediate, value, options),
    async *setInterval(delay, value, options) {
      check(options);
      const signal = options?.signal;
      if (signal?.aborted) throw aborted(signal);
      let rung = 0;
      let wake;
      const ring = () => {
        rung++;
        wake?.();
      };
      const interval = setInterval(ring, delay);
      const tell = () => wake?.();
      signal?.addEventListener("abort", tell, { once: true });
      try {
        for (;;) {
          if (signal?.aborted) throw aborted(signal);
          if (rung > 0) {
            rung--;
            yield value;
          } else {
            await new Promise((resolve) => {
              wake = resolve;
            });
          }
        }
      } finally {
        clearInterval(interval);
        signal?.removeEventListener("abort", tell);
      }
    },
  };
  promised.scheduler = {
    wait: (delay, options) => promised.setTimeout(delay, undefined, options),
    yield: () => promised.setImmediate(),
  };
  return promised;
};
