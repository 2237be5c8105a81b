//! What a consumer is given: its events from a source to the plugin, any number of them under way at
//! once, and what became of them back into the tables.

mod order;
mod reading;

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Instant;

use delivery::{Item, Order, Progress, Rate};
use engine::{Call, Cause, Failure, Return, Settings, Ticket};

use super::callee::Callee;
use super::exchange::Mailbox;
use super::exports::Exports;
use super::source::{Mark, Source};
use super::webhook;
use crate::catalog::backfills::Backfill;
use crate::event::Event;
use crate::queue::consumer::{self, Consumer, Outcome, Queued, Retry, Room};
use crate::settings;
use crate::worker::{Next, transaction};
use order::order;

/// Events that are read in one transaction. Ten times as many take ten times as long.
const READ_AT_ONCE: Room = Room { events: 500, bytes: 4 << 20 };

/// Events that are read and not recorded: so many at most are delivered twice after a crash.
const MOST_OPEN: usize = 2000;

/// What they take in the worker's memory, when they are larger than most.
const MOST_OPEN_BYTES: usize = 16 << 20;

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
    /// If it gets events in order.
    order: Option<Order<Item>>,
    source: Source,
    progress: Progress<Queued, Outcome, Mark>,
    waiting: VecDeque<Waiting>,
    under_way: HashMap<Ticket, UnderWay>,
    exports: Exports,
    /// Webhooks that were sent, and where their answers arrive.
    sent: HashMap<u64, Item>,
    mailbox: Rc<Mailbox>,
    /// There may be something to read.
    more: bool,
    /// The consumer may have changed since it was read.
    looks: bool,
    /// Where the consumer is has yet to be found out.
    lost: bool,
    /// When an event that failed is due.
    retry_at: Option<Instant>,
    rate: Option<Rate>,
}

impl Deliveries {
    /// What is in the queue.
    pub fn new(callee: &mut Callee, consumer: Consumer) -> Self {
        let source = Source::queue(&consumer);
        Self::from(callee, consumer, source)
    }

    /// Stored rows that are given besides.
    pub fn stored(callee: &mut Callee, consumer: Consumer, backfill: Backfill) -> Self {
        Self::from(callee, consumer, Source::stored(backfill))
    }

    fn from(callee: &mut Callee, consumer: Consumer, source: Source) -> Self {
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
            rate: rate(&consumer, &source),
            order: order(&consumer),
            consumer,
            source,
            progress: Progress::default(),
            waiting: VecDeque::new(),
            under_way,
            sent: HashMap::new(),
            mailbox: Rc::default(),
            more: true,
            looks: false,
            lost: false,
            retry_at: None,
        }
    }

    /// There may be something new in the queue, or to be known of the consumer.
    pub fn look(&mut self) {
        self.more |= self.source.backfill().is_none();
        self.looks = true;
    }

    /// The number of the backfill, if it is one.
    pub fn backfill(&self) -> Option<i64> {
        self.source.backfill()
    }

    /// Reads no more of a backfill; what was read is given.
    pub fn stop(&mut self) {
        self.source.stop();
        self.more = false;
    }

    /// Reads again after [`Deliveries::stop`].
    pub fn go_on(&mut self) {
        self.more |= self.source.go_on();
    }

    /// Gives no more of what was read.
    pub fn drop_waiting(&mut self) {
        self.waiting.clear();
        self.exports.take();
    }

    /// Whether nothing is under way or waits to be.
    pub fn is_over(&self) -> bool {
        let has_ended = !self.more && self.sent.is_empty() && self.under_way.is_empty();
        has_ended && self.waiting.is_empty() && self.exports.due().is_none()
    }

    /// Whether nothing is awaited but calls.
    pub fn is_idle(&self) -> bool {
        self.sent.is_empty()
    }

    /// When there is something to begin, unless a call ends before.
    pub fn next(&self, callee: &Callee) -> Next {
        if self.can_begin(callee) || self.can_read(callee, Instant::now()) {
            return Next::Again;
        }
        let until = [
            callee.held_until().filter(|_| self.more || !self.waiting.is_empty()),
            self.retry_at,
            self.source.not_before().filter(|_| self.more && callee.is_free()),
            self.exports.due(),
            self.rate.as_ref().filter(|_| self.more && callee.is_free()).map(Rate::next),
        ];
        Next::Idle { until: until.into_iter().flatten().min() }
    }

    fn can_begin(&self, callee: &Callee) -> bool {
        let is_its_turn = match self.waiting.front() {
            None => false,
            Some(Waiting::One(..)) => true,
            // What belongs together may be in both.
            Some(Waiting::Export(_)) => self.order.is_none() || !self.exports_are_under_way(),
        };
        // A webhook is under way until it is answered.
        is_its_turn && callee.can_begin() && self.under_way.len() + self.sent.len() < MOST_CALLS
    }

    fn exports_are_under_way(&self) -> bool {
        let is_export = |what: &UnderWay| matches!(what, UnderWay::Deliver(Waiting::Export(_)));
        self.under_way.values().any(is_export)
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
        self.settle(item, Outcome::Delivered);
    }

    fn wait(&mut self, waiting: Waiting) {
        if let Waiting::One(_, item) = waiting {
            self.progress.hold(item);
        }
        self.waiting.push_back(waiting);
    }

    /// Begins as many calls as there is room for.
    pub fn begin(&mut self, callee: &mut Callee) {
        let is_due = self.exports.due().is_some_and(|due| due <= Instant::now());
        // Nor does it wait for events that are not read because of it.
        let is_in_the_way = self.more && !self.has_room();
        if (is_due || is_in_the_way)
            && let Some(batch) = self.exports.take()
        {
            self.waiting.push_back(Waiting::Export(batch));
        }
        while self.can_begin(callee)
            && let Some(waiting) = self.waiting.pop_front()
        {
            let (call, cause) = (self.call(&waiting), self.cause(&waiting));
            let ticket = callee.begin_caused(call, cause, settings::delivery_timeout());
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

    /// What has led to a call: of several events the longest way, and their team if they have one.
    fn cause(&self, waiting: &Waiting) -> Cause {
        let items = match waiting {
            Waiting::One(_, item) => std::slice::from_ref(item),
            Waiting::Export(items) => items,
        };
        let events = || items.iter().filter_map(|item| self.progress.event(*item));
        let mut teams = events().map(|queued| Event::of_payload(&queued.event.0).team());
        let first = teams.next().flatten();
        Cause {
            depth: events().map(|queued| queued.hops).max().unwrap_or_default(),
            team: first.filter(|team| teams.all(|other| other == Some(*team))),
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
                            let error = callee.link().program.redact(error);
                            self.tell(callee, Failure::of_delivery(error.clone()), Some(item));
                            self.settle(item, Outcome::Failed { retry: Retry::Later, error });
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
            let program = &callee.link().program;
            let outcome = webhook::outcome(answer.result, |text| program.redact(text));
            if let Outcome::Failed { error, .. } = &outcome {
                self.tell(callee, Failure::of_delivery(error.clone()), Some(item));
            }
            self.settle(item, outcome);
        }
    }

    fn let_go(&mut self, waiting: &Waiting, outcome: &Outcome) {
        match waiting {
            Waiting::One(_, item) => self.settle(*item, outcome.clone()),
            Waiting::Export(items) => {
                for item in items {
                    self.settle(*item, outcome.clone());
                }
                if outcome.is_to_be_tried_again() {
                    self.put_those_after_behind(items);
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
        while let Some((mark, outcomes)) = self.progress.take_done() {
            recorded = Recorded::Some;
            // The next look finds when it is due again, or what was behind it.
            let is_due = |(event, outcome): &(Queued, Outcome)| {
                let was_behind = self.order.is_some() && event.retry().is_some();
                *outcome != Outcome::Delivered || was_behind
            };
            self.more |= self.source.backfill().is_none() && outcomes.iter().any(is_due);
            let Deliveries { consumer, source, .. } = self;
            let kept =
                transaction(c"recording deliveries", || source.record(consumer, &mark, &outcomes));
            match kept {
                Some(true) => {
                    self.source.recorded(&mut self.consumer, mark);
                    self.unblock(&outcomes);
                }
                // Put elsewhere: it is read again from where the tables have it.
                Some(false) => return self.start_anew(callee),
                // Not written: likewise, but what fails once more is not to be given to the plugin over
                // and over.
                None => {
                    let recorded = self.start_anew(callee);
                    callee.hold();
                    return recorded;
                }
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
        self.more = true;
        self.lost = true;
        let config = callee.config();
        let found = transaction(c"looking where a consumer is", || consumer::find(config));
        match found {
            Some(Some(consumer)) => {
                if !self.source.start_anew(&consumer) {
                    return Recorded::Gone;
                }
                self.rate = rate(&consumer, &self.source);
                self.order = order(&consumer);
                self.consumer = consumer;
                self.looks = false;
                self.lost = false;
            }
            Some(None) => return Recorded::Gone,
            None => callee.hold(),
        }
        Recorded::Some
    }
}

fn rate(consumer: &Consumer, source: &Source) -> Option<Rate> {
    let rate = source.rate().or(consumer.filter.rate);
    rate.map(|rate| Rate::new(rate, Instant::now()))
}
