//! The host of a dry run: keeps what the plugin logs, and answers its requests from a list. What the
//! plugin stores it reads again; nobody else does, and nothing is written.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

use engine::store::{Key, Ledger, Operation, Refusal, Reply as Stored};
use engine::{Answer, Cause, Host, LogLine, Program, Request, Task};

use super::responses::{Reply, Responses};
use crate::catalog::kept;
use crate::error::{Error, Result};
use crate::host::Interrupts;
use crate::json::Json;
use crate::{geoip, store};

/// What the requests of a dry run take together: more cannot be read.
const MOST_ASKED_BYTES: usize = 4 << 20;

/// About what a request takes without its body.
const REQUEST_BYTES: usize = 512;

/// A line of the console.
pub struct Line {
    pub level: String,
    pub message: String,
}

impl Line {
    pub fn error(message: String) -> Self {
        Line { level: "ERROR".to_owned(), message }
    }

    /// `[{"level", "message"}]`
    pub fn list(lines: &[Line]) -> Result<Json> {
        let list = Json::written(|out| {
            out.begin_array()?;
            for Line { level, message } in lines {
                out.begin_object()?;
                for (key, text) in [("level", level), ("message", message)] {
                    out.key(key)?;
                    out.string(text)?;
                }
                out.end()?;
            }
            out.end()
        });
        list.map_err(Error::Jsonb)
    }
}

pub struct DryHost {
    interrupts: Interrupts,
    lines: RefCell<Vec<Line>>,
    /// Whose secrets no answer may depend on: who writes the answers could find them out by trying.
    program: Rc<Program>,
    responses: Responses,
    /// Replies that the plugin has yet to take. They are made into responses one by one: a short
    /// request can ask for a long one.
    waiting: RefCell<VecDeque<(u64, String, Rc<Reply>)>>,
    sent: Cell<u64>,
    /// What the plugin asked of others, if that is to be shown.
    asked: RefCell<Option<Vec<Request>>>,
    asked_bytes: Cell<usize>,
    ledger: RefCell<Ledger>,
}

impl DryHost {
    pub fn new(program: Rc<Program>, responses: Responses) -> Self {
        DryHost {
            program,
            interrupts: Interrupts::default(),
            lines: RefCell::default(),
            responses,
            waiting: RefCell::default(),
            sent: Cell::default(),
            asked: RefCell::default(),
            asked_bytes: Cell::default(),
            ledger: RefCell::default(),
        }
    }

    /// The same for a dry run that shows what the plugin asks of others.
    pub fn noting_requests(program: Rc<Program>, responses: Responses) -> Self {
        let host = DryHost::new(program, responses);
        host.asked.replace(Some(Vec::new()));
        host
    }

    /// What the plugin has asked since this was last called.
    pub fn take_asked(&self) -> Vec<Request> {
        self.asked_bytes.set(0);
        self.asked.borrow_mut().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Keeps a request to be shown, unless that becomes too much.
    fn note(&self, request: &Request) -> std::result::Result<(), String> {
        let Some(asked) = &mut *self.asked.borrow_mut() else { return Ok(()) };
        self.asked_bytes.set(self.asked_bytes.get() + REQUEST_BYTES + request.body.len());
        if self.asked_bytes.get() > MOST_ASKED_BYTES {
            return Err("a dry run shows no more requests than this".to_owned());
        }
        asked.push(request.clone());
        Ok(())
    }

    /// As [`Interrupts::rethrow`].
    pub fn rethrow(&self) {
        self.interrupts.rethrow();
    }

    pub fn take_lines(&self) -> Vec<Line> {
        self.lines.take()
    }
}

impl Host for DryHost {
    fn interrupted(&self) -> bool {
        self.interrupts.are_pending()
    }

    fn log(&self, line: LogLine<'_>) {
        let LogLine { level, message, .. } = line;
        let line = Line { level: level.to_string(), message: message.to_owned() };
        self.lines.borrow_mut().push(line);
    }

    fn send(&self, _program: i32, request: Request) -> std::result::Result<u64, String> {
        self.note(&request)?;
        let masked = self.program.redact(request.url.clone());
        let reply = self.responses.reply(&request.method, &masked)?;
        let number = self.sent.get() + 1;
        self.sent.set(number);
        self.waiting.borrow_mut().push_back((number, request.url, reply));
        Ok(number)
    }

    fn next_answer(&self, _until: Option<Instant>) -> Option<Answer> {
        let (number, url, reply) = self.waiting.borrow_mut().pop_front()?;
        Some(Answer { request: number, result: reply.to(url) })
    }

    fn sleep(&self, until: Instant) {
        self.interrupts.sleep(until);
    }

    fn cancel(&self, request: u64) {
        self.waiting.borrow_mut().retain(|(number, ..)| *number != request);
    }

    fn store(
        &self,
        program: &Program,
        operation: Operation,
    ) -> std::result::Result<Stored, Refusal> {
        let Operation { place, key, action } = operation;
        let key = Key::of(program, place, key);
        if !self.ledger.borrow().is_enough_for(&key, &action) {
            // What is not installed and configured sees nothing of what is.
            let (state, rows) = match program.id {
                0 => (None, 0),
                _ => self.interrupts.shield(|| Ok(store::read(&key)))?,
            };
            self.ledger.borrow_mut().adopt(&key, state, rows);
        }
        self.ledger.borrow_mut().perform(key, action, Ledger::TOP, kept::now())
    }

    fn leave(&self, program: &Program, task: Task, _: Cause) -> std::result::Result<(), Refusal> {
        let message = match task {
            Task::Job { name, payload, .. } => format!("job {name}: {payload}"),
            Task::Event(event) => format!("captured: {event}"),
        };
        let message = program.redact(message);
        self.lines.borrow_mut().push(Line { level: "INFO".to_owned(), message });
        Ok(())
    }

    fn locate(&self, address: &str) -> std::result::Result<Option<String>, Refusal> {
        geoip::locate(address)
    }
}
