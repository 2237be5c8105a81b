// `posthog.capture`: an event of the plugin's own. It takes the way of every event once the
// transaction that captured it has committed.
(function (posthog, { leave, version, sender }) {
  const OwnDate = Date;

  async function capture(event, properties = undefined) {
    if (typeof event !== "string" || event === "") {
      throw new TypeError("posthog.capture: an event has a name");
    }
    // The Date that is given a format by nobody: its JSON is ISO 8601.
    const { timestamp = new OwnDate(), distinct_id = sender, ...others } = properties ?? {};
    leave({
      event,
      distinct_id,
      ip: null,
      site_url: null,
      timestamp,
      now: timestamp,
      sent_at: timestamp,
      properties: {
        $lib: "posthog-plugin-server",
        $lib_version: version,
        ...others,
        distinct_id,
      },
    });
  }

  posthog.capture = capture;
});
