//! Dry runs of what plugins do with events that are stored, in jobs and on a schedule. Their result is
//! what they asked of others.

use std::rc::Rc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::{Failure, Flight, Program, Request, Return, Ticket};
use jsonb::Writer;

use super::host::{DryHost, Line};
use super::method::Method;
use super::responses::Responses;
use super::trial::Trial;
use super::{Effect, Rehearsal, Run, empty_runtime, listed, milliseconds_since};
use crate::chain::Next;
use crate::error::{self, Error};
use crate::json::Json;
use crate::settings;

/// PostHog's own limit for a call that waits for others.
const LONGEST_CALL: Duration = Duration::from_secs(30);

/// A plugin in a flight of its own.
pub struct Delivery {
    trial: Trial,
    method: Method,
    host: Rc<DryHost>,
    flight: Flight,
    /// Bytes that a runtime holds without the plugin.
    empty: usize,
    setup_milliseconds: Option<f64>,
}

/// What a dry run shows of what a call came to.
#[derive(Default)]
struct Outside {
    asked: Vec<Request>,
    returned: Option<Return>,
}

impl Delivery {
    pub fn new(trial: Trial, responses: Responses, method: Method) -> Self {
        let program = trial.link.program.clone();
        let host = Rc::new(DryHost::noting_requests(program.clone(), responses));
        let empty = empty_runtime(&host);
        let flight = Flight::new(host.clone(), program, settings::limits());
        Delivery { trial, method, host, flight, empty, setup_milliseconds: None }
    }

    /// Loads the plugin and sets it up, once.
    fn set_up(&mut self) {
        if self.setup_milliseconds.is_none() {
            let begin = Instant::now();
            self.flight.prepare(LONGEST_CALL);
            // A failure shows with the call.
            while !self.flight.is_ready() && self.flight.wake_at().is_some() {
                self.go_on();
            }
            self.setup_milliseconds = Some(milliseconds_since(begin));
        }
    }

    /// Waits until something can go on, and lets it.
    fn go_on(&mut self) -> Vec<(Ticket, Result<Return, Failure>)> {
        use engine::Host as _;
        let ended = self.flight.turn();
        self.host.rethrow();
        if ended.is_empty()
            && let Some(until) = self.flight.wake_at()
        {
            self.host.sleep(until);
            self.host.rethrow();
        }
        ended
    }

    fn wait_for(&mut self, ticket: Ticket) -> Result<Return, Failure> {
        loop {
            // Whatever else was left under way goes on meanwhile.
            let ended = self.go_on();
            if let Some((_, result)) = ended.into_iter().find(|(other, _)| *other == ticket) {
                return result;
            }
        }
    }
}

impl Rehearsal for Delivery {
    fn run(&mut self, given: &[u8]) -> error::Result<Run> {
        let call = self.method.call(given)?.ok_or(Error::EventIsNotAnObject)?;
        self.set_up();
        let begin = Instant::now();
        let ticket = self.flight.begin(call, LONGEST_CALL);
        let result = self.wait_for(ticket);
        let milliseconds = milliseconds_since(begin);
        let (returned, failure) = match result {
            Ok(returned) => (Some(returned), None),
            Err(failure) => (None, Some(failure)),
        };
        let outside = Outside { asked: self.host.take_asked(), returned };
        let bytes = self.flight.memory_peak().saturating_sub(self.empty);
        Ok(Run {
            effect: match &failure {
                None => Effect::Done,
                Some(failure) if failure.retriable => Effect::Retried,
                Some(_) => Effect::Failed,
            },
            next: Next::GoOn,
            result: Some(outside.shown(&self.trial.link.program)?),
            changes: listed(&[])?,
            lines: self.host.take_lines(),
            failure: failure.map(|failure| self.trial.locate(failure)),
            milliseconds,
            setup_milliseconds: self.setup_milliseconds.unwrap_or_default(),
            memory_bytes: i64::try_from(bytes).unwrap_or(i64::MAX),
        })
    }

    fn end(&mut self) -> Vec<Line> {
        let torn_down = self.flight.tear_down(LONGEST_CALL);
        let failure = torn_down.and_then(|ticket| self.wait_for(ticket).err());
        self.host.rethrow();
        let mut lines = self.host.take_lines();
        lines.extend(failure.map(|it| Line::error(format!("teardownPlugin failed: {it}"))));
        lines
    }
}

impl Outside {
    /// `{"requests": [...], "webhook": {...}, "settings": {...}}`, of which what is not there is left out.
    fn shown(&self, program: &Program) -> error::Result<Json> {
        let requests: Vec<Shown> =
            self.asked.iter().map(|request| Shown::of(request, program)).collect();
        let webhook = match &self.returned {
            Some(Return::Webhook(Some(request))) => Some(Shown::of(request, program)),
            _ => None,
        };
        let shown = Json::written(|out| {
            out.begin_object()?;
            if !requests.is_empty() {
                out.key("requests")?;
                out.begin_array()?;
                requests.iter().try_for_each(|request| request.write(out))?;
                out.end()?;
            }
            if let Some(webhook) = &webhook {
                out.key("webhook")?;
                webhook.write(out)?;
            }
            if let Some(Return::Settings(settings)) = &self.returned {
                out.key("settings")?;
                out.begin_object()?;
                out.key("handlesLargeBatches")?;
                out.bool(settings.handles_large_batches)?;
                out.end()?;
            }
            out.end()
        });
        shown.map_err(Error::Jsonb)
    }
}

/// A request without secrets, its body as readable as it can be.
struct Shown {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Option<Body>,
}

enum Body {
    Json(Json),
    Text(String),
    Base64(String),
}

impl Shown {
    fn of(request: &Request, program: &Program) -> Self {
        let masked = |text: &String| storable(program.redact(text.clone()));
        let headers = request.headers.iter().map(|(name, value)| (name.clone(), masked(value)));
        Shown {
            method: request.method.clone(),
            url: masked(&request.url),
            headers: headers.collect(),
            body: (!request.body.is_empty()).then(|| match str::from_utf8(&request.body) {
                Ok(text) => {
                    let text = masked(&text.to_owned());
                    let json = text.starts_with(['{', '[']).then(|| Json::parse(&text));
                    json.and_then(Result::ok).map_or(Body::Text(text), Body::Json)
                }
                Err(_) => Body::Base64(STANDARD.encode(&request.body)),
            }),
        }
    }

    fn write(&self, out: &mut Writer) -> jsonb::Result<()> {
        out.begin_object()?;
        for (key, text) in [("method", &self.method), ("url", &self.url)] {
            out.key(key)?;
            out.string(text)?;
        }
        if !self.headers.is_empty() {
            out.key("headers")?;
            out.begin_object()?;
            for (name, value) in &self.headers {
                out.key(name)?;
                out.string(value)?;
            }
            out.end()?;
        }
        match &self.body {
            None => {}
            Some(Body::Json(json)) => {
                out.key("body")?;
                out.splice(json.root()?)?;
            }
            Some(Body::Text(text)) => {
                out.key("body")?;
                out.string(text)?;
            }
            Some(Body::Base64(text)) => {
                out.key("base64")?;
                out.string(text)?;
            }
        }
        out.end()
    }
}

/// jsonb has no place for U+0000.
fn storable(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{FFFD}") } else { text }
}
