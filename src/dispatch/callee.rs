//! The plugin of a config as a worker calls it: one realm for everything that it is asked to do, each
//! call within its time, and what it fails of in the log.

use std::rc::Rc;
use std::time::{Duration, Instant};

use engine::{Call, Cause, Failure, FailureKind, Flight, Request, Return, Ticket};

use super::exchange::{Exchange, Mailbox};
use super::host::ConsumerHost;
use crate::backend::Link;
use crate::{journal, settings};

/// What was not the call's fault is tried again after that; a plugin that cannot be set up says so
/// itself for longer.
const PATIENCE: Duration = Duration::from_secs(1);

pub struct Callee {
    exchange: Rc<Exchange>,
    host: Rc<ConsumerHost>,
    link: Rc<Link>,
    flight: Flight,
    /// Nothing is begun until then.
    held_until: Option<Instant>,
}

impl Callee {
    pub fn new(exchange: &Rc<Exchange>, link: Rc<Link>) -> Self {
        let host = Rc::new(ConsumerHost::new(exchange));
        let flight = Flight::new(host.clone(), link.program.clone(), settings::limits());
        Callee { exchange: exchange.clone(), host, link, flight, held_until: None }
    }

    pub fn link(&self) -> &Rc<Link> {
        &self.link
    }

    pub fn exchange(&self) -> &Rc<Exchange> {
        &self.exchange
    }

    pub fn config(&self) -> i32 {
        self.link.program.id
    }

    /// As [`crate::host::Interrupts::rethrow_unless_cancelled`].
    pub fn rethrow(&self) {
        self.host.rethrow();
    }

    /// Has nothing begin for a while: the database or the plugin cannot do it now.
    pub fn hold(&mut self) {
        self.held_until = Some(Instant::now() + PATIENCE);
    }

    /// Ends what [`Callee::hold`] has begun.
    pub fn release(&mut self) {
        self.held_until = None;
    }

    /// Ends it if it has lasted long enough.
    pub fn release_in_time(&mut self) {
        self.held_until.take_if(|until| *until <= Instant::now());
    }

    pub fn held_until(&self) -> Option<Instant> {
        self.held_until
    }

    /// Whether anything may begin.
    pub fn is_free(&self) -> bool {
        settings::enabled() && self.held_until.is_none()
    }

    /// Whether there is room for another call as well.
    pub fn can_begin(&self) -> bool {
        self.is_free() && self.flight.has_room()
    }

    /// Begins a call that has so long.
    pub fn begin(&mut self, call: Call, time: Duration) -> Ticket {
        self.begin_caused(call, Cause::default(), time)
    }

    /// The same for one that something has led to.
    pub fn begin_caused(&mut self, call: Call, cause: Cause, time: Duration) -> Ticket {
        self.flight.begin_caused(call, cause, time)
    }

    /// Sends a request for the plugin; the answer goes to the mailbox.
    pub fn send(&self, request: Request, mailbox: &Rc<Mailbox>) -> Result<u64, String> {
        self.exchange.send(self.config(), request, mailbox)
    }

    /// Lets the plugin run, and returns the calls that have ended.
    pub fn turn(&mut self) -> Vec<(Ticket, Result<Return, Failure>)> {
        self.exchange.collect();
        self.flight.turn()
    }

    pub fn wake_at(&self) -> Option<Instant> {
        self.flight.wake_at()
    }

    pub fn is_idle(&self) -> bool {
        self.calls() == 0
    }

    /// How many calls are under way.
    pub fn calls(&self) -> usize {
        self.flight.in_flight()
    }

    pub fn tear_down(&mut self) -> Option<Ticket> {
        self.flight.tear_down(settings::delivery_timeout())
    }

    /// Whether the plugin could not be called, whatever with: that is to be begun once more, after a
    /// while.
    pub fn has_to_wait(&mut self, failure: &Failure) -> bool {
        use FailureKind::{Interrupted, NotLoaded, Suspended};
        if !matches!(failure.kind, NotLoaded | Suspended | Interrupted) {
            return false;
        }
        self.hold();
        if failure.kind == NotLoaded {
            self.tell(failure.clone(), None);
        }
        true
    }

    /// A failure for the log, with the event that it was about.
    pub fn tell(&self, failure: Failure, event: Option<&[u8]>) {
        let program = &self.link.program;
        if journal::is_due(program.id) {
            journal::failure(program.id, &program.plugin, failure, event);
        }
    }
}
