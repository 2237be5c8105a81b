// Freezes what the host gives to a plugin: writes to it are ignored, as in PostHog. Typed arrays
// cannot be frozen, and their bytes are the plugin's own copy.
(function freeze(value) {
  if (typeof value === "object" && value !== null && !ArrayBuffer.isView(value)) {
    Object.values(value).forEach(freeze);
    Object.freeze(value);
  }
  return value;
});
