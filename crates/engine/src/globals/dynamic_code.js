// `eval` and the function constructors, with a limit on what they compile: QuickJS's compiler does
// not survive it when memory runs out, so it gets all it asks for, and its input is bounded instead.
// `eval` is always the indirect one, which sees globals only.
((host) => {
  const { apply } = Reflect;
  const { setPrototypeOf, getPrototypeOf, defineProperty } = Object;
  const { join } = Array.prototype;
  const LONGEST_CODE = 256 * 1024;

  const bounded = (code) => {
    if (code.length > LONGEST_CODE) {
      throw new RangeError(`code of ${code.length} characters is too long to be compiled here`);
    }
    return code;
  };

  // Only text goes to the host, and only compiled code comes back: nothing of the plugin's runs
  // while the compiler is given memory without a limit.
  const make = (kind, parts, target, newTarget) => {
    for (let i = 0; i < parts.length; i++) parts[i] = bounded(`${parts[i]}`);
    const body = parts.length > 0 ? parts[parts.length - 1] : "";
    if (parts.length > 0) parts.length--;
    const parameters = bounded(apply(join, parts, [","]));
    bounded(parameters + body);
    const made = host.make(kind, parameters, body);
    if (newTarget !== target) setPrototypeOf(made, newTarget.prototype);
    return made;
  };

  const limited = (native, kind) => {
    const proxy = new Proxy(native, {
      apply: (target, self, parts) => make(kind, parts, proxy, proxy),
      construct: (target, parts, newTarget) => make(kind, parts, proxy, newTarget),
    });
    return proxy;
  };

  const NativeFunction = Function;
  const LimitedFunction = limited(NativeFunction, "function");
  defineProperty(globalThis, "Function", { value: LimitedFunction });
  defineProperty(NativeFunction.prototype, "constructor", { value: LimitedFunction });
  for (const [kind, example] of [
    ["function*", function* () {}],
    ["async function", async function () {}],
    ["async function*", async function* () {}],
  ]) {
    const prototype = getPrototypeOf(example);
    const native = prototype.constructor;
    setPrototypeOf(native, LimitedFunction);
    defineProperty(prototype, "constructor", { value: limited(native, kind) });
  }

  const indirect = {
    eval(code) {
      return typeof code === "string" ? host.run(bounded(code)) : code;
    },
  };
  defineProperty(globalThis, "eval", { value: indirect.eval });
});
