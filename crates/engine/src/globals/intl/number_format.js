// Intl.NumberFormat and Intl.PluralRules, and what numbers write in a locale.
((native, tools) => {
  const { define, resolve, extended, choice, integer, optionsObject, matcher, parts, outOfRange } = tools;
  const NAME = "NumberFormat";
  const UNITS = new Set(
    ("acre bit byte celsius centimeter day degree fahrenheit fluid-ounce foot gallon gigabit gigabyte gram " +
      "hectare hour inch kilobit kilobyte kilogram kilometer liter megabit megabyte meter microsecond mile " +
      "mile-scandinavian milliliter millimeter millisecond minute month nanosecond ounce percent petabyte " +
      "pound second stone terabit terabyte week yard year").split(" "),
  );
  const MODES = ["ceil", "floor", "expand", "trunc", "halfCeil", "halfFloor", "halfExpand", "halfTrunc", "halfEven"];
  const INCREMENTS = [1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 2500, 5000];

  const isUnit = (unit) => {
    const [first, second, ...more] = unit.split("-per-");
    return UNITS.has(first) && (second === undefined || UNITS.has(second)) && more.length === 0;
  };

  // Digits and rounding, which PluralRules have too.
  const readDigits = (options, state, leastFraction, mostFraction, isCompact) => {
    const least = integer(options.minimumIntegerDigits, "minimumIntegerDigits", 1, 21, 1);
    const givenLeast = options.minimumFractionDigits;
    const givenMost = options.maximumFractionDigits;
    const givenLeastSignificant = options.minimumSignificantDigits;
    const givenMostSignificant = options.maximumSignificantDigits;
    state.minimumIntegerDigits = least;
    const increment = integer(options.roundingIncrement, "roundingIncrement", 1, 5000, 1);
    if (!INCREMENTS.includes(increment)) throw new RangeError("roundingIncrement value is out of range.");
    if (increment !== 1) throw new RangeError("roundingIncrement has to be 1 here");
    state.roundingMode = choice(options, NAME, "roundingMode", MODES, "halfExpand");
    const priority = choice(options, NAME, "roundingPriority", ["auto", "morePrecision", "lessPrecision"], "auto");
    state.trailingZeroDisplay = choice(options, NAME, "trailingZeroDisplay", ["auto", "stripIfInteger"], "auto");
    const hasSignificant = givenLeastSignificant !== undefined || givenMostSignificant !== undefined;
    const hasFraction = givenLeast !== undefined || givenMost !== undefined;
    const needsSignificant = priority !== "auto" || hasSignificant;
    const needsFraction = priority !== "auto" || !(hasSignificant || (!hasFraction && isCompact));
    state.roundingPriority = priority;
    if (needsSignificant) {
      if (hasSignificant) {
        const from = integer(givenLeastSignificant, "minimumSignificantDigits", 1, 21, 1);
        state.minimumSignificantDigits = from;
        state.maximumSignificantDigits = integer(givenMostSignificant, "maximumSignificantDigits", from, 21, 21);
      } else {
        state.minimumSignificantDigits = 1;
        state.maximumSignificantDigits = 21;
      }
    }
    if (needsFraction) {
      if (hasFraction) {
        let from = integer(givenLeast, "minimumFractionDigits", 0, 20);
        let to = integer(givenMost, "maximumFractionDigits", 0, 20);
        from ??= Math.min(leastFraction, to);
        to ??= Math.max(mostFraction, from);
        if (from > to) throw new RangeError("maximumFractionDigits value is out of range.");
        state.minimumFractionDigits = from;
        state.maximumFractionDigits = to;
      } else {
        state.minimumFractionDigits = leastFraction;
        state.maximumFractionDigits = mostFraction;
      }
    }
    if (!needsSignificant && !needsFraction) {
      state.minimumFractionDigits = state.maximumFractionDigits = 0;
      state.minimumSignificantDigits = 1;
      state.maximumSignificantDigits = 2;
      state.roundingPriority = "morePrecision";
    }
  };

  const create = (locales, given) => {
    const locale = resolve(locales);
    const options = optionsObject(given);
    matcher(options, NAME);
    choice(options, NAME, "numberingSystem");
    const state = { ...locale };
    state.style = choice(options, NAME, "style", ["decimal", "percent", "currency", "unit"], "decimal");
    const currency = choice(options, NAME, "currency");
    if (currency !== undefined && !/^[a-z]{3}$/i.test(currency)) {
      throw new RangeError(`Invalid currency code : ${currency}`);
    }
    if (state.style === "currency" && currency === undefined) {
      throw new TypeError("Currency code is required with currency style.");
    }
    const currencyDisplay = choice(options, NAME, "currencyDisplay", ["code", "symbol", "narrowSymbol", "name"], "symbol");
    const currencySign = choice(options, NAME, "currencySign", ["standard", "accounting"], "standard");
    const unit = choice(options, NAME, "unit");
    if (unit !== undefined && !isUnit(unit)) {
      throw new RangeError(`Invalid unit argument for Intl.NumberFormat() '${unit}'`);
    }
    if (state.style === "unit" && unit === undefined) {
      throw new TypeError("Invalid unit argument for Intl.NumberFormat() ''");
    }
    const unitDisplay = choice(options, NAME, "unitDisplay", ["short", "narrow", "long"], "short");
    state.notation = choice(options, NAME, "notation", ["standard", "scientific", "engineering", "compact"], "standard");
    const isCompact = state.notation === "compact";
    let fraction = [0, state.style === "percent" ? 0 : 3];
    state.of = "";
    state.display = "";
    if (state.style === "currency") {
      state.of = state.currency = currency.toUpperCase();
      state.display = state.currencyDisplay = currencyDisplay;
      state.currencySign = currencySign;
      const digits = native.fraction(state.currency);
      if (state.notation === "standard") fraction = [digits, digits];
    }
    if (state.style === "unit") {
      state.of = state.unit = unit;
      state.display = state.unitDisplay = unitDisplay;
    }
    readDigits(options, state, ...fraction, isCompact);
    const compactDisplay = choice(options, NAME, "compactDisplay", ["short", "long"], "short");
    if (isCompact) state.compactDisplay = compactDisplay;
    const grouping = options.useGrouping;
    if (grouping === undefined || grouping === "true" || grouping === "false") {
      state.useGrouping = isCompact ? "min2" : "auto";
    } else if (grouping === true) state.useGrouping = "always";
    else if (!grouping) state.useGrouping = false;
    else {
      state.useGrouping = `${grouping}`;
      if (!["min2", "auto", "always"].includes(state.useGrouping)) throw outOfRange(state.useGrouping, NAME, "useGrouping");
    }
    state.signDisplay = choice(options, NAME, "signDisplay", ["auto", "never", "always", "exceptZero", "negative"], "auto");
    state.format = native.number({
      data: state.data, style: state.style, of: state.of, display: state.display,
      isAccounting: currencySign === "accounting", notation: state.notation,
      isLong: compactDisplay === "long", grouping: `${state.useGrouping}`, signDisplay: state.signDisplay,
      minimumIntegerDigits: state.minimumIntegerDigits,
      minimumFractionDigits: state.minimumFractionDigits, maximumFractionDigits: state.maximumFractionDigits,
      minimumSignificantDigits: state.minimumSignificantDigits, maximumSignificantDigits: state.maximumSignificantDigits,
      roundingPriority: state.roundingPriority, roundingMode: state.roundingMode,
      trailingZeroDisplay: state.trailingZeroDisplay,
    });
    return state;
  };

  const textOf = (value) => {
    let number = value;
    if (typeof number === "object" && number !== null) {
      const convert = number[Symbol.toPrimitive] ?? undefined;
      number = convert === undefined ? number.valueOf() : convert.call(number, "number");
      if (typeof number === "object" && number !== null) number = `${number}`;
    }
    if (typeof number === "bigint") return `${number}`;
    if (typeof number === "string") {
      const text = number.trim();
      const near = Number(text);
      // A decimal keeps all its digits, as long as a double could be near it.
      if (near && Math.abs(near) !== Infinity && /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text)) return text.replace("+", "");
      number = near;
    }
    number = Number(number);
    return Object.is(number, -0) ? "-0" : `${number}`;
  };

  const SHOWN = [
    "style", "currency", "currencyDisplay", "currencySign", "unit", "unitDisplay", "minimumIntegerDigits",
    "minimumFractionDigits", "maximumFractionDigits", "minimumSignificantDigits", "maximumSignificantDigits",
    "useGrouping", "notation", "compactDisplay", "signDisplay", "roundingMode",
  ];
  const rangeParts = (state, start, end) => {
    if (start === undefined || end === undefined) throw new TypeError("Invalid range");
    const [from, to] = [textOf(start), textOf(end)];
    if (from === "NaN" || to === "NaN") throw new RangeError("Invalid range");
    const [first, last] = [state.format(from, true), state.format(to, true)];
    if (first.join("\0") === last.join("\0")) {
      const sign = native.text(state.data, "symbol.approximatelySign");
      return [{ type: "approximatelySign", value: sign, source: "shared" }, ...parts(first, { source: "shared" })];
    }
    const between = { type: "literal", value: /[^\d.,\s]/.test(state.format(from)) ? " – " : "–", source: "shared" };
    return [...parts(first, { source: "startRange" }), between, ...parts(last, { source: "endRange" })];
  };
  define(NAME, {
    create,
    callable: true,
    getters: {
      format: (state) => (state.bound ??= ((value) => state.format(textOf(value)))),
    },
    methods: {
      resolvedOptions: (state) => {
        const used = state.keywords.nu === "latn" ? { nu: "latn" } : {};
        const result = { locale: extended(state.name, used), numberingSystem: "latn" };
        for (const key of SHOWN) if (state[key] !== undefined) result[key] = state[key];
        return {
          ...result, roundingIncrement: 1, trailingZeroDisplay: state.trailingZeroDisplay,
          roundingPriority: state.roundingPriority,
        };
      },
      formatToParts: (state, value) => parts(state.format(textOf(value), true)),
      formatRange: (state, start, end) => rangeParts(state, start, end).map((part) => part.value).join(""),
      formatRangeToParts: rangeParts,
    },
  });
  tools.formatNumber = (data, value) => usualFormat(data)(textOf(value));
  tools.createNumber = create;
  tools.textOf = textOf;

  const usual = new Map();
  const usualFormat = (locales) => {
    let format = usual.get(locales);
    if (!format) {
      format = create(locales).format;
      if (usual.size > 50) usual.clear();
      usual.set(locales, format);
    }
    return format;
  };
  tools.numberToString = (value, locales, options) => {
    const isUsual = options === undefined && (locales === undefined || typeof locales === "string");
    return (isUsual ? usualFormat(locales) : create(locales, options).format)(textOf(value));
  };

  const CATEGORIES = ["few", "many", "one", "two", "zero", "other"];
  const SAMPLES = ["0", "1", "2", "3", "5", "8", "11", "1000000", "1.5"];
  define("PluralRules", {
    create: (locales, given) => {
      const locale = resolve(locales);
      const options = optionsObject(given);
      matcher(options, "PluralRules");
      const state = { ...locale, type: choice(options, "PluralRules", "type", ["cardinal", "ordinal"], "cardinal") };
      readDigits(options, state, 0, 3, false);
      state.format = native.number({
        ...state, data: "en", style: "decimal", of: "", display: "", isAccounting: false,
        notation: "standard", isLong: false, grouping: "false", signDisplay: "auto",
      });
      state.select = (value) => native.plural(state.data, state.type === "ordinal", state.format(`${Number(value)}`));
      return state;
    },
    methods: {
      select: (state, value) => state.select(value),
      resolvedOptions: (state) => {
        const result = { locale: state.name, type: state.type };
        for (const key of SHOWN.slice(6, 11)) if (state[key] !== undefined) result[key] = state[key];
        const found = SAMPLES.map((sample) => native.plural(state.data, state.type === "ordinal", sample));
        result.pluralCategories = CATEGORIES.filter((category) => found.includes(category));
        return result;
      },
    },
  });
});
