// `meta.storage`: JSON by key, for as long as the config is there.
(function (operate) {
  const { stringify, parse } = JSON;
  return {
    async get(key, missing = undefined) {
      const text = operate("get", `${key}`);
      return text === undefined ? missing : parse(text);
    },
    async set(key, value) {
      const text = stringify(value);
      if (text === undefined) operate("del", `${key}`);
      else operate("set", `${key}`, text);
    },
    async del(key) {
      operate("del", `${key}`);
    },
  };
});
