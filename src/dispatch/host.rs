//! What a consumer's plugin meets: as in the chain, but for transactions. None is open while it runs:
//! what it stores or leaves for later is committed at once.

use std::rc::Rc;
use std::time::Instant;

use engine::store::{Operation, Refusal, Reply};
use engine::{Answer, Cause, Host, LogLine, Metric, Program, Request, Task};

use super::exchange::{Exchange, Mailbox};
use crate::host::Interrupts;
use crate::worker::transaction;
use crate::{geoip, journal, metrics, store};

const FAILED: &str = "58000"; // system_error

pub struct ConsumerHost {
    interrupts: Interrupts,
    exchange: Rc<Exchange>,
    mailbox: Rc<Mailbox>,
}

impl ConsumerHost {
    pub fn new(exchange: &Rc<Exchange>) -> Self {
        ConsumerHost {
            interrupts: Interrupts::default(),
            exchange: exchange.clone(),
            mailbox: Rc::default(),
        }
    }

    /// As [`Interrupts::rethrow_unless_cancelled`].
    pub fn rethrow(&self) {
        self.interrupts.rethrow_unless_cancelled();
    }
}

impl Host for ConsumerHost {
    fn interrupted(&self) -> bool {
        self.interrupts.are_pending()
    }

    fn log(&self, line: LogLine<'_>) {
        journal::console(line);
    }

    fn send(&self, program: i32, request: Request) -> Result<u64, String> {
        self.exchange.send(program, request, &self.mailbox)
    }

    /// Never waits: the worker does, for all consumers.
    fn next_answer(&self, _until: Option<Instant>) -> Option<Answer> {
        self.mailbox.borrow_mut().pop_front()
    }

    fn cancel(&self, request: u64) {
        self.exchange.cancel(request);
    }

    fn store(&self, program: &Program, operation: Operation) -> Result<Reply, Refusal> {
        let done = transaction(c"storing for a plugin", || Ok(store::perform(program, operation)));
        done.unwrap_or_else(|| Err(failed()))
    }

    fn leave(&self, program: &Program, task: Task, cause: Cause) -> Result<(), Refusal> {
        let done = transaction(c"storing for a plugin", || Ok(store::leave(program, task, cause)));
        done.unwrap_or_else(|| Err(failed()))
    }

    fn measure(&self, program: &Program, metric: &Metric, value: f64) {
        metrics::measure(program.id, metric, value);
    }

    fn locate(&self, address: &str) -> Result<Option<String>, Refusal> {
        geoip::locate(address)
    }
}

/// The server's log has the reason.
fn failed() -> Refusal {
    Refusal::new(FAILED, "the transaction failed")
}
