//! The executor: exchanges under way, driven on the caller's thread while it waits, and by no other.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::{LocalBoxFuture, poll_immediate};
use futures_util::stream::FuturesUnordered;
use rustls::pki_types::CertificateDer;
use tokio::runtime::Runtime;

use crate::error::Error;
use crate::exchange::{Request, Response, exchange};
use crate::names::{Names, SystemNames};
use crate::pool::Pool;
use crate::rules::Rules;
use crate::tls::Tls;

/// How often a wait asks whether it is to end: nobody who cancels a statement notices that it takes so
/// long. Asking took 0.2 ms, 2 % of a processor, in an unoptimised build on a busy machine.
const TICK: Duration = Duration::from_millis(10);

/// More requests of a sender than that wait for no others.
const MOST_WAITING: usize = 1000;

/// The process's, so that no answer is taken for one of an earlier client.
static LAST: AtomicU64 = AtomicU64::new(0);

/// What a client is made with.
#[derive(Default)]
pub struct Options {
    /// Connections that may wait for another request.
    pub idle: usize,
    /// Instead of the system's name servers.
    pub names: Option<Box<dyn Names>>,
    /// Instead of the certificates that the system trusts.
    pub roots: Option<Vec<CertificateDer<'static>>>,
}

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From the first connection to the last byte.
    pub time: Duration,
    /// Of a body, decoded.
    pub body_bytes: usize,
    /// Requests under way; others wait until one of them has been taken.
    pub at_once: usize,
    /// As many a sender may have under way even then: who waits for others that hang would hang as
    /// well.
    pub reserved: usize,
}

type Work = LocalBoxFuture<'static, Result<Response, Error>>;

pub struct Client {
    runtime: Runtime,
    world: Rc<World>,
    lanes: BTreeMap<i32, Lane>,
    slots: HashMap<u64, Rc<RefCell<Slot>>>,
    running: FuturesUnordered<Running>,
    /// What [`Client::wait`] has seen end.
    ended: Option<Ended>,
}

/// The exchanges of one sender.
#[derive(Default)]
struct Lane {
    waiting: VecDeque<Waiting>,
    under_way: usize,
}

struct Waiting {
    number: u64,
    work: Work,
    limits: Limits,
}

/// An exchange's number, and what came of it.
type Ended = (u64, Result<Response, Error>);

/// What all exchanges share.
pub(crate) struct World {
    options: Options,
    pub(crate) pool: Pool,
    tls: OnceCell<Result<Tls, String>>,
    names: OnceCell<Result<SystemNames, String>>,
}

impl World {
    /// Reads the certificates when they are first needed.
    pub(crate) fn tls(&self) -> Result<&Tls, Error> {
        let made = self.tls.get_or_init(|| Tls::new(self.options.roots.as_deref()));
        made.as_ref().map_err(|reason| Error::Unavailable(reason.clone()))
    }

    pub(crate) fn names(&self) -> Result<&dyn Names, String> {
        if let Some(names) = &self.options.names {
            return Ok(names.as_ref());
        }
        let made = self.names.get_or_init(SystemNames::new);
        made.as_ref().map(|names| names as &dyn Names).map_err(Clone::clone)
    }
}

impl Client {
    pub fn new(options: Options) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| Error::Unavailable(error.to_string()))?;
        let pool = Pool::new(options.idle);
        let world = World { options, pool, tls: OnceCell::new(), names: OnceCell::new() };
        Ok(Client {
            runtime,
            world: Rc::new(world),
            lanes: BTreeMap::new(),
            slots: HashMap::new(),
            running: FuturesUnordered::new(),
            ended: None,
        })
    }

    /// Begins an exchange of a sender, and numbers it.
    pub fn send(
        &mut self,
        sender: i32,
        request: Request,
        rules: Rc<Rules>,
        limits: Limits,
    ) -> Result<u64, Error> {
        let lane = self.lanes.entry(sender).or_default();
        if lane.waiting.len() >= MOST_WAITING {
            return Err(Error::TooMany(MOST_WAITING));
        }
        let number = 1 + LAST.fetch_add(1, Ordering::Relaxed);
        let world = self.world.clone();
        let work: Work = Box::pin(async move {
            let answer = exchange(&world, &rules, request, limits);
            let in_time = tokio::time::timeout(limits.time, answer).await;
            in_time.unwrap_or(Err(Error::TooSlow(limits.time)))
        });
        lane.waiting.push_back(Waiting { number, work, limits });
        Ok(number)
    }

    /// Waits for an exchange to end, until then at most. `None` also when it is `interrupted`, or
    /// when none is under way.
    pub fn next(
        &mut self,
        until: Option<Instant>,
        interrupted: &dyn Fn() -> bool,
    ) -> Option<Ended> {
        if self.ended.is_some() {
            return self.ended.take();
        }
        loop {
            self.start();
            if self.slots.is_empty() {
                return None;
            }
            let now = Instant::now();
            let wake = until.map_or(now + TICK, |until| until.min(now + TICK));
            let running = &mut self.running;
            // Nothing of the caller's runs inside the executor, which it may never come back to.
            let ended = self.runtime.block_on(async {
                // A timer would wait for its next tick, a millisecond.
                let ended = match wake > now {
                    true => tokio::time::timeout_at(wake.into(), running.next()).await.ok(),
                    false => poll_immediate(running.next()).await,
                };
                // Has the executor look at the sockets, and wake those who have yielded: it forgets
                // them when it is left.
                tokio::task::yield_now().await;
                ended
            });
            if let Some(Some(Some((number, result)))) = ended {
                self.forget(number);
                return Some((number, result));
            }
            if interrupted() || until.is_some_and(|until| until <= Instant::now()) {
                return None;
            }
        }
    }

    /// Waits as [`Client::next`] does, and leaves what has ended to it.
    pub fn wait(&mut self, until: Option<Instant>, interrupted: &dyn Fn() -> bool) {
        self.ended = self.next(until, interrupted);
    }

    /// Ends an exchange, and closes its connection.
    pub fn cancel(&mut self, number: u64) {
        self.ended.take_if(|(ended, _)| *ended == number);
        for lane in self.lanes.values_mut() {
            lane.waiting.retain(|waiting| waiting.number != number);
        }
        let Some(slot) = self.forget(number) else { return };
        let Slot { work, waker, .. } = &mut *slot.borrow_mut();
        *work = None;
        if let Some(waker) = waker.take() {
            waker.wake();
        }
    }

    /// Closes connections that nobody uses.
    pub fn close_idle(&mut self) {
        self.world.pool.clear();
    }

    /// Closes connections that nobody has used for some seconds, and returns when to do so again.
    pub fn close_old(&mut self) -> Option<Instant> {
        self.world.pool.close_old()
    }

    fn start(&mut self) {
        for (sender, lane) in &mut self.lanes {
            while let Some(Waiting { limits, .. }) = lane.waiting.front()
                && (self.slots.len() < limits.at_once.max(1) || lane.under_way < limits.reserved)
                && let Some(Waiting { number, work, .. }) = lane.waiting.pop_front()
            {
                let slot = Slot { number, sender: *sender, work: Some(work), waker: None };
                let slot = Rc::new(RefCell::new(slot));
                self.slots.insert(number, slot.clone());
                self.running.push(Running(slot));
                lane.under_way += 1;
            }
        }
        self.lanes.retain(|_, lane| lane.under_way > 0 || !lane.waiting.is_empty());
    }

    /// An exchange is no longer under way.
    fn forget(&mut self, number: u64) -> Option<Rc<RefCell<Slot>>> {
        let slot = self.slots.remove(&number)?;
        if let Some(lane) = self.lanes.get_mut(&slot.borrow().sender) {
            lane.under_way -= 1;
        }
        Some(slot)
    }
}

/// An exchange that can be ended from outside, at once: what is left in the executor is empty.
struct Slot {
    number: u64,
    sender: i32,
    work: Option<Work>,
    waker: Option<Waker>,
}

struct Running(Rc<RefCell<Slot>>);

impl Future for Running {
    /// `None` for one that was cancelled.
    type Output = Option<(u64, Result<Response, Error>)>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Slot { number, work, waker, .. } = &mut *self.0.borrow_mut();
        let Some(exchange) = work else { return Poll::Ready(None) };
        match exchange.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(Some((*number, result))),
            Poll::Pending => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
