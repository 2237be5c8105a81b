// Stored events in the forms in which PostHog hands them to plugins.
(() => {
  const { defineProperty } = Object;
  const { isArray } = Array;
  const { parseInt } = Number;
  const $Date = Date;

  const isObject = (value) => typeof value === "object" && value !== null;

  // The members of an element that have a name of their own, in a chain and in a list.
  const NUMBERS = { __proto__: null, "nth-child": "nth_child", "nth-of-type": "nth_of_type" };
  const TEXTS = { __proto__: null, text: "text", href: "href", attr_id: "attr_id" };

  // button.big.red:attr_id="buy"nth-child="1"text="Say \"hi\"";div:…
  const fromChain = (chain) => {
    const elements = [];
    // Classes can have colons: only one before an attribute ends them.
    const name = /([^;"]*?)(?::(?=[^=";:]*=")|(?=[;"]|$))/y;
    const attribute = /([^=";]*)="((?:\\.|[^"\\])*)"/sy;
    let at = 0;
    while (at < chain.length) {
      const element = { order: elements.length, attributes: {} };
      name.lastIndex = at;
      const [all, names] = name.exec(chain);
      const [tag, ...classes] = names.split(".");
      if (tag) element.tag_name = tag;
      if (classes.length > 0) element.attr_class = classes.filter((it) => it);
      attribute.lastIndex = at + all.length;
      at = attribute.lastIndex;
      for (let found; (found = attribute.exec(chain)); at = attribute.lastIndex) {
        const [, key, quoted] = found;
        const value = quoted.replaceAll('\\"', '"');
        if (NUMBERS[key]) element[NUMBERS[key]] = parseInt(value, 10);
        else if (TEXTS[key]) element[TEXTS[key]] = value;
        else if (key) element.attributes[key] = value;
      }
      elements.push(element);
      // What is no attribute is left out.
      const next = chain.indexOf(";", at);
      at = next < 0 ? chain.length : next + 1;
    }
    return elements;
  };

  // As clients send them: attributes have the prefix attr__.
  const fromList = (list) => {
    const elements = [];
    for (const sent of list) {
      if (!isObject(sent)) continue;
      const element = { order: elements.length, attributes: {} };
      const { $el_text: text, tag_name, attr__href: href, attr__id: attr_id } = sent;
      const { attr__class: classes, nth_child, nth_of_type } = sent;
      const members = { text, tag_name, href, attr_id, nth_child, nth_of_type };
      for (const key in members) if (members[key] != null) element[key] = members[key];
      if (isArray(classes)) element.attr_class = classes;
      else if (typeof classes === "string") {
        element.attr_class = classes.split(" ").filter((it) => it);
      }
      for (const key in sent) if (key.startsWith("attr__")) element.attributes[key] = sent[key];
      elements.push(element);
    }
    return elements;
  };

  const elementsOf = ({ $elements_chain: chain, $elements: list }) => {
    if (typeof chain === "string") return fromChain(chain);
    return isArray(list) ? fromList(list) : [];
  };

  const define = (event, value) => {
    const attributes = { writable: true, enumerable: true, configurable: true };
    defineProperty(event, "elements", { __proto__: null, value, ...attributes });
    return value;
  };

  // ProcessedPluginEvent: what onEvent, onAction and exportEvents get.
  const processed = (event) => {
    if (!isObject(event)) return event;
    const properties = (event.properties ??= {});
    for (const key of ["$set", "$set_once"]) {
      if (event[key] === undefined && properties[key] !== undefined) event[key] = properties[key];
    }
    if (event.elements === undefined) {
      if (properties.$elements_chain || properties.$elements) {
        // Most plugins never look at them.
        defineProperty(event, "elements", {
          __proto__: null,
          get: () => define(event, elementsOf(properties)),
          set: (value) => void define(event, value),
          enumerable: true,
          configurable: true,
        });
      } else {
        event.elements = [];
      }
    }
    return event;
  };

  const dateOf = (text) => {
    const date = new $Date(text ?? NaN);
    return date.getTime() === date.getTime() ? date : new $Date();
  };

  // PostHogEvent: what composeWebhook gets.
  const composed = (stored) => {
    if (!isObject(stored)) return stored;
    const { uuid, team_id, distinct_id, event, properties = {}, timestamp, now } = stored;
    for (const [key, value] of [["$ip", stored.ip], ["$set", stored.$set], ["$set_once", stored.$set_once]]) {
      if (value != null && properties[key] === undefined) properties[key] = value;
    }
    return { uuid, team_id, distinct_id, event, timestamp: dateOf(timestamp ?? now), properties };
  };

  return { processed, composed };
})();
