// `inspect`: values as Node shows them.
(native, types, joined) => {
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
    bold: [1, 22],
    underline: [4, 24],
    red: [31, 39],
    green: [32, 39],
    yellow: [33, 39],
    blue: [34, 39],
    magenta: [35, 39],
    cyan: [36, 39],
    white: [37, 39],
    grey: [90, 39],
  };
  const styles = {
    special: "cyan",
    number: "yellow",
    bigint: "yellow",
    boolean: "yellow",
    undefined: "grey",
    null: "bold",
    string: "green",
    symbol: "green",
    date: "magenta",
    regexp: "red",
  };
  const styled = (context, text, style) => {
    const color = context.colors && COLORS[styles[style]];
    return color ? `\x1b[${color[0]}m${text}\x1b[${color[1]}m` : text;
  };

  const escapes = { "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", "\\": "\\\\" };
  const quoted = (text) => {
    const quote = ["'", '"', "`"].find((mark) => !text.includes(mark)) ?? "'";
    const pattern =
      /[\x00-\x1F\x7F-\x9F\\]|[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g;
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
        if (
          context.compact !== true
          && shown.length > 16
          && shown.length > context.breakLength - context.indentation - 4
        ) {
          const lines = shown
            .split(/(?<=\n)/)
            .map((line) => styled(context, quoted(line), "string"));
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

  const errorText = (context, error, names) => {
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
    const lines = hasStack
      ? stack
          .split("\n")
          .map((line) => line.trim())
          .filter(Boolean)
      : [];
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
    const isGenerator = types.isGeneratorFunction(value);
    const kind = isGenerator
      ? value[Symbol.toStringTag]
      : types.isAsyncFunction(value)
        ? "AsyncFunction"
        : "Function";
    let text = `[${kind}`;
    if (name === null) text += " (null prototype)";
    text += value.name === "" ? " (anonymous)]" : `: ${value.name}]`;
    if (name !== kind && name !== null) text += ` ${name}`;
    if (tag !== "" && tag !== name) text += ` [${tag}]`;
    return text;
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
      names = Object.getOwnPropertyNames(value).filter(
        (key) => !(isList && /^(0|[1-9]\d*)$/.test(key)),
      );
      names.push(...getOwnPropertySymbols(value));
    } else {
      names.push(
        ...getOwnPropertySymbols(value).filter((key) =>
          Object.prototype.propertyIsEnumerable.call(value, key),
        ),
      );
    }
    let base = "";
    let braces = ["{", "}"];
    let items = () => [];
    if (Array.isArray(value)) {
      const shown =
        name !== "Array" || tag !== "" ? prefix(name, tag, "Array", `(${value.length})`) : "";
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
      items = () =>
        listed(context, value.size, Set.prototype.values.call(value), (item) =>
          show(context, item, depth),
        );
      if (value.size === 0 && names.length === 0) return `${shown}{}`;
      braces = [`${shown}{`, "}"];
    } else if (types.isMap(value)) {
      const shown = prefix(name, tag, "Map", `(${value.size})`);
      items = () =>
        listed(
          context,
          value.size,
          Map.prototype.entries.call(value),
          ([key, item]) => `${show(context, key, depth)} => ${show(context, item, depth)}`,
        );
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
      base = styled(
        context,
        Number.isNaN(time) ? "Invalid Date" : Date.prototype.toISOString.call(value),
        "date",
      );
      if (name !== "Date") base = `${prefix(name, tag, "Date")}${base}`;
      if (names.length === 0) return base;
    } else if (types.isNativeError(value) || value instanceof Error) {
      names = names.filter((key) => key !== "stack" && key !== "message" && key !== "name");
      base = errorText(context, value, names);
      if (names.length === 0) return base;
    } else if (types.isAnyArrayBuffer(value)) {
      const bytes = [...new Uint8Array(value, 0, Math.min(50, value.byteLength))].map((byte) =>
        byte.toString(16).padStart(2, "0"),
      );
      const rest = value.byteLength - bytes.length;
      const more = rest > 0 ? ` ... ${rest} more byte${rest > 1 ? "s" : ""}` : "";
      const output = [
        `[Uint8Contents]: <${bytes.join(" ")}${more}>`,
        `byteLength: ${primitive(context, value.byteLength)}`,
      ];
      braces = [`${prefix(name, tag, "ArrayBuffer")}{`, "}"];
      items = () => output;
    } else if (types.isDataView(value)) {
      braces = [`${prefix(name, tag, "DataView")}{`, "}"];
      items = () =>
        ["byteLength", "byteOffset", "buffer"].map((key) => {
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
        return [
          state === "rejected" ? `${styled(context, "<rejected>", "special")} ${text}` : text,
        ];
      };
    } else if (types.isWeakSet(value) || types.isWeakMap(value)) {
      braces = [`${prefix(name, tag, types.isWeakSet(value) ? "WeakSet" : "WeakMap")}{`, "}"];
      items = () => [styled(context, "<items unknown>", "special")];
    } else if (types.isBoxedPrimitive(value)) {
      const inner = value.valueOf();
      const type =
        typeof inner === "bigint"
          ? "BigInt"
          : `${typeof inner}`.replace(/^./, (c) => c.toUpperCase());
      const of = name !== type ? (name === null ? " (null prototype)" : ` (${name})`) : "";
      base = styled(
        context,
        `[${type}${of}: ${primitive({ ...context, colors: false }, inner)}]`,
        typeof inner,
      );
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
      return styled(
        context,
        `[${Array.isArray(value) ? "Array" : (name ?? "Object: null prototype")}]`,
        "special",
      );
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

  const show = (context, value, depth = 0) => {
    if ((typeof value !== "object" && typeof value !== "function") || value === null) {
      return primitive(context, value);
    }
    if (types.isProxy(value) && context.showProxy) return "[Proxy]";
    if (context.customInspect) {
      const own = value[custom];
      if (typeof own === "function" && own !== inspect) {
        const left = context.depth === null ? null : context.depth - depth;
        const { seen, circular, indentation, currentDepth, length, ...options } = context;
        const result = own.call(
          value,
          left,
          { ...options, depth: left, stylize: (text, style) => styled(context, `${text}`, style) },
          inspect,
        );
        if (result !== value) {
          if (typeof result !== "object") return `${result}`;
          return show(context, result, depth).replaceAll(
            "\n",
            `\n${" ".repeat(context.indentation)}`,
          );
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
      options = {
        showHidden: options,
        depth: older[0] === undefined ? 2 : older[0],
        colors: older[1],
      };
    }
    const context = contextOf(options ?? undefined);
    if (context.depth === Infinity) context.depth = null;
    return show(context, value);
  }
  Object.assign(inspect, { custom, defaultOptions: { ...defaults }, colors: COLORS, styles });

  return inspect;
};
