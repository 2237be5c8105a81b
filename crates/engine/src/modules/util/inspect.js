// `inspect` and `format`: values as Node shows them.
((native, types, { wrongType }) => {
  const custom = Symbol.for("nodejs.util.inspect.custom");
  const { keys, getPrototypeOf, getOwnPropertyDescriptor, getOwnPropertySymbols } = Object;
  const defaults = {
    depth: 2,
    colors: false,
    showHidden: false,
    customInspect: true,
    showProxy: false,
    maxArrayLength: 100,
    maxStringLength: 10_000,
    breakLength: 80,
    compact: 3,
    sorted: false,
    getters: false,
    numericSeparator: false,
  };
  // Longest text of one value; what comes after is left out, as nobody reads it.
  const LONGEST = 1 << 20;

  const COLORS = {
    bold: [1, 22], underline: [4, 24], red: [31, 39], green: [32, 39], yellow: [33, 39],
    blue: [34, 39], magenta: [35, 39], cyan: [36, 39], white: [37, 39], grey: [90, 39],
  };
  const styles = {
    special: "cyan", number: "yellow", bigint: "yellow", boolean: "yellow", undefined: "grey",
    null: "bold", string: "green", symbol: "green", date: "magenta", regexp: "red",
  };
  const styled = (context, text, style) => {
    const color = context.colors && COLORS[styles[style]];
    return color ? `\x1b[${color[0]}m${text}\x1b[${color[1]}m` : text;
  };

  const escapes = { "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", "\\": "\\\\" };
  const quoted = (text) => {
    const quote = ["'", '"', "`"].find((mark) => !text.includes(mark)) ?? "'";
    const pattern = /[\x00-\x1F\x7F-\x9F\\]|[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g;
    const escaped = text.replace(pattern, (unit) => {
      if (escapes[unit]) return escapes[unit];
      const code = unit.charCodeAt(0).toString(16);
      return code.length > 2 ? `\\u${code}` : `\\x${code.toUpperCase().padStart(2, "0")}`;
    });
    return quote + (quote === "'" ? escaped.replaceAll("'", "\\'") : escaped) + quote;
  };

  const numberText = (value) => (Object.is(value, -0) ? "-0" : `${value}`);
  const primitive = (context, value) => {
    switch (typeof value) {
      case "string": {
        const most = context.maxStringLength ?? Infinity;
        const rest = value.length - most;
        const shown = rest > 0 ? value.slice(0, most) : value;
        const more = rest > 0 ? `... ${rest} more character${rest > 1 ? "s" : ""}` : "";
        if (context.compact !== true && shown.length > 16 && shown.length > context.breakLength - context.indentation - 4) {
          const lines = shown.split(/(?<=\n)/).map((line) => styled(context, quoted(line), "string"));
          return lines.join(` +\n${" ".repeat(context.indentation + 2)}`) + more;
        }
        return styled(context, quoted(shown), "string") + more;
      }
      case "number":
        return styled(context, numberText(value), "number");
      case "bigint":
        return styled(context, `${value}n`, "bigint");
      case "boolean":
        return styled(context, `${value}`, "boolean");
      case "symbol":
        return styled(context, String(value), "symbol");
      case "undefined":
        return styled(context, "undefined", "undefined");
      default:
        return styled(context, "null", "null");
    }
  };

  // The name of the class, from the object or from the first in its chain that has one.
  const classOf = (value) => {
    for (let object = value; object !== null; object = getPrototypeOf(object)) {
      const constructor = getOwnPropertyDescriptor(object, "constructor")?.value;
      if (typeof constructor === "function" && constructor.name !== "") return constructor.name;
    }
    return null;
  };

  const prefix = (name, tag, fallback, size = "") => {
    const shownTag = tag !== "" && name !== tag ? `[${tag}] ` : "";
    if (name === null) return `[${fallback}${size}: null prototype] ${shownTag}`;
    return `${name}${size} ${shownTag}`;
  };

  const isIdentifier = (key) => /^[a-zA-Z_][a-zA-Z_0-9]*$/.test(key);

  const property = (context, value, key, depth, asItem) => {
    const descriptor = getOwnPropertyDescriptor(value, key) ?? {
      value: value[key],
      enumerable: true,
    };
    let text;
    if (descriptor.get !== undefined) {
      const label = descriptor.set !== undefined ? "Getter/Setter" : "Getter";
      text = styled(context, `[${label}]`, "special");
    } else if (descriptor.set !== undefined) {
      text = styled(context, "[Setter]", "special");
    } else {
      const difference = context.compact !== true || asItem ? 2 : 3;
      context.indentation += difference;
      text = show(context, descriptor.value, depth);
      context.indentation -= difference;
    }
    if (asItem) return text;
    let name;
    if (typeof key === "symbol") name = `[${styled(context, String(key), "symbol")}]`;
    else if (key === "__proto__") name = "['__proto__']";
    else if (!descriptor.enumerable) name = `[${key}]`;
    else if (isIdentifier(key)) name = key;
    else name = styled(context, quoted(key), "string");
    return `${name}: ${text}`;
  };

  const remaining = (count) => `... ${count} more item${count > 1 ? "s" : ""}`;

  const arrayItems = (context, value, depth) => {
    const most = Math.min(Math.max(0, context.maxArrayLength ?? Infinity), value.length);
    const items = [];
    let index = 0;
    while (index < value.length && items.length < most) {
      if (Object.hasOwn(value, index)) {
        items.push(property(context, value, `${index}`, depth, true));
        index++;
        continue;
      }
      const begin = index;
      while (index < value.length && !Object.hasOwn(value, index)) index++;
      const count = index - begin;
      const text = `<${count} empty item${count > 1 ? "s" : ""}>`;
      items.push(styled(context, text, "undefined"));
    }
    if (index < value.length) items.push(remaining(value.length - index));
    return items;
  };

  const typedItems = (context, value) => {
    const most = Math.min(Math.max(0, context.maxArrayLength ?? Infinity), value.length);
    const items = [];
    for (let index = 0; index < most; index++) items.push(primitive(context, value[index]));
    if (value.length > most) items.push(remaining(value.length - most));
    return items;
  };

  const listed = (context, size, values, showOne) => {
    const most = Math.max(0, context.maxArrayLength ?? Infinity);
    const items = [];
    context.indentation += 2;
    for (const value of values) {
      if (items.length >= most) break;
      items.push(showOne(value));
    }
    if (size > most) items.push(remaining(size - most));
    context.indentation -= 2;
    return items;
  };

  const errorText = (context, error, names, depth) => {
    const name = error.name ?? "Error";
    const stack = error.stack;
    const hasStack = typeof stack === "string" && stack !== "";
    const title = String(Error.prototype.toString.call(error));
    const code = typeof error.code === "string" && Object.hasOwn(error, "code");
    let text = title;
    const cls = classOf(error);
    if (code && `${name}` !== "" && title.startsWith(`${name}`) && /^ERR_/.test(error.code)) {
      text = `${name} [${error.code}]${title.slice(`${name}`.length)}`;
    } else if (cls !== null && `${name}` === "Error" && cls !== "Error") {
      text = `${cls}${title.slice(5)}`;
    }
    const lines = hasStack ? stack.split("\n").map((line) => line.trim()).filter(Boolean) : [];
    const frames = lines.filter((line) => line.startsWith("at ")).map((line) => `    ${line}`);
    if (frames.length > 0) text += `\n${frames.join("\n")}`;
    else text = `[${text}]`;
    if (Object.hasOwn(error, "cause") && !names.includes("cause")) names.push("cause");
    if (Array.isArray(error.errors) && !names.includes("errors")) names.push("errors");
    const indent = " ".repeat(context.indentation);
    return indent ? text.split("\n").join(`\n${indent}`) : text;
  };

  const functionText = (value, name, tag) => {
    const source = Function.prototype.toString.call(value);
    if (/^class\b/.test(source)) {
      const parent = getPrototypeOf(value);
      const extended = typeof parent === "function" && parent.name ? ` extends ${parent.name}` : "";
      return `[class ${value.name === "" ? "(anonymous)" : value.name}${extended}]`;
    }
    const kind = `${types.isAsyncFunction(value) ? "Async" : ""}${types.isGeneratorFunction(value) ? (value[Symbol.toStringTag].startsWith("Async") ? "AsyncGenerator" : "Generator") : ""}Function`;
    let text = `[${kind}`;
    if (name === null) text += " (null prototype)";
    text += value.name === "" ? " (anonymous)]" : `: ${value.name}]`;
    if (name !== kind && name !== null && name !== "Function" && name !== "AsyncFunction" && !kind.startsWith(name.replace("Function", ""))) text += ` ${name}`;
    if (tag !== "" && tag !== name && !/Function$/.test(tag)) text += ` [${tag}]`;
    return text;
  };

  // Long lists of short items in columns.
  const grouped = (context, output, value) => {
    let total = 0;
    let longest = 0;
    const separator = 2;
    const lengths = [];
    const extra = value !== undefined && output.length > 0 && /^\.\.\. \d+ more item/.test(output.at(-1)) ? 1 : 0;
    const count = output.length - extra;
    for (let i = 0; i < count; i++) {
      const length = plainLength(context, output[i]);
      lengths.push(length);
      total += length + separator;
      longest = Math.max(longest, length);
    }
    const actual = longest + separator;
    const fits = actual * 3 + context.indentation < context.breakLength;
    if (!fits || !(total / actual > 5 || longest <= 6)) return output;
    const bias = Math.sqrt(actual - total / output.length);
    const biased = Math.max(actual - 3 - bias, 1);
    const columns = Math.min(
      Math.round(Math.sqrt(2.5 * biased * count) / biased),
      Math.floor((context.breakLength - context.indentation) / actual),
      context.compact * 4,
      15,
    );
    if (columns <= 1) return output;
    const widths = [];
    for (let i = 0; i < columns; i++) {
      let width = 0;
      for (let j = i; j < count; j += columns) width = Math.max(width, lengths[j]);
      widths.push(width + separator);
    }
    const isNumeric = value.every?.((item) => typeof item === "number" || typeof item === "bigint");
    const rows = [];
    for (let i = 0; i < count; i += columns) {
      const end = Math.min(i + columns, count);
      let row = "";
      let j = i;
      for (; j < end - 1; j++) {
        const cell = `${output[j]}, `;
        const padding = " ".repeat(Math.max(widths[j - i] - lengths[j] - separator, 0));
        row += isNumeric ? padding + cell : cell + padding;
      }
      if (isNumeric) row += " ".repeat(Math.max(widths[j - i] - separator - lengths[j], 0)) + output[j];
      else row += output[j];
      rows.push(row);
    }
    if (extra) rows.push(output.at(-1));
    return rows;
  };
  const plainLength = (context, text) =>
    (context.colors ? text.replace(/\x1b\[\d+m/g, "") : text).length;

  const joined = (context, output, base, braces, isList, depth, value) => {
    const entries = output.length;
    if (context.compact !== true && context.compact !== false) {
      if (isList && entries > 6) output = grouped(context, output, value);
      if (context.currentDepth - depth < context.compact && entries === output.length) {
        const start = output.length + context.indentation + braces[0].length + base.length + 10;
        const length = output.reduce((sum, text) => sum + plainLength(context, text), output.length + start);
        const short = length <= context.breakLength && !output.some((text) => text.includes("\n"));
        if (short && !base.includes("\n")) {
          return `${base ? `${base} ` : ""}${braces[0]} ${output.join(", ")} ${braces[1]}`;
        }
      }
    }
    const indent = `\n${" ".repeat(context.indentation)}`;
    return `${base ? `${base} ` : ""}${braces[0]}${indent}  ${output.join(`,${indent}  `)}${indent}${braces[1]}`;
  };

  const inside = (context, value, depth) => {
    const name = classOf(value);
    let tag = value[Symbol.toStringTag];
    // One that is shown as a member is not shown twice.
    const isShown = Object.prototype.propertyIsEnumerable.call(value, Symbol.toStringTag);
    if (typeof tag !== "string" || isShown) tag = "";
    const isList = Array.isArray(value) || types.isTypedArray(value);
    let names = keys(value);
    if (isList) names = names.filter((key) => !/^(0|[1-9]\d*)$/.test(key));
    if (context.showHidden) {
      names = Object.getOwnPropertyNames(value).filter((key) => !(isList && /^(0|[1-9]\d*)$/.test(key)));
      names.push(...getOwnPropertySymbols(value));
    } else {
      names.push(...getOwnPropertySymbols(value).filter((key) => Object.prototype.propertyIsEnumerable.call(value, key)));
    }
    let base = "";
    let braces = ["{", "}"];
    let items = () => [];
    if (Array.isArray(value)) {
      const shown = name !== "Array" || tag !== "" ? prefix(name, tag, "Array", `(${value.length})`) : "";
      braces = [`${shown}[`, "]"];
      if (value.length === 0 && names.length === 0) return `${braces[0]}]`;
      items = () => arrayItems(context, value, depth);
    } else if (types.isTypedArray(value)) {
      const fallback = Object.prototype.toString.call(value).slice(8, -1);
      braces = [`${prefix(name, tag, fallback, `(${value.length})`)}[`, "]"];
      if (value.length === 0 && names.length === 0) return `${braces[0]}]`;
      items = () => typedItems(context, value);
    } else if (types.isSet(value)) {
      const shown = prefix(name, tag, "Set", `(${value.size})`);
      items = () => listed(context, value.size, Set.prototype.values.call(value), (item) => show(context, item, depth));
      if (value.size === 0 && names.length === 0) return `${shown}{}`;
      braces = [`${shown}{`, "}"];
    } else if (types.isMap(value)) {
      const shown = prefix(name, tag, "Map", `(${value.size})`);
      items = () =>
        listed(context, value.size, Map.prototype.entries.call(value), ([key, item]) =>
          `${show(context, key, depth)} => ${show(context, item, depth)}`);
      if (value.size === 0 && names.length === 0) return `${shown}{}`;
      braces = [`${shown}{`, "}"];
    } else if (types.isArgumentsObject(value)) {
      braces = ["[Arguments] {", "}"];
      if (names.length === 0) return "[Arguments] {}";
    } else if (typeof value === "function") {
      base = styled(context, functionText(value, name, tag), "special");
      if (names.length === 0) return base;
    } else if (types.isRegExp(value)) {
      base = styled(context, RegExp.prototype.toString.call(value), "regexp");
      if (name !== "RegExp") base = `${prefix(name, tag, "RegExp")}${base}`;
      if (names.length === 0) return base;
    } else if (types.isDate(value)) {
      const time = Date.prototype.getTime.call(value);
      base = styled(context, Number.isNaN(time) ? "Invalid Date" : Date.prototype.toISOString.call(value), "date");
      if (name !== "Date") base = `${prefix(name, tag, "Date")}${base}`;
      if (names.length === 0) return base;
    } else if (types.isNativeError(value) || value instanceof Error) {
      names = names.filter((key) => key !== "stack" && key !== "message" && key !== "name");
      base = errorText(context, value, names, depth);
      if (names.length === 0) return base;
    } else if (types.isAnyArrayBuffer(value)) {
      const bytes = [...new Uint8Array(value, 0, Math.min(50, value.byteLength))].map((byte) => byte.toString(16).padStart(2, "0"));
      const rest = value.byteLength - bytes.length;
      const more = rest > 0 ? ` ... ${rest} more byte${rest > 1 ? "s" : ""}` : "";
      const output = [`[Uint8Contents]: <${bytes.join(" ")}${more}>`, `byteLength: ${primitive(context, value.byteLength)}`];
      braces = [`${prefix(name, tag, "ArrayBuffer")}{`, "}"];
      items = () => output;
    } else if (types.isDataView(value)) {
      braces = [`${prefix(name, tag, "DataView")}{`, "}"];
      items = () => ["byteLength", "byteOffset", "buffer"].map((key) => {
        context.indentation += 2;
        const text = `${key}: ${show(context, value[key], depth)}`;
        context.indentation -= 2;
        return text;
      });
    } else if (types.isPromise(value)) {
      braces = [`${prefix(name, tag, "Promise")}{`, "}"];
      items = () => {
        const [state, result] = native.promise(value);
        if (state === "pending") return [styled(context, "<pending>", "special")];
        context.indentation += 2;
        const text = show(context, result, depth);
        context.indentation -= 2;
        return [state === "rejected" ? `${styled(context, "<rejected>", "special")} ${text}` : text];
      };
    } else if (types.isWeakSet(value) || types.isWeakMap(value)) {
      braces = [`${prefix(name, tag, types.isWeakSet(value) ? "WeakSet" : "WeakMap")}{`, "}"];
      items = () => [styled(context, "<items unknown>", "special")];
    } else if (types.isBoxedPrimitive(value)) {
      const inner = value.valueOf();
      const type = typeof inner === "bigint" ? "BigInt" : `${typeof inner}`.replace(/^./, (c) => c.toUpperCase());
      const of = name !== type ? (name === null ? " (null prototype)" : ` (${name})`) : "";
      base = styled(context, `[${type}${of}: ${primitive({ ...context, colors: false }, inner)}]`, typeof inner);
      if (type === "String") names = names.filter((key) => !/^\d+$/.test(key));
      if (names.length === 0) return base;
    } else if (types.isMapIterator(value) || types.isSetIterator(value)) {
      braces = [`[${tag || "Iterator"}] {`, "}"];
    } else if (types.isGeneratorObject(value)) {
      braces = [`${prefix(name, tag, tag || "Generator")}{`, "}"];
      if (names.length === 0) return "Object [Generator] {}";
    } else {
      const shown = name !== "Object" || tag !== "" ? prefix(name, tag, "Object") : "";
      if (names.length === 0) return `${shown}{}`;
      braces = [`${shown}{`, "}"];
    }
    if (context.depth !== null && depth > context.depth) {
      return styled(context, `[${Array.isArray(value) ? "Array" : name ?? "Object: null prototype"}]`, "special");
    }
    depth++;
    context.seen.push(value);
    context.currentDepth = depth;
    const output = items();
    for (const key of names) output.push(property(context, value, key, depth, false));
    context.seen.pop();
    if (context.sorted) {
      output.sort(typeof context.sorted === "function" ? context.sorted : undefined);
    }
    if (context.circular.has(value)) {
      const reference = styled(context, `<ref *${context.circular.get(value)}>`, "special");
      if (context.compact !== true) base = base === "" ? reference : `${reference} ${base}`;
      else braces[0] = `${reference} ${braces[0]}`;
    }
    const text = joined(context, output, base, braces, isList, depth, value);
    context.length += text.length;
    // Each level shows what is below it once more.
    if (context.length > LONGEST) context.depth = -1;
    return text;
  };

  const show = (context, value, depth = 0, top = false) => {
    if ((typeof value !== "object" && typeof value !== "function") || value === null) {
      return primitive(context, value);
    }
    if (types.isProxy(value) && context.showProxy) return "[Proxy]";
    if (context.customInspect) {
      const own = value[custom];
      if (typeof own === "function" && own !== inspect) {
        const left = context.depth === null ? null : context.depth - depth;
        const { seen, circular, indentation, currentDepth, length, ...options } = context;
        const result = own.call(value, left, { ...options, depth: left, stylize: (text, style) => styled(context, `${text}`, style) }, inspect);
        if (result !== value) {
          if (typeof result !== "object") return `${result}`;
          return show(context, result, depth).replaceAll("\n", `\n${" ".repeat(context.indentation)}`);
        }
      }
    }
    if (context.seen.includes(value)) {
      if (!context.circular.has(value)) context.circular.set(value, context.circular.size + 1);
      return styled(context, `[Circular *${context.circular.get(value)}]`, "special");
    }
    return inside(context, value, depth);
  };

  const contextOf = (options) => ({
    ...defaults,
    ...options,
    seen: [],
    circular: new Map(),
    indentation: 0,
    currentDepth: 0,
    length: 0,
  });

  function inspect(value, options, ...older) {
    if (typeof options === "boolean") {
      options = { showHidden: options, depth: older[0] === undefined ? 2 : older[0], colors: older[1] };
    }
    const context = contextOf(options ?? undefined);
    if (context.depth === Infinity) context.depth = null;
    return show(context, value, 0, true);
  }
  Object.assign(inspect, { custom, defaultOptions: { ...defaults }, colors: COLORS, styles });

  // Whether `%s` calls the toString of a value, because it is not the language's own.
  const hasOwnText = (value) => {
    if (value instanceof Error || typeof value.toString !== "function") return false;
    if (Object.hasOwn(value, "toString")) return true;
    let object = value;
    do {
      object = getPrototypeOf(object);
    } while (object !== null && !Object.hasOwn(object, "toString"));
    const constructor = object && getOwnPropertyDescriptor(object, "constructor")?.value;
    return typeof constructor === "function" && !builtins.has(constructor);
  };
  const builtins = new Set(
    Object.getOwnPropertyNames(globalThis)
      .filter((name) => /^[A-Z][a-zA-Z0-9]+$/.test(name))
      .map((name) => getOwnPropertyDescriptor(globalThis, name).value)
      .filter((value) => typeof value === "function"),
  );

  const formatted = {
    s(value, options) {
      if (typeof value === "number") return numberText(value);
      if (typeof value === "bigint") return `${value}n`;
      if (typeof value !== "object" || value === null || hasOwnText(value)) return String(value);
      return inspect(value, { ...options, depth: 0, colors: false, compact: 3 });
    },
    d(value) {
      if (typeof value === "bigint") return `${value}n`;
      return typeof value === "symbol" ? "NaN" : numberText(Number(value));
    },
    i(value) {
      if (typeof value === "bigint") return `${value}n`;
      return typeof value === "symbol" ? "NaN" : numberText(parseInt(value, 10));
    },
    f: (value) => (typeof value === "symbol" ? "NaN" : numberText(parseFloat(value))),
    j(value) {
      try {
        return JSON.stringify(value);
      } catch (error) {
        if (/circular/i.test(error.message)) return "[Circular]";
        throw error;
      }
    },
    o: (value, options) => inspect(value, { ...options, showHidden: true, showProxy: true, depth: 4 }),
    O: (value, options) => inspect(value, options),
    c: () => "",
  };

  const formatWithOptions = (options, ...values) => {
    if (typeof options !== "object" || options === null) throw wrongType("inspectOptions", "of type object", options);
    let next = 0;
    const parts = [];
    if (typeof values[0] === "string" && values.length > 1) {
      next = 1;
      parts.push(
        values[0].replace(/%([sdifjoOc%])/g, (all, kind) => {
          if (kind === "%") return "%";
          return next < values.length ? `${formatted[kind](values[next++], options)}` : all;
        }),
      );
    }
    for (; next < values.length; next++) {
      const value = values[next];
      parts.push(typeof value === "string" ? value : inspect(value, { compact: 3, ...options }));
    }
    return parts.join(" ");
  };

  return { inspect, format: (...values) => formatWithOptions({}, ...values), formatWithOptions };
});
