// How `inspect` puts the members of a value together: on one line, in columns, or one to a line.
(() => {
  // Long lists of short items in columns.
  const grouped = (context, output, value) => {
    let total = 0;
    let longest = 0;
    const separator = 2;
    const lengths = [];
    const extra =
      value !== undefined && output.length > 0 && /^\.\.\. \d+ more item/.test(output.at(-1))
        ? 1
        : 0;
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
      if (isNumeric)
        row += " ".repeat(Math.max(widths[j - i] - separator - lengths[j], 0)) + output[j];
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
        const length = output.reduce(
          (sum, text) => sum + plainLength(context, text),
          output.length + start,
        );
        const short = length <= context.breakLength && !output.some((text) => text.includes("\n"));
        if (short && !base.includes("\n")) {
          return `${base ? `${base} ` : ""}${braces[0]} ${output.join(", ")} ${braces[1]}`;
        }
      }
    }
    const indent = `\n${" ".repeat(context.indentation)}`;
    const members = output.join(`,${indent}  `);
    return `${base ? `${base} ` : ""}${braces[0]}${indent}  ${members}${indent}${braces[1]}`;
  };

  return joined;
})();
