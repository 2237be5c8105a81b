//! What is attacked: a table of events whose trigger runs plugins, `app`, who may insert into it and
//! nothing else, and `mallory`, who may also make objects, in a schema of her own and in public.
//!
//! The secret is `hunter2-s3cr3t`, the source has the comment `in-the-source`, the attachment is
//! `in-the-attachment`: none of them may turn up anywhere.

use cluster::{Cluster, Session};
use postgres::Client;
use postgres::error::SqlState;

pub const PRIVILEGE: SqlState = SqlState::INSUFFICIENT_PRIVILEGE;

/// A table of events that runs plugins, as an administrator would make it, and the two roles.
pub fn fortress(cluster: &Cluster) -> Client {
    let mut owner = cluster.create_database("fortress");
    owner.run(
        r#"SELECT posthog_plugins.install($js$
               // in-the-source
               export function processEvent(event, { config, attachments }) {
                   console.log('in-the-log', config.secret)
                   if (event.event === 'fail') throw new Error(`no: ${config.secret}`)
                   event.seen = config.secret.length + attachments.file.contents.length
                   return event
               }$js$,
               '{"config": [{"key": "secret", "type": "string", "secret": true},
                            {"key": "plain", "type": "string"},
                            {"key": "file", "type": "attachment"}]}', 'keeper');
           SELECT posthog_plugins.configure('keeper',
               '{"secret": "hunter2-s3cr3t", "plain": "in-the-config"}');
           SELECT posthog_plugins.set_attachment('keeper', 'file', 'f', 't', 'in-the-attachment');
           SELECT posthog_plugins.enable('keeper');
           CREATE TABLE events (id bigint GENERATED ALWAYS AS IDENTITY, data jsonb);
           CREATE FUNCTION run_plugins() RETURNS trigger LANGUAGE plpgsql AS $$
           BEGIN
               NEW.data := public.process_event(NEW.data);
               RETURN CASE WHEN NEW.data IS NOT NULL THEN NEW END;
           END $$;
           CREATE TRIGGER run_plugins BEFORE INSERT ON events
               FOR EACH ROW EXECUTE FUNCTION run_plugins();
           CREATE ROLE app LOGIN;
           CREATE ROLE mallory LOGIN;
           GRANT INSERT ON events TO app, mallory;
           GRANT CREATE ON SCHEMA public TO mallory;
           CREATE SCHEMA mallory AUTHORIZATION mallory"#,
    );
    owner
}

pub const INSERT: &str = r#"INSERT INTO public.events (data) VALUES ('{"event": "e"}')"#;

/// What is in a table of events that nobody tampered with.
pub const SEEN: &str = r#"{"seen": 31, "event": "e"}"#;

pub fn events(owner: &mut Client) -> Vec<String> {
    owner.column("SELECT data::text FROM public.events ORDER BY id")
}
