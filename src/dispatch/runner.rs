//! A consumer that this worker serves: its events from the queue to the plugin, any number of them
//! under way at once, and what became of them back into the tables.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use delivery::{Cursor, Filter, Item, Progress, Rate};
use engine::{Call, Failure, FailureKind, Flight, Return, Settings, Ticket};

use super::exchange::{Exchange, Mailbox};
use super::exports::Exports;
use super::host::ConsumerHost;
use super::webhook;
use crate::backend::{self, Link};
use crate::event::Event;
use crate::queue::consumer::{self, Batch, Consumer, Origin, Outcome, Queued, Retry, Room};
use crate::worker::{Next, transaction};
use crate::{journal, settings};

/// Events that are read in one transaction. Ten times as many take ten times as long.
const READ_AT_ONCE: Room = Room { events: 500, bytes: 4 << 20 };

/// Events that are read and not recorded: so many at most are delivered twice after a crash.
const MOST_OPEN: usize = 2000;

/// What they take in the worker's memory, when they are larger than most.
const MOST_OPEN_BYTES: usize = 16 << 20;

/// Calls under way at once: what a server that takes a second for each answer needs to keep up with a
/// hundred events a second.
const MOST_CALLS: usize = 100;

/// What was not the event's fault is tried again after that; a plugin that cannot be set up says so
/// itself for longer.
const PATIENCE: Duration = Duration::from_secs(1);

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

/// Which of the functions the plugin has.
struct Methods {
    on_event: bool,
    on_snapshot: bool,
    compose_webhook: bool,
    export_events: bool,
}

pub struct Runner {
    exchange: Rc<Exchange>,
    host: Rc<ConsumerHost>,
    link: Rc<Link>,
    methods: Methods,
    consumer: Consumer,
    /// How far was read.
    read: Cursor,
    flight: Flight,
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
    /// Nothing is begun until then.
    held_until: Option<Instant>,
    rate: Option<Rate>,
    /// What comes after this one's calls have ended: itself with other settings, or nothing.
    ending: Option<Option<Rc<Link>>>,
    /// The plugin is being torn down.
    teardown: Option<Ticket>,
}

impl Runner {
    pub fn new(exchange: &Rc<Exchange>, link: Rc<Link>, consumer: Consumer) -> Self {
        let host = Rc::new(ConsumerHost::new(exchange));
        let mut flight = Flight::new(host.clone(), link.program.clone(), settings::limits());
        let has = |name: &str| consumer.methods.iter().any(|method| method == name);
        let methods = Methods {
            on_event: has("onEvent"),
            on_snapshot: has("onSnapshot"),
            compose_webhook: has("composeWebhook"),
            export_events: has("exportEvents"),
        };
        let mut under_way = HashMap::new();
        if methods.export_events && has("getSettings") {
            let ticket = flight.begin(Call::GetSettings, settings::delivery_timeout());
            under_way.insert(ticket, UnderWay::Settings);
        }
        Runner {
            exchange: exchange.clone(),
            host,
            exports: Exports::new(&link.program.config),
            methods,
            read: consumer.cursor.clone(),
            rate: rate(&consumer.filter),
            consumer,
            link,
            flight,
            progress: Progress::default(),
            waiting: VecDeque::new(),
            under_way,
            sent: HashMap::new(),
            mailbox: Rc::default(),
            more: true,
            retry_at: None,
            held_until: None,
            ending: None,
            teardown: None,
        }
    }

    pub fn config(&self) -> i32 {
        self.link.program.id
    }

    /// There may be something new in the queue.
    pub fn look(&mut self) {
        self.more = true;
    }

    /// Goes on with the config as it is now; without a link or a consumer, it is no more.
    pub fn follow(&mut self, link: Option<&Rc<Link>>, consumer: Option<&Consumer>) {
        let link = link.filter(|_| consumer.is_some());
        let is_same = link.is_some_and(|link| link.is_what_was(&self.link));
        self.ending = if is_same { None } else { Some(link.cloned()) };
        self.held_until = None;
        if let Some(Consumer { filter, filter_role, .. }) = consumer
            && (filter, filter_role) != (&self.consumer.filter, &self.consumer.filter_role)
        {
            self.rate = rate(filter);
            self.consumer.filter = filter.clone();
            self.consumer.filter_role = *filter_role;
        }
    }

    /// Whether it can be forgotten.
    pub fn is_over(&self) -> bool {
        matches!(self.ending, Some(None)) && self.is_idle() && self.teardown.is_none()
    }

    fn is_idle(&self) -> bool {
        self.flight.in_flight() == 0 && self.sent.is_empty()
    }

    /// Does what can be done without waiting. Returns when there is more, and whether something was
    /// recorded.
    pub fn work(&mut self) -> (Next, bool) {
        self.host.rethrow();
        if self.ending.is_none() {
            self.read();
            self.begin();
        }
        self.turn();
        let recorded = self.record();
        if self.ending.is_some() && self.is_idle() {
            self.end();
        }
        (self.next(), recorded)
    }

    fn next(&self) -> Next {
        let until = [
            self.flight.wake_at(),
            self.held_until.filter(|_| self.more || !self.waiting.is_empty()),
            self.retry_at,
            self.exports.due(),
            self.rate.as_ref().filter(|_| self.more).map(Rate::next),
        ];
        let can_begin =
            self.held_until.is_none() && !self.waiting.is_empty() && self.has_room_for_calls();
        if self.ending.is_none() && (can_begin || self.can_read(Instant::now())) {
            return Next::Again;
        }
        Next::Idle { until: until.into_iter().flatten().min() }
    }

    fn can_read(&self, now: Instant) -> bool {
        let is_allowed = self.rate.as_ref().is_none_or(|rate| rate.next() <= now);
        self.more && is_allowed && self.has_room() && self.held_until.is_none()
    }

    /// For what is read at once.
    fn has_room(&self) -> bool {
        self.progress.len() + READ_AT_ONCE.events <= MOST_OPEN
            && self.progress.bytes() < MOST_OPEN_BYTES
    }

    /// A webhook is under way until it is answered.
    fn has_room_for_calls(&self) -> bool {
        self.under_way.len() + self.sent.len() < MOST_CALLS && self.flight.has_room()
    }

    /// Reads what is to be delivered next.
    fn read(&mut self) {
        let now = Instant::now();
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            self.more = true;
        }
        if self.held_until.is_some_and(|until| until <= now) {
            self.held_until = None;
        }
        if !self.can_read(now) {
            return;
        }
        let allowed = self.rate.as_mut().map_or(usize::MAX, |rate| rate.available(now));
        let room = Room { events: READ_AT_ONCE.events.min(allowed).max(1), ..READ_AT_ONCE };
        let retries: Vec<i64> = self
            .progress
            .events()
            .filter_map(|event| match event.origin {
                Origin::Retry { id, .. } => Some(id),
                Origin::Queue(_) => None,
            })
            .collect();
        let Runner { consumer, read, .. } = self;
        let found = transaction(c"reading the queue", || {
            // What was stored after a change is for the plugin as it is since.
            if backend::is_stale() {
                return Ok(None);
            }
            let batch = consumer::next_batch(consumer, read, room, &retries)?;
            let under_way: Vec<i64> =
                batch.events.iter().filter_map(retry_id).chain(retries).collect();
            let retry = consumer::next_retry(consumer.config_id, &under_way)?;
            Ok(Some((batch, retry)))
        });
        let (batch, retry) = match found {
            Some(Some(found)) => found,
            // The duty looks after that first.
            Some(None) | None => {
                self.held_until = Some(now + PATIENCE);
                return;
            }
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
        let bytes = events.iter().map(|queued| queued.event.0.len()).sum();
        let items = self.progress.add(cursor, events, bytes);
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
    fn begin(&mut self) {
        let is_due = self.exports.due().is_some_and(|due| due <= Instant::now());
        // Nor does it wait for events that are not read because of it.
        let is_in_the_way = self.more && !self.has_room();
        if (is_due || is_in_the_way)
            && let Some(batch) = self.exports.take()
        {
            self.waiting.push_back(Waiting::Export(batch));
        }
        if self.held_until.is_some() {
            return;
        }
        let time = settings::delivery_timeout();
        while self.has_room_for_calls()
            && let Some(waiting) = self.waiting.pop_front()
        {
            let call = self.call(&waiting);
            let ticket = self.flight.begin(call, time);
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

    /// Lets the plugin run, and takes what has ended.
    fn turn(&mut self) {
        self.exchange.collect();
        for (ticket, result) in self.flight.turn() {
            if self.teardown == Some(ticket) {
                self.teardown = None;
                if let Err(failure) = result {
                    self.tell(failure, None);
                }
                continue;
            }
            match self.under_way.remove(&ticket) {
                Some(UnderWay::Settings) => {
                    if let Ok(Return::Settings(Settings { handles_large_batches: true })) = result {
                        self.exports.enlarge();
                    }
                }
                Some(UnderWay::Deliver(waiting)) => self.ended(waiting, result),
                None => {}
            }
        }
        loop {
            let Some(answer) = self.mailbox.borrow_mut().pop_front() else { break };
            let Some(item) = self.sent.remove(&answer.request) else { continue };
            let outcome = webhook::outcome(answer.result);
            if let Outcome::Failed { error, .. } = &outcome {
                let error = self.link.program.redact(error.clone());
                self.tell(Failure::of_delivery(error), Some(item));
            }
            self.progress.let_go(item, outcome);
        }
    }

    /// A call has ended.
    fn ended(&mut self, waiting: Waiting, result: Result<Return, Failure>) {
        let failure = match result {
            Ok(Return::Webhook(Some(request))) => {
                if let Waiting::One(_, item) = waiting {
                    match self.exchange.send(self.config(), request, &self.mailbox) {
                        Ok(number) => drop(self.sent.insert(number, item)),
                        Err(error) => {
                            self.tell(Failure::of_delivery(error.clone()), Some(item));
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
        if is_not_its_fault(failure.kind) {
            // In its place again, for when the plugin can be called.
            self.waiting.push_front(waiting);
            self.held_until = Some(Instant::now() + PATIENCE);
            if failure.kind == FailureKind::NotLoaded {
                self.tell(failure, None);
            }
            return;
        }
        let retry = if failure.retriable { Retry::Later } else { Retry::Never };
        let outcome = Outcome::Failed { retry, error: failure.message.clone() };
        self.let_go(&waiting, &outcome);
        let item = match &waiting {
            Waiting::One(_, item) => Some(*item),
            Waiting::Export(items) => items.first().copied(),
        };
        self.tell(failure, item);
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

    /// A failure for the log.
    fn tell(&self, failure: Failure, item: Option<Item>) {
        let program = &self.link.program;
        if journal::is_due(program.id) {
            let event = item.and_then(|item| self.progress.event(item));
            let event = event.map(|queued| queued.event.0.as_slice());
            journal::failure(program.id, &program.plugin, failure, event);
        }
    }

    /// Writes down what became of pieces that are done. Whether there were any.
    fn record(&mut self) -> bool {
        let mut recorded = false;
        while let Some((cursor, outcomes)) = self.progress.take_done() {
            recorded = true;
            // The next look finds when it is due again.
            self.more |= outcomes.iter().any(|(_, outcome)| *outcome != Outcome::Delivered);
            let consumer = &self.consumer;
            let kept = transaction(c"recording deliveries", || {
                consumer::record(consumer, &cursor, &outcomes)
            });
            match kept {
                Some(true) => self.consumer.cursor = cursor,
                // Put elsewhere, or not written: it is read again from where the tables have it.
                Some(false) | None => {
                    self.start_anew();
                    break;
                }
            }
        }
        recorded
    }

    /// Forgets what is under way, and begins where the tables say.
    fn start_anew(&mut self) {
        self.progress = Progress::default();
        self.waiting.clear();
        self.under_way.retain(|_, what| matches!(what, UnderWay::Settings));
        self.sent.clear();
        self.exports.take();
        let config = self.config();
        let found = transaction(c"looking where a consumer is", || consumer::find(config));
        match found {
            Some(Some(consumer)) => {
                self.read = consumer.cursor.clone();
                self.consumer = consumer;
                self.more = true;
            }
            Some(None) => self.ending = Some(None),
            None => self.held_until = Some(Instant::now() + PATIENCE),
        }
    }

    /// All calls have ended: tears the plugin down, and goes on as what it is now.
    fn end(&mut self) {
        if self.teardown.is_some() {
            return;
        }
        self.teardown = self.flight.tear_down(settings::delivery_timeout());
        if self.teardown.is_some() {
            return;
        }
        if let Some(Some(link)) = self.ending.take() {
            let config = self.config();
            let found = transaction(c"looking where a consumer is", || consumer::find(config));
            match found {
                Some(Some(consumer)) => {
                    let old = std::mem::replace(
                        self,
                        Runner::new(&self.exchange.clone(), link, consumer),
                    );
                    drop(old);
                }
                _ => self.ending = Some(None),
            }
        } else {
            self.ending = Some(None);
        }
    }
}

fn rate(filter: &Filter) -> Option<Rate> {
    filter.rate.map(|rate| Rate::new(rate, Instant::now()))
}

fn retry_id(event: &Queued) -> Option<i64> {
    match event.origin {
        Origin::Retry { id, .. } => Some(id),
        Origin::Queue(_) => None,
    }
}

/// The plugin could not be called, whatever the event.
fn is_not_its_fault(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::NotLoaded | FailureKind::Suspended | FailureKind::Interrupted)
}
