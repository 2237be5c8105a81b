// `eval` and the function constructors, with a limit on what they compile: QuickJS's compiler does
// not survive it when memory runs out, so it gets all it asks for, and its input is bounded instead.
// `eval` is always the indirect one, which sees globals only.
((host) => {
  const { apply, construct } = Reflect;
  const { setPrototypeOf, getPrototypeOf, defineProperty } = Object;
  const LONGEST_CODE = 256 * 1024;

  const texts = (parts) => {
    let length = 0;
    for (let i = 0; i < parts.length; i++) {
      parts[i] = `${parts[i]}`;
      length += parts[i].length;
    }
    if (length > LONGEST_CODE) {
      throw new RangeError(`code of ${length} characters is too long to be compiled here`);
    }
    return parts;
  };

  const limited = (native) =>
    new Proxy(native, {
      apply: (target, self, parts) => host.compile(construct, target, texts(parts), target),
      construct: (target, parts, newTarget) =>
        host.compile(construct, target, texts(parts), newTarget),
    });

  const NativeFunction = Function;
  const LimitedFunction = limited(NativeFunction);
  defineProperty(globalThis, "Function", { value: LimitedFunction });
  defineProperty(NativeFunction.prototype, "constructor", { value: LimitedFunction });
  for (const kind of [function* () {}, async function () {}, async function* () {}]) {
    const prototype = getPrototypeOf(kind);
    const native = prototype.constructor;
    setPrototypeOf(native, LimitedFunction);
    defineProperty(prototype, "constructor", { value: limited(native) });
  }

  const indirect = {
    eval(code) {
      return typeof code === "string" ? host.run(texts([code])[0]) : code;
    },
  };
  defineProperty(globalThis, "eval", { value: indirect.eval });
});
