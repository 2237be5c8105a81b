//! The trigger, called by hand: which tuple it gives back.

// A panic here is the report of a test.
#![allow(clippy::unwrap_used)]

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use pgrx::prelude::*;
    use pgrx::{JsonB, pg_sys};

    use crate::trigger::call::Call;
    use crate::trigger::ingest::Events;
    use crate::trigger::process;

    #[pg_test]
    fn a_row_of_which_nothing_changed_is_the_very_tuple() {
        Spi::run(
            "CREATE TABLE events (event text, n int, properties jsonb, gone text, nothing inet);
             ALTER TABLE events DROP COLUMN gone;
             SELECT posthog_plugins.attach('events')",
        )
        .unwrap();
        let table = Spi::get_one::<pg_sys::Oid>("SELECT 'events'::regclass::oid").unwrap().unwrap();
        for (body, is_same) in [
            ("return event", true),
            ("JSON.stringify(event); return event", true),
            ("return { ...event, properties: { ...event.properties } }", true),
            ("event.n = 5; event.properties.a = 1; delete event.nothing; return event", true),
            ("event.none = 'of this name'; return event", true),
            ("event.properties.a = 2; return event", false),
            ("event.nothing = '10.0.0.1'; return event", false),
            ("delete event.n; return event", false),
        ] {
            let source = format!("export function processEvent(event) {{ {body} }}");
            Spi::run_with_args(
                "SELECT posthog_plugins.install($1, '{}', 'it'), posthog_plugins.enable('it')",
                &[source.into()],
            )
            .unwrap();
            let properties = JsonB(serde_json::json!({"a": 1, "b": "x"}));
            let values = ["e".into_datum(), 5.into_datum(), properties.into_datum(), None, None];
            let mut nulls = values.map(|value| value.is_none());
            let mut values = values.map(|value| value.unwrap_or(pg_sys::Datum::null()));
            let events = Events::open(table).unwrap();
            // SAFETY: values for all columns of the table, of their types.
            let row = unsafe {
                let descriptor = events.call(std::ptr::null_mut(), Call::descriptor);
                pg_sys::heap_form_tuple(descriptor, values.as_mut_ptr(), nulls.as_mut_ptr())
            };
            let processed = events.call(row, process).unwrap();
            assert_eq!(processed == row, is_same, "{body}");
        }
    }
}
