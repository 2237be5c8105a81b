// Writes the tables of crates/engine/src/globals/intl/data from Unicode's CLDR, as its npm packages
// have it: node scripts/locales.mjs FOLDER, where `npm install cldr-core cldr-dates-full
// cldr-numbers-full cldr-units-full cldr-misc-full cldr-localenames-full cldr-bcp47` ran in FOLDER.
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";

const [packages] = process.argv.slice(2);
const target = new URL("../crates/engine/src/globals/intl/data/", import.meta.url);
const read = (path) => JSON.parse(readFileSync(`${packages}/node_modules/${path}`));

// Each after the one it inherits from: its table only has what differs.
const LOCALES = {
  en: null, "en-AU": "en", "en-CA": "en", "en-GB": "en", "en-IE": "en", "en-IN": "en",
  "en-NZ": "en", "en-ZA": "en",
  de: null, "de-AT": "de", "de-CH": "de",
  es: null, "es-MX": "es",
  fr: null, "fr-CA": "fr", "fr-CH": "fr",
  it: null, nl: null, pt: null, "pt-PT": "pt", sv: null,
};
const REGIONS = { en: "US", de: "DE", es: "ES", fr: "FR", it: "IT", nl: "NL", pt: "BR", sv: "SE" };

// What ECMA-402 sanctions.
const UNITS = `acre bit byte celsius centimeter day degree fahrenheit fluid-ounce foot gallon gigabit
  gigabyte gram hectare hour inch kilobit kilobyte kilogram kilometer liter megabit megabyte meter
  microsecond mile mile-scandinavian milliliter millimeter millisecond minute month nanosecond ounce
  percent petabyte pound second stone terabit terabyte week yard year`.split(/\s+/);
const COMPOUND_UNITS = ["mile-per-hour", "kilometer-per-hour", "liter-per-kilometer", "mile-per-gallon", "meter-per-second"];
const WIDTHS = { wide: "w", abbreviated: "a", narrow: "n" };
const FIELDS = ["era", "year", "quarter", "month", "week", "weekday", "day", "dayperiod", "hour", "minute", "second", "zone"];
const APPEND = { Era: "era", Year: "year", Month: "month", "Day-Of-Week": "weekday", Day: "day", Hour: "hour", Minute: "minute", Second: "second", Timezone: "zone" };

const core = (name) => read(`cldr-core/supplemental/${name}.json`).supplemental;
const hours = core("timeData").timeData;
const dayPeriods = core("dayPeriods").dayPeriodRuleSet;

function locale(name) {
  const rows = new Map();
  const put = (key, value) => value !== undefined && rows.set(key, value);
  const main = (file) => read(`${file.replace("/", `/main/${name}/`)}.json`).main[name];
  const language = name.slice(0, 2);

  const dates = main("cldr-dates-full/ca-gregorian").dates.calendars.gregorian;
  for (const [context, letter] of [["format", "f"], ["stand-alone", "s"]]) {
    for (const [width, short] of Object.entries(WIDTHS)) {
      for (const [month, text] of Object.entries(dates.months[context][width])) put(`month.${letter}${short}.${month}`, text);
      for (const [day, text] of Object.entries(dates.days[context][width])) {
        put(`day.${letter}${short}.${["sun", "mon", "tue", "wed", "thu", "fri", "sat"].indexOf(day)}`, text);
      }
    }
  }
  for (const [width, short] of Object.entries(WIDTHS)) {
    for (const [period, text] of Object.entries(dates.dayPeriods.format[width])) {
      if (!period.includes("-alt-")) put(`period.${short}.${period}`, text);
    }
  }
  for (const [width, short] of [["eraNames", "w"], ["eraAbbr", "a"], ["eraNarrow", "n"]]) {
    for (const era of [0, 1]) put(`era.${short}.${era}`, dates.eras[width][era]);
  }
  const rules = dayPeriods[name] ?? dayPeriods[language];
  put("dayperiods", Object.entries(rules).filter(([, rule]) => rule._from).map(([period, rule]) =>
    `${period},${Number.parseInt(rule._from)},${Number.parseInt(rule._before)}`).sort().join(";"));
  put("noon", rules.noon ? "1" : undefined);
  put("midnight", rules.midnight ? "1" : undefined);
  for (const style of ["full", "long", "medium", "short"]) {
    put(`date.${style}`, dates.dateFormats[style]);
    put(`time.${style}`, dates.timeFormats[style]);
    put(`glue.${style}`, dates["dateTimeFormats-atTime"].standard[style]);
  }
  for (const [skeleton, pattern] of Object.entries(dates.dateTimeFormats.availableFormats)) {
    if (/^[A-Za-z]+$/.test(skeleton) && !/[QwW]/.test(skeleton)) put(`skeleton.${skeleton}`, pattern);
  }
  const fields = main("cldr-dates-full/dateFields").dates.fields;
  for (const [item, field] of Object.entries(APPEND)) {
    const pattern = dates.dateTimeFormats.appendItems[item];
    put(`append.${field}`, pattern.replace("{2}", fields[field].displayName));
  }
  put("interval", dates.dateTimeFormats.intervalFormats.intervalFormatFallback);
  const region = name.split("-")[1] ?? REGIONS[name];
  put("hour", (hours[`${language}-${region}`] ?? hours[region] ?? hours["001"])._preferred[0]);

  for (const unit of ["year", "quarter", "month", "week", "day", "hour", "minute", "second"]) {
    for (const [suffix, style] of [["", "long"], ["-short", "short"], ["-narrow", "narrow"]]) {
      for (const [key, value] of Object.entries(fields[unit + suffix])) {
        const day = /^relative-type-(-?\d)$/.exec(key);
        if (day) put(`relative.${style}.${unit}.${day[1]}`, value);
        const way = /^relativeTime-type-(future|past)$/.exec(key);
        if (!way) continue;
        for (const [count, pattern] of Object.entries(value)) {
          put(`relative.${style}.${unit}.${way[1]}.${count.split("count-")[1]}`, pattern);
        }
      }
    }
  }

  const zones = main("cldr-dates-full/timeZoneNames").dates.timeZoneNames;
  put("gmt", zones.gmtFormat);
  put("gmt.zero", zones.gmtZeroFormat);
  put("gmt.hours", zones.hourFormat);
  const kinds = { standard: "s", daylight: "d", generic: "g" };
  const zoneNames = (prefix, names) => {
    for (const width of ["long", "short"]) {
      for (const [kind, text] of Object.entries(names[width] ?? {})) {
        if (text !== "∅∅∅") put(`zone.${width[0]}${kinds[kind]}.${prefix}`, text);
      }
    }
  };
  for (const [metazone, names] of Object.entries(zones.metazone)) zoneNames(metazone, names);
  for (const [area, cities] of Object.entries(zones.zone)) {
    for (const [city, names] of Object.entries(cities)) zoneNames(`${area}/${city}`, names);
  }

  const numbers = main("cldr-numbers-full/numbers").numbers;
  const symbols = numbers["symbols-numberSystem-latn"];
  for (const symbol of ["decimal", "group", "percentSign", "plusSign", "minusSign", "approximatelySign", "exponential", "infinity", "nan", "currencyDecimal", "currencyGroup"]) {
    put(`symbol.${symbol}`, symbols[symbol]);
  }
  put("grouping", numbers.minimumGroupingDigits);
  const decimal = numbers["decimalFormats-numberSystem-latn"];
  const currency = numbers["currencyFormats-numberSystem-latn"];
  put("number.decimal", decimal.standard);
  put("number.percent", numbers["percentFormats-numberSystem-latn"].standard);
  for (const key of ["standard", "accounting"]) {
    put(`number.${key}`, currency[key]);
    put(`number.${key}.alpha`, currency[`${key}-alphaNextToNumber`]);
  }
  for (const [key, pattern] of Object.entries(currency)) {
    if (key.startsWith("unitPattern-count-")) put(`currency.${key.slice(18)}`, pattern);
  }
  const compact = (prefix, patterns) => {
    for (const [key, pattern] of Object.entries(patterns)) {
      const [, zeros, count, alpha] = /^1(0+)-count-(\w+)(-alt-alphaNextToNumber)?$/.exec(key) ?? [];
      if (zeros) put(`${prefix}.${zeros.length}.${count}${alpha ? ".alpha" : ""}`, pattern);
    }
  };
  compact("compact.short", decimal.short.decimalFormat);
  compact("compact.long", decimal.long.decimalFormat);
  compact("compact.currency", currency.short?.standard ?? {});
  for (const [code, names] of Object.entries(main("cldr-numbers-full/currencies").numbers.currencies)) {
    if (names.symbol !== code) put(`money.s.${code}`, names.symbol);
    put(`money.n.${code}`, names["symbol-alt-narrow"]);
    put(`money.name.${code}`, names.displayName);
    for (const [key, text] of Object.entries(names)) {
      if (key.startsWith("displayName-count-")) put(`money.${key.slice(18)}.${code}`, text);
    }
  }

  const units = main("cldr-units-full/units").units;
  for (const style of ["long", "short", "narrow"]) {
    const of = new Map(Object.entries(units[style]).map(([key, value]) => [key.replace(/^[a-z]+-/, ""), value]));
    put(`unit.${style}.per`, units[style].per.compoundUnitPattern);
    for (const unit of [...UNITS, ...COMPOUND_UNITS]) {
      for (const [key, pattern] of Object.entries(of.get(unit) ?? {})) {
        if (/^unitPattern-count-\w+$/.test(key)) put(`unit.${style}.${unit}.${key.slice(18)}`, pattern);
      }
      if (UNITS.includes(unit)) put(`unit.${style}.${unit}.per`, of.get(unit)?.perUnitPattern);
    }
  }

  const lists = main("cldr-misc-full/listPatterns").listPatterns;
  for (const [type, key] of [["conjunction", "standard"], ["disjunction", "or"], ["unit", "unit"]]) {
    for (const style of ["long", "short", "narrow"]) {
      const patterns = lists[`listPattern-type-${key}${style === "long" ? "" : `-${style}`}`];
      put(`list.${type}.${style}`, ["2", "start", "middle", "end"].map((part) => patterns[part]).join("|"));
    }
  }
  for (const [code, text] of Object.entries(main("cldr-localenames-full/territories").localeDisplayNames.territories)) {
    if (/^([A-Z]{2}|\d{3})$/.test(code)) put(`region.${code}`, text);
  }
  return rows;
}

const table = (name, lines) => {
  const bytes = (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b));
  writeFileSync(new URL(`${name}.txt`, target), `${lines.sort(bytes).join("\n")}\n`);
};

const all = {};
for (const [name, parent] of Object.entries(LOCALES)) {
  all[name] = locale(name);
  const lines = [];
  for (const [key, value] of all[name]) if (all[parent]?.get(key) !== value) lines.push(`${key}\t${value}`);
  // Nothing in the place of what only the parent has.
  if (parent) for (const key of all[parent].keys()) if (!all[name].has(key)) lines.push(`${key}\t`);
  table(name, lines);
}

// The name of a zone that ICU gives for it, and the metazones it was in, each until some time.
const lines = [];
const metazones = core("metaZones").metaZones.metazoneInfo.timezone;
const walk = (path, node) => {
  if (!Array.isArray(node)) {
    for (const [name, inner] of Object.entries(node)) walk([...path, name], inner);
    return;
  }
  const uses = node.map(({ usesMetazone: { _mzone, _to } }) => `${_to ? Date.parse(`${_to.replace(" ", "T")}Z`) / 1000 : ""},${_mzone}`);
  lines.push(`meta.${path.join("/")}\t${uses.join(";")}`);
};
walk([], metazones);
for (const { _alias } of Object.values(read("cldr-bcp47/bcp47/timezone.json").keyword.u.tz)) {
  if (!_alias) continue;
  const [canonical, ...others] = _alias.split(" ");
  for (const other of others) lines.push(`alias.${other.toLowerCase()}\t${canonical}`);
  lines.push(`alias.${canonical.toLowerCase()}\t${canonical}`);
}
table("zones", lines);

const fractions = core("currencyData").currencyData.fractions;
table("fractions", Object.entries(fractions).filter(([code]) => code !== "DEFAULT").map(([code, { _digits }]) => `${code}\t${_digits}`).filter((line) => !line.endsWith("\t2")));

// What is made of their data is under their licence.
copyFileSync(`${packages}/node_modules/cldr-core/LICENSE`, new URL("LICENSE", target));
