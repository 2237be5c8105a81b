// What a plugin throws to be called again later; PostHog counts the attempts on the error itself.
(() => {
  class RetryError extends Error {
    constructor(message) {
      super(message);
      this.name = "RetryError";
      this._attempt = undefined;
      this._maxAttempts = undefined;
    }

    get nameWithAttempts() {
      if (!this._attempt) return this.name;
      const of = this._maxAttempts ? `/${this._maxAttempts}` : "";
      return `${this.name} (attempt ${this._attempt}${of})`;
    }

    toString() {
      return this.message ? `${this.nameWithAttempts}: ${this.message}` : this.nameWithAttempts;
    }
  }
  return RetryError;
})();
