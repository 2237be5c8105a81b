//! How many captures have led to what the session is doing: 0 but in a worker that inserts captured
//! events, where the row that is being inserted says so. And what is said when they are too many.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Instant;

use engine::{Failure, Program};

use crate::event::Event;
use crate::json::Json;
use crate::{journal, settings};

thread_local! {
    static DEPTH: Cell<u8> = const { Cell::new(0) };
    /// When a config was last told that it captures too much.
    static TOLD: RefCell<HashMap<i32, Instant>> = RefCell::default();
}

/// Puts it into the log that an event, as JSON, is not captured. The call goes on: in PostHog plugins are
/// not told either what becomes of their events. Now and then, whatever else the plugin fails of.
pub fn refuse(program: &Program, event: &str, depth: u8) {
    let (now, interval) = (Instant::now(), settings::error_interval());
    let is_told = TOLD.with_borrow(|told| {
        told.get(&program.id).is_some_and(|last| now.duration_since(*last) < interval)
    });
    if is_told {
        return;
    }
    TOLD.with_borrow_mut(|told| told.insert(program.id, now));
    let event = Json::parse(event).ok();
    let name = event.as_ref().and_then(|event| Event::of_payload(&event.0).name());
    let name = name.unwrap_or_default();
    let message = match depth {
        0 => format!("event \"{name}\" is not captured: posthog_plugins.capture_depth is 0"),
        _ => format!(
            "event \"{name}\" is not captured: {depth} captures have led to it already, as many as \
             posthog_plugins.capture_depth allows"
        ),
    };
    let failure = Failure::of_delivery(program.redact(message));
    let event = event.as_ref().map(|event| event.0.as_slice());
    journal::failure(program.id, &program.plugin, failure, event);
}

pub fn depth() -> u8 {
    DEPTH.get()
}

/// Does the work, which so many captures have led to.
pub fn within<R>(depth: u8, work: impl FnOnce() -> R) -> R {
    let _restored = Restored(DEPTH.replace(depth));
    work()
}

/// Also on the way of an error.
struct Restored(u8);

impl Drop for Restored {
    fn drop(&mut self) {
        DEPTH.set(self.0);
    }
}
