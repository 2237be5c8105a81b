//! What can be asked of a plugin once an event is stored, and what comes back.

use std::borrow::Cow;

use crate::http::Request;

/// A call of one of a plugin's functions. Events, actions and payloads are jsonb; events are as they
/// were stored, and get the form that PostHog gives them on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    OnEvent(Vec<u8>),
    OnSnapshot(Vec<u8>),
    OnAction { action: Vec<u8>, event: Vec<u8> },
    ExportEvents(Vec<Vec<u8>>),
    ComposeWebhook(Vec<u8>),
    GetSettings,
    Job { name: String, payload: Vec<u8> },
    Scheduled(Schedule),
}

/// How often a function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Schedule {
    Minute,
    Hour,
    Day,
}

/// Names a call from its begin to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub(super) u64);

/// What a call came to that did well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Return {
    /// What the function returned is of no use to anyone.
    Nothing,
    /// What `composeWebhook` wants to be sent, if anything.
    Webhook(Option<Request>),
    Settings(Settings),
}

/// What `getSettings` returned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settings {
    pub handles_large_batches: bool,
}

/// What is done with what a function returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expects {
    Nothing,
    Webhook,
    Settings,
    /// To be set up: calls wait for it.
    SetUp,
    /// To be torn down: the realm ends with it.
    TearDown,
}

impl Schedule {
    /// The function that runs so often.
    pub fn function(self) -> &'static str {
        match self {
            Schedule::Minute => "runEveryMinute",
            Schedule::Hour => "runEveryHour",
            Schedule::Day => "runEveryDay",
        }
    }
}

impl Call {
    /// The function, as messages name it.
    pub(super) fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Call::OnEvent(_) => "onEvent",
            Call::OnSnapshot(_) => "onSnapshot",
            Call::OnAction { .. } => "onAction",
            Call::ExportEvents(_) => "exportEvents",
            Call::ComposeWebhook(_) => "composeWebhook",
            Call::GetSettings => "getSettings",
            Call::Scheduled(schedule) => schedule.function(),
            Call::Job { name, .. } => return Cow::Owned(format!("job \"{name}\"")),
        })
    }

    pub(super) fn expects(&self) -> Expects {
        match self {
            Call::ComposeWebhook(_) => Expects::Webhook,
            Call::GetSettings => Expects::Settings,
            _ => Expects::Nothing,
        }
    }

    /// The documents that JavaScript gets to see.
    pub(super) fn documents(&self) -> Vec<&[u8]> {
        match self {
            Call::OnEvent(event) | Call::OnSnapshot(event) | Call::ComposeWebhook(event) => {
                vec![event]
            }
            Call::OnAction { action, event } => vec![action, event],
            Call::ExportEvents(events) => events.iter().map(Vec::as_slice).collect(),
            Call::Job { payload, .. } => vec![payload],
            Call::GetSettings | Call::Scheduled(_) => Vec::new(),
        }
    }
}
