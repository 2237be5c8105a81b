// `meta.cache`, with the methods and the oddities of PostHog's, which was a Redis. `operate` does the
// work: everything is done when it returns, and the promises are there because plugins await them.
(function (operate, failures) {
  const { stringify, parse } = JSON;
  const { isArray } = Array;
  const { isFinite } = Number;
  const { illegal } = failures;

  const isJson = (options) => options?.jsonSerialize ?? true;

  const numbers = (values, method, names) => {
    for (let i = 0; i < values.length; i++) {
      if (typeof values[i] !== "number" || values[i] !== values[i]) {
        throw new Error(`cache.${method}: ${names} must be numbers`);
      }
    }
  };

  const texts = (elements) => {
    if (typeof elements === "string") return [elements];
    if (!isArray(elements)) {
      throw new Error("cache.lpush: what is pushed must be a string or an array of strings");
    }
    const { length } = elements;
    if (length > 1000) throw illegal("cache.lpush: at most 1000 elements can be pushed at once");
    const list = [];
    for (let i = 0; i < length; i++) list[i] = `${elements[i]}`;
    return list;
  };

  return {
    async get(key, missing = null, options = undefined) {
      const text = operate("get", `${key}`);
      if (text === undefined) return missing;
      if (!isJson(options)) return text;
      try {
        return parse(text);
      } catch {
        return null;
      }
    },
    async set(key, value, seconds = undefined, options = undefined) {
      const text = isJson(options) ? stringify(value) : value;
      let expires;
      if (seconds) {
        expires = +seconds;
        if (!(isFinite(expires) && expires > 0)) {
          throw new Error("cache.set: the time to live must be a positive number of seconds");
        }
      }
      operate("set", `${key}`, text === undefined ? "" : `${text}`, expires);
    },
    async incr(key) {
      return operate("incr", `${key}`);
    },
    async expire(key, seconds) {
      const after = +seconds;
      numbers([after], "expire", "the seconds");
      return operate("expire", `${key}`, after);
    },
    async lpush(key, elements) {
      return operate("lpush", `${key}`, texts(elements));
    },
    async lrange(key, start, end) {
      numbers([start, end], "lrange", "start and end");
      return operate("lrange", `${key}`, start, end);
    },
    async llen(key) {
      return operate("llen", `${key}`);
    },
    async lpop(key, count) {
      numbers([count], "lpop", "the count");
      return operate("lpop", `${key}`, count) ?? null;
    },
    async lrem(key, count, element) {
      numbers([count], "lrem", "the count");
      return operate("lrem", `${key}`, count, `${element}`);
    },
  };
});
