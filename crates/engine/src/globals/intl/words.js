// Intl's classes of words: Collator, ListFormat, RelativeTimeFormat, DisplayNames.
((native, tools) => {
  const { define, resolve, extended, choice, flag, optionsObject, strictOptions, matcher } = tools;
  const LENGTHS = ["long", "short", "narrow"];

  const createCollator = (locales, given) => {
    const of = "Collator";
    const locale = resolve(locales);
    const options = optionsObject(given);
    const { keywords } = locale;
    const usage = choice(options, of, "usage", ["sort", "search"], "sort");
    matcher(options, of);
    choice(options, of, "collation");
    const numeric = flag(options, "numeric", keywords.kn !== undefined && keywords.kn !== "false");
    const caseFirst = choice(options, of, "caseFirst", ["upper", "lower", "false"],
      ["upper", "lower"].includes(keywords.kf) ? keywords.kf : "false");
    const sensitivity = choice(options, of, "sensitivity", ["base", "accent", "case", "variant"], "variant");
    const ignorePunctuation = flag(options, "ignorePunctuation", false);
    const compare = native.collator(locale.data, sensitivity, numeric, caseFirst, ignorePunctuation);
    return { name: locale.name, keywords, usage, sensitivity, ignorePunctuation, numeric, caseFirst, compare };
  };
  define("Collator", {
    create: createCollator,
    callable: true,
    getters: {
      compare: (state) => (state.bound ??= ((one, other) => state.compare(`${one}`, `${other}`))),
    },
    methods: {
      resolvedOptions: (state) => {
        const used = {};
        if (state.keywords.kn !== undefined) used.kn = state.keywords.kn;
        const { usage, sensitivity, ignorePunctuation, numeric, caseFirst } = state;
        const locale = extended(state.name, used).replace(/-true$/, "");
        return { locale, usage, sensitivity, ignorePunctuation, collation: "default", numeric, caseFirst };
      },
    },
  });
  const usual = new Map();
  tools.compare = (one, other, locales, options) => {
    if (options !== undefined || (locales !== undefined && typeof locales !== "string")) {
      return createCollator(locales, options).compare(one, other);
    }
    let compare = usual.get(locales);
    if (!compare) {
      compare = createCollator(locales).compare;
      if (usual.size > 50) usual.clear();
      usual.set(locales, compare);
    }
    return compare(one, other);
  };

  // The texts of a pattern, and in place of {0} and {1} what is given.
  const fill = (pattern, values) =>
    pattern.split(/(\{[01]\})/).flatMap((piece) =>
      piece === "{0}" ? values[0] : piece === "{1}" ? values[1] : piece === "" ? [] : [{ type: "literal", value: piece }]);
  const joined = (parts) => {
    let text = "";
    for (const { value } of parts) text += value;
    return text;
  };
  const startsWithI = /^(?:i|hi(?!e|a))/i;
  const startsWithO = /^(?:o|ho|8)/i;
  const wordsOf = (state, iterable) => {
    const words = [];
    if (iterable !== undefined) {
      for (const word of iterable) {
        if (typeof word !== "string") throw new TypeError("Iterable yielded a non-String value");
        words.push([{ type: "element", value: word }]);
      }
    }
    if (words.length < 2) return words.flat();
    // Spanish and Italian change "and" and "or" before a word that begins with the same sound.
    const lastOf = (pattern) => {
      if (!state.data.startsWith("es")) return pattern;
      const [{ value }] = words[words.length - 1];
      if (state.type === "conjunction" && startsWithI.test(value)) return pattern.replace(" y ", " e ");
      return state.type === "disjunction" && startsWithO.test(value) ? pattern.replace(" o ", " u ") : pattern;
    };
    const [two, start, middle, end] = state.patterns;
    if (words.length === 2) return fill(lastOf(two), words);
    // From the start, so that each word is copied once.
    const between = (pattern) => /\{0\}(.*)\{1\}/.exec(pattern)[1];
    const list = [];
    for (let i = 0; i < words.length; i++) {
      const pattern = i === 1 ? start : i === words.length - 1 ? lastOf(end) : middle;
      if (i > 0) list.push({ type: "literal", value: between(i === words.length - 1 ? lastOf(end) : pattern) });
      list.push(...words[i]);
    }
    return list;
  };
  define("ListFormat", {
    create: (locales, given) => {
      const locale = resolve(locales);
      const options = strictOptions(given);
      matcher(options, "ListFormat");
      const type = choice(options, "ListFormat", "type", ["conjunction", "disjunction", "unit"], "conjunction");
      const style = choice(options, "ListFormat", "style", LENGTHS, "long");
      return { ...locale, type, style, patterns: native.text(locale.data, `list.${type}.${style}`).split("|") };
    },
    methods: {
      format: (state, list) => joined(wordsOf(state, list)),
      formatToParts: wordsOf,
      resolvedOptions: ({ name, type, style }) => ({ locale: name, type, style }),
    },
  });

  const SPANS = ["second", "minute", "hour", "day", "week", "month", "quarter", "year"];
  const relative = (state, value, given) => {
    const number = Number(value);
    const unit = `${given}`.replace(/s$/, "");
    if (!SPANS.includes(unit) ) {
      throw new RangeError(`Invalid unit argument for format() '${given}'`);
    }
    if (!(Math.abs(number) < Infinity)) {
      throw new RangeError("Invalid time value");
    }
    const { data, style } = state;
    const key = `relative.${style}.${unit}`;
    if (state.numeric === "auto" && Number.isInteger(number)) {
      const text = native.text(data, `${key}.${number}`);
      if (text !== undefined) return [{ type: "literal", value: text }];
    }
    const way = number < 0 || Object.is(number, -0) ? "past" : "future";
    const flat = state.format(`${Math.abs(number)}`, true);
    const parts = [];
    let shown = "";
    for (let i = 0; i < flat.length; i += 2) {
      parts.push({ type: flat[i], value: flat[i + 1], unit });
      if (flat[i] === "decimal") shown += ".";
      else if (flat[i] !== "group") shown += flat[i + 1];
    }
    const count = native.plural(data, false, shown);
    const pattern = native.text(data, `${key}.${way}.${count}`) ?? native.text(data, `${key}.${way}.other`);
    return fill(pattern, [parts]);
  };
  define("RelativeTimeFormat", {
    create: (locales, given) => {
      const locale = resolve(locales);
      const options = optionsObject(given);
      matcher(options, "RelativeTimeFormat");
      const style = choice(options, "RelativeTimeFormat", "style", LENGTHS, "long");
      const numeric = choice(options, "RelativeTimeFormat", "numeric", ["always", "auto"], "always");
      return { ...locale, style, numeric, format: tools.createNumber(locale.name).format };
    },
    methods: {
      format: (state, value, unit) => joined(relative(state, value, unit)),
      formatToParts: relative,
      resolvedOptions: ({ name, style, numeric }) => ({ locale: name, style, numeric, numberingSystem: "latn" }),
    },
  });

  const NAMES = { region: "region", currency: "money.name" };
  define("DisplayNames", {
    length: 2,
    create: (locales, given) => {
      const of = "DisplayNames";
      const locale = resolve(locales);
      if (given === undefined) throw new TypeError("Cannot convert undefined or null to object");
      const options = strictOptions(given);
      matcher(options, of);
      const style = choice(options, of, "style", ["narrow", "short", "long"], "long");
      const type = choice(options, of, "type", Object.keys(NAMES));
      if (type === undefined) throw new TypeError("Required option \"type\" must not be undefined");
      const fallback = choice(options, of, "fallback", ["code", "none"], "code");
      return { ...locale, style, type, fallback };
    },
    methods: {
      of: (state, given) => {
        const code = state.type === "region" ? `${given}` : `${given}`.toUpperCase();
        if (!(state.type === "region" ? /^([A-Za-z]{2}|\d{3})$/ : /^[A-Z]{3}$/).test(code)) {
          throw new RangeError(`Invalid argument to Intl.DisplayNames.prototype.of`);
        }
        const found = native.text(state.data, `${NAMES[state.type]}.${code}`);
        return found ?? (state.fallback === "code" ? code : undefined);
      },
      resolvedOptions: ({ name, style, type, fallback }) => ({ locale: name, style, type, fallback }),
    },
  });
});
