// node node.js EVENTS [PLUGIN CONFIG]...: for each line of input, takes all events through the
// plugins, from text to text, and prints how many nanoseconds that took.
const fs = require("node:fs");
const readline = require("node:readline");

const [events, ...plugins] = process.argv.slice(2);
const texts = fs.readFileSync(events, "utf8").split("\n");
const chain = [];
for (let i = 0; i < plugins.length; i += 2) {
  const { processEvent } = require(plugins[i]);
  chain.push({ processEvent, meta: { config: JSON.parse(plugins[i + 1]), global: {} } });
}

async function run() {
  let length = 0;
  const begun = process.hrtime.bigint();
  for (const text of texts) {
    let event = JSON.parse(text);
    for (const { processEvent, meta } of chain) {
      event = processEvent(event, meta);
      if (event instanceof Promise) event = await event;
    }
    length += JSON.stringify(event).length;
  }
  const took = process.hrtime.bigint() - begun;
  if (length === 0) throw new Error("nothing was processed");
  console.log(String(took));
}

readline.createInterface({ input: process.stdin }).on("line", run);
