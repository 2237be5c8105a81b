// FormData, and how it is written as multipart/form-data and read again.
(parts) => {
  const { native, expose, joined, bytesOfBlob, Blob, File } = parts;
  const encode = (text) => new Uint8Array(native.encode(text));

  const entryOf = (name, value, rest) => {
    name = `${name}`.toWellFormed();
    if (value instanceof Blob) {
      const isNamed = rest.length > 0 && rest[0] !== undefined;
      if (isNamed || !(value instanceof File)) {
        value = new File([value], isNamed ? `${rest[0]}` : "blob", { type: value.type });
      }
      return { name, value };
    }
    if (rest.length > 0) throw new TypeError("only a Blob has a file name");
    return { name, value: `${value}`.toWellFormed() };
  };
  const need = (given, count) => {
    if (given.length < count)
      throw new TypeError(`${count} arguments are required, not ${given.length}`);
  };

  class FormData {
    #entries = [];

    constructor(form = undefined) {
      if (form !== undefined) throw new TypeError("there are no forms here");
    }

    append(name, value, ...rest) {
      need(arguments, 2);
      this.#entries.push(entryOf(name, value, rest));
    }

    set(name, value, ...rest) {
      need(arguments, 2);
      const entry = entryOf(name, value, rest);
      const place = this.#entries.findIndex((other) => other.name === entry.name);
      if (place < 0) {
        this.#entries.push(entry);
        return;
      }
      this.#entries[place] = entry;
      this.#entries = this.#entries.filter((other, at) => at <= place || other.name !== entry.name);
    }

    delete(name) {
      need(arguments, 1);
      this.#entries = this.#entries.filter((entry) => entry.name !== `${name}`);
    }

    get(name) {
      need(arguments, 1);
      return this.#entries.find((entry) => entry.name === `${name}`)?.value ?? null;
    }

    getAll(name) {
      need(arguments, 1);
      return this.#entries.filter((entry) => entry.name === `${name}`).map(({ value }) => value);
    }

    has(name) {
      need(arguments, 1);
      return this.#entries.some((entry) => entry.name === `${name}`);
    }

    forEach(visit, self = undefined) {
      for (const [name, value] of this) visit.call(self, value, name, this);
    }

    *entries() {
      for (const { name, value } of this.#entries) yield [name, value];
    }

    *keys() {
      for (const { name } of this.#entries) yield name;
    }

    *values() {
      for (const { value } of this.#entries) yield value;
    }
  }
  Object.defineProperty(FormData.prototype, Symbol.iterator, {
    value: FormData.prototype.entries,
    writable: true,
    configurable: true,
  });
  expose(FormData);

  const quoted = (text) =>
    text.replaceAll("\n", "%0A").replaceAll("\r", "%0D").replaceAll('"', "%22");
  const lines = (text) => text.replace(/\r?\n|\r/g, "\r\n");

  // The bytes and the content type.
  parts.writeForm = (form) => {
    let digits = "";
    while (digits.length < 16) digits += Math.floor(Math.random() * 10);
    const boundary = `----formdata-posthog-plugins-${digits}`;
    const pieces = [];
    for (const [name, value] of form) {
      const head = `--${boundary}\r\nContent-Disposition: form-data; name="${quoted(lines(name))}"`;
      if (typeof value === "string") {
        pieces.push(encode(`${head}\r\n\r\n${lines(value)}\r\n`));
      } else {
        const type = value.type || "application/octet-stream";
        pieces.push(
          encode(`${head}; filename="${quoted(value.name)}"\r\nContent-Type: ${type}\r\n\r\n`),
        );
        pieces.push(bytesOfBlob(value), encode("\r\n"));
      }
    }
    pieces.push(encode(`--${boundary}--\r\n`));
    return { bytes: joined(pieces), type: `multipart/form-data; boundary=${boundary}` };
  };

  const bad = () => new TypeError("the body is no form");
  const unquoted = (text) =>
    text.replace(/%0A/gi, "\n").replace(/%0D/gi, "\r").replaceAll("%22", '"');

  const readMultipart = (bytes, boundary) => {
    const form = new FormData();
    // Latin1 has a character for each byte, so places in the text are places in the bytes.
    const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const mark = Buffer.from(`--${boundary}`);
    const next = Buffer.concat([Buffer.from("\r\n"), mark]);
    let at = whole.indexOf(mark);
    if (at < 0) throw bad();
    at += mark.length;
    while (whole.toString("latin1", at, at + 2) !== "--") {
      at = whole.indexOf("\r\n", at) + 2;
      const body = whole.indexOf("\r\n\r\n", at - 2);
      const end = body < 0 ? -1 : whole.indexOf(next, body + 2);
      if (at < 2 || end < 0) throw bad();
      const head = whole.toString("utf8", at, Math.max(at, body));
      const name = /^content-disposition:[^\r\n]*?[; ]name="([^"]*)"/im.exec(head);
      if (!name) throw bad();
      const file = /^content-disposition:[^\r\n]*filename="([^"]*)"/im.exec(head);
      const type = /^content-type:\s*([^\r\n]*)/im.exec(head);
      const content = whole.subarray(Math.min(body + 4, end), end);
      if (file) {
        const options = { type: type?.[1] ?? "text/plain" };
        form.append(unquoted(name[1]), new File([content], unquoted(file[1]), options));
      } else {
        form.append(unquoted(name[1]), content.toString());
      }
      at = end + next.length;
    }
    return form;
  };

  parts.readForm = (bytes, type) => {
    const boundary = /^multipart\/form-data\s*;.*?boundary=(?:"([^"]+)"|([^;\s]+))/is.exec(type);
    if (boundary) return readMultipart(bytes, boundary[1] ?? boundary[2]);
    if (!/^application\/x-www-form-urlencoded/i.test(type)) throw bad();
    const form = new FormData();
    for (const [name, value] of new URLSearchParams(native.decode(bytes, false, false)[0])) {
      form.append(name, value);
    }
    return form;
  };
};
