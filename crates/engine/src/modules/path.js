// `path`: as on a system with slashes, without a current directory: relative paths begin at "/".
(require, { wrongType }) => {
  const need = (value, name) => {
    if (typeof value !== "string") throw wrongType(name, "of type string", value);
  };

  // Without "." and empty parts, and with ".." taken back as far as possible.
  const simplified = (path, isAbsolute) => {
    const kept = [];
    for (const part of path.split("/")) {
      if (part === "" || part === ".") continue;
      if (part !== "..") kept.push(part);
      else if (kept.length > 0 && kept.at(-1) !== "..") kept.pop();
      else if (!isAbsolute) kept.push("..");
    }
    return kept.join("/");
  };

  const trimmed = (path) => {
    let end = path.length;
    while (end > 1 && path[end - 1] === "/") end--;
    return path.slice(0, end);
  };

  const path = {
    sep: "/",
    delimiter: ":",
    resolve(...parts) {
      let resolved = "";
      for (let place = parts.length - 1; place >= 0 && !resolved.startsWith("/"); place--) {
        need(parts[place], `paths[${place}]`);
        if (parts[place] !== "") resolved = `${parts[place]}/${resolved}`;
      }
      return `/${simplified(resolved, true)}`;
    },
    normalize(text) {
      need(text, "path");
      if (text === "") return ".";
      const isAbsolute = text.startsWith("/");
      const end = text.endsWith("/") ? "/" : "";
      const simple = simplified(text, isAbsolute);
      if (simple === "") return isAbsolute ? "/" : `.${end}`;
      return `${isAbsolute ? "/" : ""}${simple}${end}`;
    },
    isAbsolute(text) {
      need(text, "path");
      return text.startsWith("/");
    },
    join(...parts) {
      for (const part of parts) need(part, "path");
      const joined = parts.filter((part) => part !== "").join("/");
      return joined === "" ? "." : path.normalize(joined);
    },
    relative(from, to) {
      need(from, "from");
      need(to, "to");
      const origin = path.resolve(from).split("/").filter(Boolean);
      const target = path.resolve(to).split("/").filter(Boolean);
      let common = 0;
      while (common < origin.length && origin[common] === target[common]) common++;
      const up = origin.slice(common).map(() => "..");
      return [...up, ...target.slice(common)].join("/");
    },
    toNamespacedPath: (text) => text,
    dirname(text) {
      need(text, "path");
      if (text === "") return ".";
      const whole = trimmed(text);
      const slash = whole.lastIndexOf("/");
      if (slash < 0) return ".";
      if (slash === 0) return whole.startsWith("//") && whole.length > 2 ? "//" : "/";
      const end = trimmed(whole.slice(0, slash));
      return slash === 1 && whole.startsWith("//") ? "//" : whole.slice(0, slash) || end;
    },
    basename(text, suffix) {
      if (suffix !== undefined) need(suffix, "suffix");
      need(text, "path");
      const whole = trimmed(text);
      const base = whole.slice(whole.lastIndexOf("/") + 1);
      if (suffix && suffix === text) return "";
      if (suffix && base !== suffix && base.endsWith(suffix)) return base.slice(0, -suffix.length);
      return base;
    },
    extname(text) {
      need(text, "path");
      const base = path.basename(text);
      const dot = base.lastIndexOf(".");
      return dot <= 0 || base === ".." ? "" : base.slice(dot);
    },
    format(parts) {
      if (typeof parts !== "object" || parts === null) {
        throw wrongType("pathObject", "of type object", parts);
      }
      const directory = parts.dir || parts.root;
      const ext = parts.ext ? `${parts.ext.startsWith(".") ? "" : "."}${parts.ext}` : "";
      const base = parts.base || `${parts.name || ""}${ext}`;
      if (!directory) return base;
      return directory === parts.root ? `${directory}${base}` : `${directory}/${base}`;
    },
    parse(text) {
      need(text, "path");
      const root = text.startsWith("/") ? "/" : "";
      const base = text === "/" ? "" : path.basename(text);
      const ext = path.extname(text);
      const whole = trimmed(text);
      const slash = whole.lastIndexOf("/");
      const dir = slash > 0 ? whole.slice(0, slash) : slash === 0 ? "/" : "";
      return { root, dir, base, ext, name: ext ? base.slice(0, -ext.length) : base };
    },
  };
  path.posix = path;
  return path;
};
