// The errors of `meta` that PostHog gave a name of their own.
({
  illegal(message) {
    const error = new Error(message);
    Object.defineProperty(error, "name", {
      value: "IllegalOperationError",
      writable: true,
      configurable: true,
    });
    return error;
  },
});
