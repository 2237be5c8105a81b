// `meta.logger`: the console under another name.
(function ({ debug, log, info, warn, error }) {
  return { debug, log, info, warn, error };
});
