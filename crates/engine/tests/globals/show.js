// A value as JSON that tells apart what JSON does not. Expected values were made by it in Node.
(function show(value) {
  const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  const inner = (value) => {
    if (value === undefined) return "undefined";
    if (typeof value === "bigint") return `${value}n`;
    if (typeof value === "number") {
      return Number.isFinite(value) && !Object.is(value, -0) ? value : Object.is(value, -0) ? "-0" : `${value}`;
    }
    if (typeof value === "function") return `function ${value.name}`;
    if (typeof value === "symbol") return String(value);
    if (typeof value !== "object" || value === null) return value;
    const name = value.constructor?.name;
    if (value instanceof Uint8Array) return `${name}: ${hex(value)}`.trim();
    if (ArrayBuffer.isView(value)) return { [name]: hex(new Uint8Array(value.buffer, value.byteOffset, value.byteLength)) };
    if (value instanceof ArrayBuffer) return `ArrayBuffer: ${hex(new Uint8Array(value))}`.trim();
    if (Array.isArray(value)) return Array.from(value, inner);
    if (value instanceof Map) return { Map: [...value].map(inner) };
    if (value instanceof Set) return { Set: [...value].map(inner) };
    if (value instanceof Date) return { Date: value.getTime() };
    if (value instanceof RegExp) return { RegExp: String(value) };
    if (value instanceof Error || name === "DOMException") {
      return { error: value.name, code: inner(value.code), message: value.message };
    }
    if (name === "URL" || name === "URLSearchParams") return `${name}: ${value}`;
    if (value instanceof Number || value instanceof String || value instanceof Boolean) {
      return { [name]: inner(value.valueOf()) };
    }
    return Object.fromEntries(Object.keys(value).map((key) => [key, inner(value[key])]));
  };
  return JSON.stringify(inner(value));
})
