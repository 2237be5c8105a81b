// Where a relative address leads from a base, both parsed by Node's older rules.
((Url, slashed) => {
  // Every field but the protocol.
  const takeOver = (target, source) => {
    const { protocol } = target;
    Object.assign(target, source, { protocol });
    if (slashed.has(protocol) && target.hostname && !target.pathname) {
      target.path = target.pathname = "/";
    }
  };

  // "http:name/path" without slashes: the first segment is the host.
  const hostFromPath = (target) => {
    const segments = (target.pathname ?? "").split("/");
    const first = segments.findIndex((segment) => segment !== "");
    target.host = target.hostname = first < 0 ? "" : segments[first];
    target.pathname = `/${first < 0 ? "" : segments.slice(first + 1).join("/")}`;
  };

  // The path of `relative` seen from the path of `base`, without dots. Where a path has no root, the
  // steps above its beginning stay.
  const mergedPath = (base, relative) => {
    const from = base.pathname ?? "";
    const to = relative.pathname ?? "";
    const rooted = to.startsWith("/") || from.startsWith("/") || Boolean(base.host && to);
    const steps = to.startsWith("/") ? [] : from.split("/").slice(0, -1);
    if (to) steps.push(...to.split("/"));
    else steps.push(from.split("/").at(-1));
    const last = steps.at(-1);
    const isDots = last === "." || last === "..";
    const isFolder = last === "" || (isDots && (Boolean(base.host) || steps.length > 1));
    const kept = [];
    let above = 0;
    if (rooted && steps[0] === "") steps.shift();
    for (const step of steps) {
      if (step === ".") continue;
      if (step !== "..") kept.push(step);
      else if (kept.length > 0) kept.pop();
      else above++;
    }
    if (!rooted) kept.unshift(...Array(above).fill(".."));
    const path = (rooted ? "/" : "") + kept.join("/");
    return isFolder && !path.endsWith("/") ? `${path}/` : path;
  };

  // Of a protocol without slashes, the host is just the first step of the path.
  const resolveOpaque = (target, relative) => {
    const place = (url) => (url.host ?? "") + (url.pathname ?? "");
    const path = mergedPath({ pathname: place(target) }, { pathname: place(relative) });
    const [host] = path.split("/", 1);
    const at = host.indexOf("@");
    if (at >= 0) target.auth = host.slice(0, at);
    target.host = target.hostname = host.slice(at + 1);
    target.port = null;
    target.pathname = path.slice(host.length) || null;
  };

  return (base, relative) => {
    const target = Object.assign(new Url(), base, { hash: relative.hash });
    if (relative.href === "") {
      target.href = target.format();
      return target;
    }
    if (relative.slashes && !relative.protocol) {
      takeOver(target, relative);
    } else if (relative.protocol && relative.protocol !== base.protocol) {
      Object.assign(target, relative);
      const { protocol } = relative;
      if (slashed.has(protocol)) {
        if (!relative.host && protocol !== "file:") hostFromPath(target);
        target.slashes = base.slashes || relative.slashes;
      }
    } else {
      if (base.protocol && !slashed.has(base.protocol)) {
        if (relative.host || relative.pathname) resolveOpaque(target, relative);
      } else if (relative.host) {
        const { auth, host, hostname, port, slashes } = relative;
        Object.assign(target, { auth, host, hostname, port, slashes: base.slashes || slashes });
        target.pathname = mergedPath({ host, pathname: "/" }, relative);
      } else if (relative.pathname || relative.search === null) {
        target.pathname = mergedPath(base, relative) || null;
      }
      if (relative.host || relative.pathname || relative.search !== null) {
        target.search = relative.search;
        target.query = relative.query;
      }
      target.path = null;
      if (target.pathname !== null || target.search !== null) {
        target.path = (target.pathname ?? "") + (target.search ?? "");
      }
    }
    target.href = target.format();
    return target;
  };
});
