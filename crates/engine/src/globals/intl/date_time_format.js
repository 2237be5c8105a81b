// Intl.DateTimeFormat, and what Date writes in a locale.
((native, tools) => {
  const { define, resolve, extended, choice, integer, optionsObject, matcher, parts } = tools;
  const NAME = "DateTimeFormat";
  const TEXT = { narrow: 5, short: 3, long: 4 };
  const NUMBER = { "2-digit": 2, numeric: 1 };
  // In the order in which options are read; the letters and lengths of a skeleton.
  const FIELDS = [
    ["weekday", "E", TEXT],
    ["era", "G", TEXT],
    ["year", "y", NUMBER],
    ["month", "M", { ...NUMBER, ...TEXT }],
    ["day", "d", NUMBER],
    ["dayPeriod", "B", { narrow: 5, short: 1, long: 4 }],
    ["hour", "", NUMBER],
    ["minute", "m", NUMBER],
    ["second", "s", NUMBER],
    ["fractionalSecondDigits", "S"],
    ["timeZoneName", "", {
      short: "z", long: "zzzz", shortOffset: "O", longOffset: "OOOO", shortGeneric: "v", longGeneric: "vvvv",
    }],
  ];
  const STYLES = ["full", "long", "medium", "short"];
  const HOURS = { h11: "K", h12: "h", h23: "H", h24: "k" };
  const CYCLES = { K: "h11", h: "h12", H: "h23", k: "h24" };
  const DATE = ["weekday", "year", "month", "day"];
  const TIME = ["dayPeriod", "hour", "minute", "second", "fractionalSecondDigits"];

  const withHours = (pattern, letter) => {
    let quoted = false;
    let last = "";
    let result = "";
    for (const character of pattern) {
      if (character === "'") quoted = !quoted;
      const isHour = !quoted && "hHkK".includes(character);
      if (isHour && last === "d") result += " ";
      result += isHour ? letter : character;
      last = character;
    }
    return result;
  };
  const hoursOf = (pattern) => /[hHkK]/.exec(pattern.replace(/'[^']*'/g, ""))?.[0];

  const create = (locales, given, required = "any", defaults = "date") => {
    const locale = resolve(locales);
    const options = optionsObject(given);
    matcher(options, NAME);
    for (const name of ["calendar", "numberingSystem"]) {
      const value = choice(options, NAME, name);
      if (value !== undefined && !/^[a-z0-9]{3,8}(-[a-z0-9]{3,8})*$/i.test(value)) {
        throw new RangeError(`Invalid ${name} : ${value}`);
      }
    }
    const hour12 = options.hour12 === undefined ? undefined : Boolean(options.hour12);
    const askedCycle = choice(options, NAME, "hourCycle", Object.keys(HOURS));
    const givenZone = options.timeZone;
    const timeZone = native.zone(givenZone === undefined ? "UTC" : `${givenZone}`);
    if (timeZone === undefined) throw new RangeError(`Invalid time zone specified: ${givenZone}`);

    const wanted = {};
    for (const [name, , lengths] of FIELDS) {
      wanted[name] = lengths
        ? choice(options, NAME, name, Object.keys(lengths))
        : integer(options[name], name, 1, 3);
    }
    choice(options, NAME, "formatMatcher", ["basic", "best fit"]);
    const dateStyle = choice(options, NAME, "dateStyle", STYLES);
    const timeStyle = choice(options, NAME, "timeStyle", STYLES);

    const { data, name, keywords } = locale;
    const usual = native.text(data, "hour");
    let cycle = askedCycle ?? (keywords.hc in HOURS ? keywords.hc : undefined);
    if (hour12 !== undefined) cycle = hour12 ? "h12" : "h23";
    cycle ??= CYCLES[usual];
    const letter = HOURS[cycle];

    let pattern;
    if (dateStyle !== undefined || timeStyle !== undefined) {
      for (const [field] of FIELDS) {
        if (wanted[field] === undefined) continue;
        const style = dateStyle === undefined ? "timeStyle" : "dateStyle";
        throw new TypeError(`Can't set option ${field} when ${style} is used`);
      }
      if (required === "date" && timeStyle !== undefined) throw new TypeError("Invalid option : timeStyle");
      if (required === "time" && dateStyle !== undefined) throw new TypeError("Invalid option : dateStyle");
      const date = dateStyle && native.text(data, `date.${dateStyle}`);
      let time = timeStyle && native.text(data, `time.${timeStyle}`);
      if (time && hoursOf(time) !== letter) {
        const skeleton = time.replace(/'[^']*'|[^A-Za-z]|[abB]/g, "").replace(/[hHkK]/g, letter);
        time = withHours(native.pattern(data, skeleton), letter);
      }
      pattern = date && time ? native.glue(data, dateStyle, date, time) : (date ?? time);
    } else {
      const has = (fields) => fields.some((field) => wanted[field] !== undefined);
      const isGiven =
        ((required === "date" || required === "any") && has(DATE)) ||
        ((required === "time" || required === "any") && has(TIME));
      if (!isGiven && (defaults === "date" || defaults === "all")) {
        wanted.year = wanted.month = wanted.day = "numeric";
      }
      if (!isGiven && (defaults === "time" || defaults === "all")) {
        wanted.hour = wanted.minute = wanted.second = "numeric";
      }
      let skeleton = "";
      for (const [field, fieldLetter, lengths] of FIELDS) {
        const value = wanted[field];
        if (value === undefined) continue;
        const length = lengths ? lengths[value] : value;
        skeleton += typeof length === "string" ? length : (fieldLetter || letter).repeat(length);
      }
      pattern = withHours(native.pattern(data, skeleton), letter);
    }
    const format = native.date(data, pattern, timeZone);
    return { name, data, used: keywords, pattern, timeZone, cycle, dateStyle, timeStyle, format };
  };

  const resolved = (state) => {
    const letters = state.pattern.replace(/'[^']*'/g, "");
    const run = (set) => new RegExp(`[${set}]+`).exec(letters)?.[0];
    const used = {};
    if (["gregory", "gregorian"].includes(state.used.ca)) used.ca = "gregory";
    if (state.used.hc === state.cycle && state.used.hc) used.hc = state.used.hc;
    if (state.used.nu === "latn") used.nu = "latn";
    const result = {
      locale: extended(state.name, used),
      calendar: "gregory",
      numberingSystem: "latn",
      timeZone: state.timeZone,
    };
    const hours = run("hHkK");
    if (hours) {
      result.hourCycle = CYCLES[hours[0]];
      result.hour12 = "hK".includes(hours[0]);
    }
    const text = (length) => (length === 5 ? "narrow" : length === 4 ? "long" : "short");
    if (state.dateStyle === undefined && state.timeStyle === undefined) {
      const number = (length) => (length === 2 ? "2-digit" : "numeric");
      const put = (name, set, show) => {
        const found = run(set);
        if (found) result[name] = show(found.length, found[0]);
      };
      put("weekday", "Ec", text);
      put("era", "G", text);
      put("year", "y", number);
      put("month", "ML", (length) => (length > 2 ? text(length) : number(length)));
      put("day", "d", number);
      put("dayPeriod", "Bb", text);
      put("hour", "hHkK", number);
      put("minute", "m", number);
      put("second", "s", number);
      put("fractionalSecondDigits", "S", (length) => length);
      put("timeZoneName", "zOv", (length, letter) =>
        (length === 4 ? "long" : "short") + { z: "", O: "Offset", v: "Generic" }[letter]);
    }
    if (state.dateStyle !== undefined) result.dateStyle = state.dateStyle;
    if (state.timeStyle !== undefined) result.timeStyle = state.timeStyle;
    return result;
  };

  const { now } = Date;
  const timeOf = (date) => {
    const time = date === undefined ? now() : Number(date);
    if (!(Math.abs(time) <= 8.64e15)) throw new RangeError("Invalid time value");
    return Math.trunc(time);
  };
  const rangeParts = (state, start, end) => {
    if (start === undefined || end === undefined) throw new TypeError("Invalid time value");
    const [from, to] = [timeOf(start), timeOf(end)];
    const [first, last] = [state.format(from, true), state.format(to, true)];
    if (first.join("\0") === last.join("\0")) return parts(first, { source: "shared" });
    const [, before, between, after] = /^(.*)\{0\}(.*)\{1\}(.*)$/.exec(native.text(state.data, "interval"));
    const shared = (value) => (value ? [{ type: "literal", value, source: "shared" }] : []);
    return [
      ...shared(before), ...parts(first, { source: "startRange" }),
      ...shared(between), ...parts(last, { source: "endRange" }), ...shared(after),
    ];
  };
  define(NAME, {
    create,
    callable: true,
    getters: {
      format: (state) => (state.bound ??= ((date) => state.format(timeOf(date)))),
    },
    methods: {
      resolvedOptions: resolved,
      formatToParts: (state, date) => parts(state.format(timeOf(date), true)),
      formatRange: (state, start, end) => rangeParts(state, start, end).map((part) => part.value).join(""),
      formatRangeToParts: rangeParts,
    },
  });

  const { getTime } = Date.prototype;
  // Most plugins ask with the same locale and no options.
  const usual = new Map();
  tools.dateToString = (date, required, defaults, locales, options) => {
    const time = Reflect.apply(getTime, date, []);
    if (time !== time) return "Invalid Date";
    if (options !== undefined || (locales !== undefined && typeof locales !== "string")) {
      return create(locales, options, required, defaults).format(time);
    }
    const key = `${defaults} ${locales}`;
    let format = usual.get(key);
    if (!format) {
      format = create(locales, options, required, defaults).format;
      if (usual.size > 50) usual.clear();
      usual.set(key, format);
    }
    return format(time);
  };
});
