//! Which function of a plugin a dry run calls, and with what.

use engine::{Call, Schedule};
use jsonb::{Document, Ref};

use crate::error::{Error, Result};
use crate::json::Json;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    ProcessEvent,
    OnEvent,
    OnSnapshot,
    ExportEvents,
    ComposeWebhook,
    GetSettings,
    Scheduled(Schedule),
    Job(String),
}

impl Method {
    /// By the name of the function; jobs are `jobs.name`.
    pub fn parse(name: &str) -> Result<Self> {
        Ok(match name {
            "processEvent" => Method::ProcessEvent,
            "onEvent" => Method::OnEvent,
            "onSnapshot" => Method::OnSnapshot,
            "exportEvents" => Method::ExportEvents,
            "composeWebhook" => Method::ComposeWebhook,
            "getSettings" => Method::GetSettings,
            "runEveryMinute" => Method::Scheduled(Schedule::Minute),
            "runEveryHour" => Method::Scheduled(Schedule::Hour),
            "runEveryDay" => Method::Scheduled(Schedule::Day),
            _ => match name.strip_prefix("jobs.") {
                Some(job) if !job.is_empty() => Method::Job(job.to_owned()),
                _ => return Err(Error::BadMethod(name.to_owned())),
            },
        })
    }

    /// The call with what a dry run is given as the event; none of `processEvent`.
    pub fn call(&self, given: &[u8]) -> Result<Option<Call>> {
        let event = || match Document::new(given)?.root() {
            Ref::Object(_) => Ok(given.to_vec()),
            _ => Err(Error::EventIsNotAnObject),
        };
        Ok(Some(match self {
            Method::ProcessEvent => return Ok(None),
            Method::OnEvent => Call::OnEvent(event()?),
            Method::OnSnapshot => Call::OnSnapshot(event()?),
            Method::ComposeWebhook => Call::ComposeWebhook(event()?),
            Method::ExportEvents => Call::ExportEvents(match Document::new(given)?.root() {
                Ref::Array(events) => events
                    .iter()
                    .map(|event| match event? {
                        event @ Ref::Object(_) => Ok(Json::of(event)?.0),
                        _ => Err(Error::EventIsNotAnObject),
                    })
                    .collect::<Result<_>>()?,
                _ => vec![event()?],
            }),
            Method::GetSettings => Call::GetSettings,
            Method::Scheduled(schedule) => Call::Scheduled(*schedule),
            Method::Job(name) => Call::Job { name: name.clone(), payload: given.to_vec() },
        }))
    }
}
