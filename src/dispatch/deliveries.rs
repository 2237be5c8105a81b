//! What a consumer is given: its events from the queue to the plugin, any number of them under way at
//! once, and what became of them back into the tables.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Instant;

use delivery::{Cursor, Item, Progress, Rate};
use engine::{Call, Failure, Return, Settings, Ticket};

use super::callee::Callee;
use super::exchange::Mailbox;
use super::exports::Exports;
use super::webhook;
use crate::event::Event;
use crate::queue::consumer::{self, Batch, Consumer, Origin, Outcome, Queued, Retry};
use crate::worker::{Next, transaction};
use crate::{backend, settings};

/// Events that are read in one transaction. Ten times as many take ten times as long.
const READ_AT_ONCE: usize = 500;

/// Events that are read and not recorded: so many at most are delivered twice after a crash.
const MOST_OPEN: usize = 2000;

/// Calls under way at once: what a server that takes a second for each answer needs to keep up with a
/// hundred events a second.
const MOST_CALLS: usize = 100;

/// A function that is called for each event.
#[derive(Debug, Clone, Copy)]
enum Method {
    OnEvent,
    OnSnapshot,
    ComposeWebhook,
}

/// A call that has yet to begin.
enum Waiting {
    One(Method, Item),
    Export(Vec<Item>),
}

/// What a ticket is about.
enum UnderWay {
    Settings,
    Deliver(Waiting),
}

/// What there was to be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    Nothing,
    Some,
    /// The consumer is no more.
    Gone,
}

/// Which of the functions the plugin has.
struct Methods {
    on_event: bool,
    on_snapshot: bool,
    compose_webhook: bool,
    export_events: bool,
}

pub struct Deliveries {
    methods: Methods,
    consumer: Consumer,
    /// How far was read.
    read: Cursor,
    progress: Progress<Queued, Outcome>,
    waiting: VecDeque<Waiting>,
    under_way: HashMap<Ticket, UnderWay>,
    exports: Exports,
    /// Webhooks that were sent, and where their answers arrive.
    sent: HashMap<u64, Item>,
    mailbox: Rc<Mailbox>,
    /// There may be something to read.
    more: bool,
    /// When an event that failed is due.
    retry_at: Option<Instant>,
    rate: Option<Rate>,
}

impl Deliveries {
    pub fn new(callee: &mut Callee, consumer: Consumer) -> Self {
        let has = |name: &str| consumer.methods.iter().any(|method| method == name);
        let methods = Methods {
            on_event: has("onEvent"),
            on_snapshot: has("onSnapshot"),
            compose_webhook: has("composeWebhook"),
            export_events: has("exportEvents"),
        };
        let mut under_way = HashMap::new();
        if methods.export_events && has("getSettings") {
            under_way.insert(
                callee.begin(Call::GetSettings, settings::delivery_timeout()),
                UnderWay::Settings,
            );
        }
        Deliveries {
            exports: Exports::new(&callee.link().program.config),
            methods,
            read: consumer.cursor.clone(),
            rate: consumer.filter.rate.map(|rate| Rate::new(rate, Instant::now())),
            consumer,
            progress: Progress::default(),
            waiting: VecDeque::new(),
            under_way,
            sent: HashMap::new(),
            mailbox: Rc::default(),
            more: true,
            retry_at: None,
        }
    }

    /// There may be something new in the queue.
    pub fn look(&mut self) {
        self.more = true;
    }

    /// Whether nothing is awaited but calls.
    pub fn is_idle(&self) -> bool {
        self.sent.is_empty()
    }

    /// When there is something to begin, unless a call ends before.
    pub fn next(&self, callee: &Callee) -> Next {
        let can_begin =
            callee.can_begin() && !self.waiting.is_empty() && self.under_way.len() < MOST_CALLS;
        if can_begin || self.can_read(callee, Instant::now()) {
            return Next::Again;
        }
        let until = [
            callee.held_until().filter(|_| self.more || !self.waiting.is_empty()),
            self.retry_at,
            self.exports.due(),
            self.rate.as_ref().filter(|_| self.more && callee.is_free()).map(Rate::next),
        ];
        Next::Idle { until: until.into_iter().flatten().min() }
    }

    fn can_read(&self, callee: &Callee, now: Instant) -> bool {
        let is_allowed = self.rate.as_ref().is_none_or(|rate| rate.next() <= now);
        let has_room = self.progress.len() + READ_AT_ONCE <= MOST_OPEN;
        self.more && is_allowed && has_room && callee.is_free()
    }

    /// Reads what is to be delivered next.
    pub fn read(&mut self, callee: &mut Callee) {
        let now = Instant::now();
        if self.retry_at.take_if(|at| *at <= now).is_some() {
            self.more = true;
        }
        if !self.can_read(callee, now) {
            return;
        }
        let allowed = self.rate.as_mut().map_or(usize::MAX, |rate| rate.available(now));
        let most = READ_AT_ONCE.min(allowed).max(1);
        let retries: Vec<i64> = self
            .progress
            .events()
            .filter_map(|event| match event.origin {
                Origin::Retry { id, .. } => Some(id),
                Origin::Queue(_) => None,
            })
            .collect();
        let Deliveries { consumer, read, .. } = self;
        let found = transaction(c"reading the queue", || {
            // What was stored after a change is for the plugin as it is since.
            if backend::is_stale() {
                return Ok(None);
            }
            let batch = consumer::next_batch(consumer, read, most, &retries)?;
            let under_way: Vec<i64> =
                batch.events.iter().filter_map(retry_id).chain(retries).collect();
            let retry = consumer::next_retry(consumer.config_id, &under_way)?;
            Ok(Some((batch, retry)))
        });
        let (batch, retry) = match found {
            Some(Some(found)) => found,
            // The duty looks after that first.
            Some(None) | None => return callee.hold(),
        };
        self.more = batch.is_full;
        self.retry_at = retry.map(|delay| now + delay);
        if let Some(rate) = &mut self.rate {
            rate.take(batch.events.len());
        }
        self.accept(batch);
    }

    /// Takes what was read.
    fn accept(&mut self, batch: Batch) {
        let Batch { mut events, refused, cursor, .. } = batch;
        let is_nothing = events.is_empty() && refused.is_empty() && cursor == self.read;
        if is_nothing {
            return;
        }
        self.read = cursor.clone();
        let wanted = events.len();
        let (others, reasons): (Vec<_>, Vec<_>) = refused.into_iter().unzip();
        events.extend(others);
        let items = self.progress.add(cursor, events);
        let now = Instant::now();
        for (place, item) in items.iter().enumerate() {
            match place.checked_sub(wanted) {
                None => self.plan(*item, now),
                Some(refused) => {
                    let error = reasons.get(refused).cloned().unwrap_or_default();
                    self.progress.let_go(*item, Outcome::Failed { retry: Retry::Never, error });
                }
            }
        }
    }

    /// Decides which functions get an event.
    fn plan(&mut self, item: Item, now: Instant) {
        let Some(queued) = self.progress.event(item) else { return };
        let event = Event::of_payload(&queued.event.0);
        let (name, size) = (event.name().unwrap_or_default(), queued.event.0.len());
        if name == "$snapshot" {
            if self.methods.on_snapshot {
                self.wait(Waiting::One(Method::OnSnapshot, item));
            }
        } else {
            if self.methods.on_event {
                self.wait(Waiting::One(Method::OnEvent, item));
            }
            if self.methods.compose_webhook {
                self.wait(Waiting::One(Method::ComposeWebhook, item));
            }
            if self.methods.export_events && self.exports.wants(&name) {
                self.progress.hold(item);
                for batch in self.exports.add(item, size, now) {
                    self.waiting.push_back(Waiting::Export(batch));
                }
            }
        }
        self.progress.let_go(item, Outcome::Delivered);
    }

    fn wait(&mut self, waiting: Waiting) {
        if let Waiting::One(_, item) = waiting {
            self.progress.hold(item);
        }
        self.waiting.push_back(waiting);
    }

    /// Begins as many calls as there is room for.
    pub fn begin(&mut self, callee: &mut Callee) {
        if self.exports.due().is_some_and(|due| due <= Instant::now())
            && let Some(batch) = self.exports.take()
        {
            self.waiting.push_back(Waiting::Export(batch));
        }
        while callee.can_begin()
            && self.under_way.len() < MOST_CALLS
            && let Some(waiting) = self.waiting.pop_front()
        {
            let ticket = callee.begin(self.call(&waiting), settings::delivery_timeout());
            self.under_way.insert(ticket, UnderWay::Deliver(waiting));
        }
    }

    fn call(&self, waiting: &Waiting) -> Call {
        let bytes = |item: &Item| {
            self.progress.event(*item).map_or_else(Vec::new, |queued| queued.event.0.clone())
        };
        match waiting {
            Waiting::One(Method::OnEvent, item) => Call::OnEvent(bytes(item)),
            Waiting::One(Method::OnSnapshot, item) => Call::OnSnapshot(bytes(item)),
            Waiting::One(Method::ComposeWebhook, item) => Call::ComposeWebhook(bytes(item)),
            Waiting::Export(items) => Call::ExportEvents(items.iter().map(bytes).collect()),
        }
    }

    /// Whether a call is one of these.
    pub fn know(&self, ticket: Ticket) -> bool {
        self.under_way.contains_key(&ticket)
    }

    /// One of these calls has ended.
    pub fn ended(&mut self, callee: &mut Callee, ticket: Ticket, result: Result<Return, Failure>) {
        let waiting = match self.under_way.remove(&ticket) {
            Some(UnderWay::Deliver(waiting)) => waiting,
            Some(UnderWay::Settings) => {
                if let Ok(Return::Settings(Settings { handles_large_batches: true })) = result {
                    self.exports.enlarge();
                }
                return;
            }
            None => return,
        };
        let failure = match result {
            Ok(Return::Webhook(Some(request))) => {
                if let Waiting::One(_, item) = waiting {
                    match callee.send(request, &self.mailbox) {
                        Ok(number) => drop(self.sent.insert(number, item)),
                        Err(error) => {
                            self.tell(callee, Failure::of_delivery(error.clone()), Some(item));
                            let retry = Retry::Later;
                            self.progress.let_go(item, Outcome::Failed { retry, error });
                        }
                    }
                }
                return;
            }
            Ok(_) => return self.let_go(&waiting, &Outcome::Delivered),
            Err(failure) => failure,
        };
        if callee.has_to_wait(&failure) {
            // In its place again, for when the plugin can be called.
            self.waiting.push_front(waiting);
            return;
        }
        let retry = if failure.retriable { Retry::Later } else { Retry::Never };
        let outcome = Outcome::Failed { retry, error: failure.message.clone() };
        self.let_go(&waiting, &outcome);
        let item = match &waiting {
            Waiting::One(_, item) => Some(*item),
            Waiting::Export(items) => items.first().copied(),
        };
        self.tell(callee, failure, item);
    }

    /// Takes the answers to webhooks.
    pub fn collect(&mut self, callee: &Callee) {
        loop {
            let Some(answer) = self.mailbox.borrow_mut().pop_front() else { break };
            let Some(item) = self.sent.remove(&answer.request) else { continue };
            let outcome = webhook::outcome(answer.result);
            if let Outcome::Failed { error, .. } = &outcome {
                let error = callee.link().program.redact(error.clone());
                self.tell(callee, Failure::of_delivery(error), Some(item));
            }
            self.progress.let_go(item, outcome);
        }
    }

    fn let_go(&mut self, waiting: &Waiting, outcome: &Outcome) {
        match waiting {
            Waiting::One(_, item) => self.progress.let_go(*item, outcome.clone()),
            Waiting::Export(items) => {
                for item in items {
                    self.progress.let_go(*item, outcome.clone());
                }
            }
        }
    }

    fn tell(&self, callee: &Callee, failure: Failure, item: Option<Item>) {
        let event = item.and_then(|item| self.progress.event(item));
        callee.tell(failure, event.map(|queued| queued.event.0.as_slice()));
    }

    /// Writes down what became of pieces that are done.
    pub fn record(&mut self, callee: &mut Callee) -> Recorded {
        let mut recorded = Recorded::Nothing;
        while let Some((cursor, outcomes)) = self.progress.take_done() {
            recorded = Recorded::Some;
            // The next look finds when it is due again.
            self.more |= outcomes.iter().any(|(_, outcome)| *outcome != Outcome::Delivered);
            let consumer = &self.consumer;
            let kept = transaction(c"recording deliveries", || {
                consumer::record(consumer, &cursor, &outcomes)
            });
            match kept {
                Some(true) => self.consumer.cursor = cursor,
                // Put elsewhere, or not written: it is read again from where the tables have it.
                Some(false) | None => return self.start_anew(callee),
            }
        }
        recorded
    }

    /// Forgets what is under way, and begins where the tables say.
    fn start_anew(&mut self, callee: &mut Callee) -> Recorded {
        self.progress = Progress::default();
        self.waiting.clear();
        self.under_way.retain(|_, what| matches!(what, UnderWay::Settings));
        self.sent.clear();
        self.exports.take();
        let config = callee.config();
        let found = transaction(c"looking where a consumer is", || consumer::find(config));
        match found {
            Some(Some(consumer)) => {
                self.read = consumer.cursor.clone();
                self.consumer = consumer;
                self.more = true;
            }
            Some(None) => return Recorded::Gone,
            None => callee.hold(),
        }
        Recorded::Some
    }
}

fn retry_id(event: &Queued) -> Option<i64> {
    match event.origin {
        Origin::Retry { id, .. } => Some(id),
        Origin::Queue(_) => None,
    }
}
