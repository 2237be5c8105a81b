//! A database with something of everything in it, for tests of what becomes of databases.

use postgres::Client;

use crate::Session;

/// All that an administrator wrote, as text that can be compared.
pub fn everything(client: &mut Client) -> Vec<String> {
    client.column(
        "SELECT 'plugin ' || p::text FROM posthog_plugins.plugin AS p
          UNION ALL
         SELECT 'version ' || v::text FROM posthog_plugins.plugin_version AS v
          UNION ALL
         SELECT 'config ' || c::text FROM posthog_plugins.plugin_config AS c
          UNION ALL
         SELECT 'secret ' || s::text FROM posthog_plugins.plugin_secret AS s
          UNION ALL
         SELECT 'attachment ' || a::text FROM posthog_plugins.plugin_attachment AS a
          UNION ALL
         SELECT 'stored ' || s::text FROM posthog_plugins.plugin_storage AS s
          UNION ALL
         SELECT 'job ' || j::text FROM posthog_plugins.plugin_job AS j
          ORDER BY 1",
    )
}

/// Two plugins, the first of them with two versions, three configs, a secret, an attachment, and what it
/// has stored and wants to be run some day.
pub fn furnish(client: &mut Client) {
    client.run(
        r#"SELECT posthog_plugins.install('export const processEvent = () => null',
               '{"config": [{"key": "token", "type": "string", "secret": true},
                            {"key": "file", "type": "attachment"}]}', 'tagging');
           SELECT posthog_plugins.install($js$
               export function processEvent(event, { attachments, config }) {
                   console.log('tagging')
                   const file = attachments.file ? attachments.file.contents.toString() : ''
                   event.tags = [...(event.tags || []), `${config.tag}${file}${config.token.length}`]
                   return event
               }$js$,
               '{"config": [{"key": "token", "type": "string", "secret": true},
                            {"key": "tag", "type": "string", "default": "preset"},
                            {"key": "file", "type": "attachment"}]}', 'tagging');
           SELECT posthog_plugins.configure('tagging', '{"token": "abc", "tag": "first"}');
           SELECT posthog_plugins.configure('tagging', '{"token": "abcd"}', 7, 'second', 'raise');
           SELECT posthog_plugins.configure('tagging', '{"token": "a"}', 8);
           SELECT posthog_plugins.set_attachment('tagging', 'file', 'f', 'text/plain', '\x00ff41');
           SELECT posthog_plugins.install('export function processEvent(event) {
               event.last = true
               return event
           }', '{}', 'last');
           SELECT posthog_plugins.allow_hosts('tagging', '{api.example.com,10.0.0.0/8}', 7, 'second');
           SELECT posthog_plugins.enable('last');
           SELECT posthog_plugins.enable('tagging');
           SELECT posthog_plugins.enable('tagging', 7, 'second');
           SELECT posthog_plugins.move('last', 3);
           INSERT INTO posthog_plugins.plugin_storage (config_id, key, change, value, changed_at)
               VALUES (1, 'stored', 'put', '{"a": 1}', now());
           INSERT INTO posthog_plugins.plugin_job (config_id, name, payload, run_at)
               VALUES (1, 'someDay', '{"a": 1}', '2100-01-01')"#,
    );
}

/// Sends an event through all of it.
pub fn works(client: &mut Client) {
    let event = client.process(r#"{"event": "e", "team_id": 7}"#).unwrap();
    assert!(event.contains(r#""last": true"#), "{event}");
    assert!(event.contains(r#""preset4"]"#), "{event}");
}
