// `meta.jobs`: any name is a job, which is run later with the payload. Whether there is one is found
// out then, as in PostHog.
(function (enqueue) {
  const { freeze } = Object;
  const { now } = Date;
  const second = 1000;
  const day = 86400 * second;
  const units = freeze({
    __proto__: null,
    milliseconds: 1,
    seconds: second,
    minutes: 60 * second,
    hours: 3600 * second,
    days: day,
    weeks: 7 * day,
    // PostHog took 30 weeks, by mistake.
    months: 30 * day,
    quarters: 13 * 7 * day,
    years: 365 * day,
  });

  const duration = (count, unit) => {
    const name = `${unit}`;
    const factor = units[name] ?? units[`${name}s`];
    if (factor === undefined) throw new Error(`jobs: unknown unit of time "${name}"`);
    const time = +count * factor;
    if (time !== time) throw new Error("jobs: the duration must be a number");
    return time;
  };

  const moment = (date) => {
    const time = typeof date === "number" ? date : +date?.valueOf();
    if (time !== time) throw new Error("jobs: runAt takes a date, or milliseconds since 1970");
    return time;
  };

  const job = (name) => (payload) => {
    const run = (time) => enqueue(name, payload, time);
    return freeze({
      async runNow() {
        run(now());
      },
      async runIn(count, unit) {
        run(now() + duration(count, unit));
      },
      async runAt(date) {
        run(moment(date));
      },
    });
  };

  // Who writes `meta` as JSON or awaits it asks for `toJSON` and `then`, and for no job.
  const isJob = (name) => typeof name === "string" && name !== "toJSON" && name !== "then";
  return new Proxy(freeze({ __proto__: null }), {
    __proto__: null,
    get: (_, name) => (isJob(name) ? job(name) : undefined),
    has: (_, name) => isJob(name),
  });
});
