// `assert`: throws an AssertionError where something is not as it should be.
(require, { coded, wrongType, missing }, { strictly, loosely }) => {
  const { inspect, format } = require("util");
  const { is } = Object;

  const shown = (value) =>
    inspect(value, { depth: 1000, sorted: true, maxArrayLength: Infinity, compact: false });
  const TITLES = {
    deepStrictEqual: "Expected values to be strictly deep-equal:",
    strictEqual: "Expected values to be strictly equal:",
    deepEqual: "Expected values to be loosely deep-equal:",
    notDeepStrictEqual: 'Expected "actual" not to be strictly deep-equal to:',
    notStrictEqual: 'Expected "actual" to be strictly unequal to:',
    notDeepEqual: 'Expected "actual" not to be loosely deep-equal to:',
  };

  const messageOf = (actual, expected, operator) => {
    const [left, right] = [shown(actual), shown(expected)];
    switch (operator) {
      case "==":
      case "!=":
        return `${left} ${operator} ${right}`;
      case "strictEqual": {
        const simple = !left.includes("\n") && !right.includes("\n");
        const isObject = (value) => typeof value === "object" && value !== null;
        if (left === right && isObject(actual)) {
          return `Values have same structure but are not reference-equal:\n\n${left}\n`;
        }
        if (
          simple
          && left.length + right.length <= 12
          && !isObject(actual)
          && !isObject(expected)
        ) {
          return `${TITLES.strictEqual}\n\n${left} !== ${right}\n`;
        }
        break;
      }
      case "deepEqual":
        return `${TITLES.deepEqual}\n\n${left}\n\nshould loosely deep-equal\n\n${right}`;
      case "notDeepStrictEqual":
      case "notStrictEqual":
      case "notDeepEqual": {
        const long = left.includes("\n") || left.length > 50;
        return `${TITLES[operator]}${long ? "\n\n" : " "}${left}${long ? "\n" : ""}`;
      }
    }
    return `${TITLES[operator] ?? operator}\n${difference(left, right)}`;
  };

  // Lines of one and of the other, without those that they begin and end with alike.
  const difference = (left, right) => {
    const ours = left.split("\n");
    const theirs = right.split("\n");
    let begin = 0;
    while (begin < ours.length && begin < theirs.length && ours[begin] === theirs[begin]) begin++;
    let end = 0;
    const most = Math.min(ours.length, theirs.length) - begin;
    while (end < most && ours.at(-1 - end) === theirs.at(-1 - end)) end++;
    const same = (lines) => lines.map((line) => `  ${line}`);
    return [
      "+ actual - expected",
      "",
      ...same(ours.slice(0, begin)),
      ...ours.slice(begin, ours.length - end).map((line) => `+ ${line}`),
      ...theirs.slice(begin, theirs.length - end).map((line) => `- ${line}`),
      ...same(ours.slice(ours.length - end)),
    ].join("\n");
  };

  class AssertionError extends Error {
    constructor(options) {
      if (typeof options !== "object" || options === null)
        throw wrongType("options", "of type object", options);
      const { message, actual, expected, operator } = options;
      super(message !== undefined ? `${message}` : messageOf(actual, expected, operator));
      this.generatedMessage = message === undefined;
      this.code = "ERR_ASSERTION";
      this.actual = actual;
      this.expected = expected;
      this.operator = operator;
    }

    toString() {
      return `${this.name} [${this.code}]: ${this.message}`;
    }
  }
  Object.defineProperty(AssertionError.prototype, "name", {
    value: "AssertionError",
    writable: true,
    configurable: true,
  });

  const fail = (actual, expected, message, operator, generated) => {
    if (message instanceof Error) throw message;
    const error = new AssertionError({ actual, expected, message: message ?? generated, operator });
    error.generatedMessage = message === undefined;
    throw error;
  };

  function ok(...parameters) {
    const [value, message] = parameters;
    if (value) return;
    const none = parameters.length === 0;
    const generated = none
      ? "No value argument passed to `assert.ok()`"
      : "The expression evaluated to a falsy value";
    fail(value, true, message, "==", generated);
  }
  const assert = (...parameters) => ok(...parameters);

  const comparison =
    (operator, holds) =>
    (...parameters) => {
      if (parameters.length < 2) throw missing("actual", "expected");
      const [actual, expected, message] = parameters;
      if (!holds(actual, expected)) fail(actual, expected, message, operator);
    };

  // Whether what was thrown is what was expected; throws where that can be told better.
  const matches = (thrown, expected, message, operator) => {
    if (typeof expected === "function") {
      if (expected.prototype !== undefined && thrown instanceof expected) return;
      if (Object.prototype.isPrototypeOf.call(Error, expected)) {
        const found = `${thrown?.constructor?.name ?? typeof thrown}`;
        const told = thrown instanceof Error ? `\n\nError message:\n\n${thrown.message}` : "";
        const wanted = `The error is expected to be an instance of "${expected.name}".`;
        const generated = `${wanted} Received "${found}"${told}`;
        fail(thrown, expected, message, operator, generated);
      }
      const answer = Reflect.apply(expected, {}, [thrown]);
      if (answer === true) return;
      const name = expected.name ? `"${expected.name}" ` : "";
      const wanted = `The ${name}validation function is expected to return "true".`;
      const told = `Received ${inspect(answer)}\n\nCaught error:\n\n${inspect(thrown)}`;
      const generated = `${wanted} ${told}`;
      fail(thrown, expected, message, operator, generated);
    }
    if (expected instanceof RegExp) {
      if (expected.test(String(thrown))) return;
      const input = `Input:\n\n${inspect(String(thrown))}\n`;
      const wanted = `The input did not match the regular expression ${inspect(expected)}.`;
      const generated = `${wanted} ${input}`;
      fail(thrown, expected, message, operator, generated);
    }
    const names = Object.keys(expected);
    if (expected instanceof Error) names.push("name", "message");
    for (const name of names) {
      const isPattern = typeof thrown?.[name] === "string" && expected[name] instanceof RegExp;
      if (
        isPattern
          ? expected[name].test(thrown[name])
          : name in Object(thrown) && strictly(thrown[name], expected[name])
      )
        continue;
      const part = (value) =>
        Object.fromEntries(
          names.filter((name) => name in Object(value)).map((name) => [name, value[name]]),
        );
      const generated = messageOf(part(thrown), part(expected), "deepStrictEqual");
      fail(thrown, expected, message, operator, generated);
    }
  };

  const NOTHING = Symbol("nothing");
  const judge = (operator, thrown, expected, message) => {
    if (typeof expected === "string") [expected, message] = [undefined, expected];
    if (thrown === NOTHING) {
      const what = operator === "rejects" ? "rejection" : "exception";
      const name = expected?.name ? ` (${expected.name})` : "";
      fail(
        undefined,
        expected,
        message === undefined
          ? undefined
          : message instanceof Error
            ? message
            : `Missing expected ${what}${name}: ${message}`,
        operator,
        `Missing expected ${what}${name}.`,
      );
    }
    if (expected !== undefined && expected !== null) matches(thrown, expected, message, operator);
  };
  const unwanted = (operator, thrown, expected, message) => {
    if (typeof expected === "string") [expected, message] = [undefined, expected];
    const applies =
      !expected
      || (typeof expected === "function" && thrown instanceof expected)
      || (expected instanceof RegExp && expected.test(String(thrown)));
    if (!applies) throw thrown;
    const what = operator === "doesNotReject" ? "rejection" : "exception";
    const title = `Got unwanted ${what}${message ? `: ${message}` : "."}`;
    const generated = `${title}\nActual message: "${thrown?.message}"`;
    fail(thrown, expected, undefined, operator, generated);
  };

  const caught = (work) => {
    if (typeof work !== "function") throw wrongType("fn", "of type function", work);
    try {
      work();
    } catch (error) {
      return error;
    }
    return NOTHING;
  };
  const rejection = async (work) => {
    const promise = typeof work === "function" ? work() : work;
    if (typeof promise?.then !== "function")
      throw wrongType("promiseFn", "of type function or an instance of Promise", work);
    try {
      await promise;
    } catch (error) {
      return error;
    }
    return NOTHING;
  };

  const pattern = (operator, wanted) => (text, expression, message) => {
    if (!(expression instanceof RegExp))
      throw wrongType("regexp", "an instance of RegExp", expression);
    if (typeof text === "string" && (expression.exec(text) !== null) === wanted) return;
    const problem = wanted ? "did not match" : "was expected to not match";
    const generated =
      typeof text === "string"
        ? `The input ${problem} the regular expression ${inspect(expression)}. ` +
          `Input:\n\n${inspect(text)}\n`
        : wrongType("string", "of type string", text).message;
    fail(text, expression, message, operator, generated);
  };

  const loose = (left, right) => left == right || (left !== left && right !== right);
  const methods = {
    ok,
    AssertionError,
    fail(message) {
      if (message instanceof Error) throw message;
      const error = new AssertionError({ message: message ?? "Failed", operator: "fail" });
      error.generatedMessage = message === undefined;
      throw error;
    },
    equal: comparison("==", loose),
    notEqual: comparison("!=", (left, right) => !loose(left, right)),
    strictEqual: comparison("strictEqual", is),
    notStrictEqual: comparison("notStrictEqual", (left, right) => !is(left, right)),
    deepEqual: comparison("deepEqual", loosely),
    notDeepEqual: comparison("notDeepEqual", (left, right) => !loosely(left, right)),
    deepStrictEqual: comparison("deepStrictEqual", strictly),
    notDeepStrictEqual: comparison("notDeepStrictEqual", (left, right) => !strictly(left, right)),
    match: pattern("match", true),
    doesNotMatch: pattern("doesNotMatch", false),
    ifError(value) {
      if (value === null || value === undefined) return;
      const text =
        typeof value === "object" && typeof value.message === "string"
          ? value.message || value.constructor?.name
          : inspect(value);
      const message = `ifError got unwanted exception: ${text}`;
      throw new AssertionError({ actual: value, expected: null, operator: "ifError", message });
    },
    throws: (work, expected, message) => judge("throws", caught(work), expected, message),
    rejects: async (work, expected, message) =>
      judge("rejects", await rejection(work), expected, message),
    doesNotThrow(work, expected, message) {
      const thrown = caught(work);
      if (thrown !== NOTHING) unwanted("doesNotThrow", thrown, expected, message);
    },
    async doesNotReject(work, expected, message) {
      const thrown = await rejection(work);
      if (thrown !== NOTHING) unwanted("doesNotReject", thrown, expected, message);
    },
  };
  Object.assign(assert, methods);
  const strict = (...parameters) => ok(...parameters);
  Object.assign(strict, methods, {
    equal: methods.strictEqual,
    notEqual: methods.notStrictEqual,
    deepEqual: methods.deepStrictEqual,
    notDeepEqual: methods.notDeepStrictEqual,
  });
  assert.strict = strict;
  strict.strict = strict;
  return assert;
};
