// `@posthog/plugin-contrib`: a buffer that hands over what was added to it when it is full, or when
// its first object has waited for long enough. A timer cannot outlive its call, so the time is also
// looked at whenever something is added.
() => {
  const report = (error) => void Promise.reject(error);

  const createBuffer = (given) => {
    const options = { limit: 10, timeoutSeconds: 60, onFlush: undefined, ...given };
    const buffer = {
      _options: options,
      _buffer: [],
      _points: 0,
      _timeout: null,
      add(object, points = 1) {
        const isLate = buffer._timeout !== null && Date.now() >= buffer._timeout;
        const isFull = buffer._points > 0 && buffer._points + points > options.limit;
        if (isLate || isFull) buffer.flush().catch(report);
        buffer._buffer.push(object);
        buffer._points += points;
        if (buffer._points > options.limit) buffer.flush().catch(report);
        else if (buffer._timeout === null) start();
      },
      async flush() {
        clearTimeout(timer);
        buffer._timeout = null;
        if (buffer._buffer.length === 0 && buffer._points === 0) return;
        const { _buffer: objects, _points: points } = buffer;
        buffer._buffer = [];
        buffer._points = 0;
        await options.onFlush?.(objects, points);
      },
    };
    let timer;
    const start = () => {
      const wait = options.timeoutSeconds * 1000;
      buffer._timeout = Date.now() + wait;
      timer = setTimeout(() => buffer.flush().catch(report), wait);
    };
    return buffer;
  };

  return { createBuffer };
};
