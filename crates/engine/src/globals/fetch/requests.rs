//! The requests of the running call, and what is to happen when they end. A call ends when all of
//! them have; what it leaves behind when it fails is cancelled.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

use rquickjs::{ArrayBuffer, Ctx, Function, Object, Persistent, Result};

use crate::engine::Tools;
use crate::failure::Failure;
use crate::host::Host;
use crate::http::{Answer, Request, Response};

type Callback = Persistent<Function<'static>>;

pub(crate) struct Requests {
    host: Rc<dyn Host>,
    under_way: RefCell<HashMap<u64, UnderWay>>,
    /// What they send, together.
    bytes: Cell<usize>,
    /// Time limits that the plugin gave to its requests. Alone they keep no call alive.
    alarms: RefCell<HashMap<u64, Alarm>>,
    last_alarm: Cell<u64>,
}

struct UnderWay {
    settle: Callback,
    bytes: usize,
}

/// What a host holds for a plugin is not among what its runtime allocates, so it has a limit of its
/// own: as much as a quarter of the default memory.
const MOST_BYTES: usize = 16 << 20;

struct Alarm {
    at: Option<Instant>,
    ring: Callback,
}

impl Requests {
    pub(crate) fn new(host: Rc<dyn Host>) -> Rc<Self> {
        Rc::new(Requests {
            host,
            under_way: RefCell::default(),
            bytes: Cell::new(0),
            alarms: RefCell::default(),
            last_alarm: Cell::new(0),
        })
    }

    pub(super) fn send(
        &self,
        program: i32,
        request: Request,
        settle: Callback,
    ) -> std::result::Result<u64, String> {
        let bytes = request.size();
        if self.bytes.get() + bytes > MOST_BYTES {
            return Err("too much is being sent at once".to_owned());
        }
        let number = self.host.send(program, request)?;
        self.bytes.set(self.bytes.get() + bytes);
        self.under_way.borrow_mut().insert(number, UnderWay { settle, bytes });
        Ok(number)
    }

    pub(super) fn cancel(&self, number: u64) {
        if self.take(number).is_some() {
            self.host.cancel(number);
        }
    }

    fn take(&self, number: u64) -> Option<Callback> {
        let UnderWay { settle, bytes } = self.under_way.borrow_mut().remove(&number)?;
        self.bytes.set(self.bytes.get().saturating_sub(bytes));
        Some(settle)
    }

    pub(super) fn set_alarm(&self, at: Option<Instant>, ring: Callback) -> u64 {
        let number = self.last_alarm.get() + 1;
        self.last_alarm.set(number);
        self.alarms.borrow_mut().insert(number, Alarm { at, ring });
        number
    }

    pub(super) fn clear_alarm(&self, number: u64) {
        self.alarms.borrow_mut().remove(&number);
    }

    /// Waits for whatever comes next and tells JavaScript; false when there is nothing to wait for.
    pub(crate) fn advance(
        &self,
        ctx: &Ctx<'_>,
        tools: &Tools,
    ) -> std::result::Result<bool, Failure> {
        if self.under_way.borrow().is_empty() {
            return Ok(false);
        }
        if let Some(ring) = self.due() {
            let rung = ring.restore(ctx).and_then(|ring| ring.call::<_, ()>(()));
            return rung.map(|()| true).map_err(|_| tools.failure(ctx));
        }
        let alarm = self.alarms.borrow().values().filter_map(|alarm| alarm.at).min();
        let until = tools.watch.deadline().into_iter().chain(alarm).min();
        let answer = self.host.next_answer(until);
        if tools.watch.must_stop() {
            return Err(tools.failure(ctx));
        }
        let Some(Answer { request, result }) = answer else {
            return Ok(alarm.is_some_and(|at| at <= Instant::now()));
        };
        // The plugin may have lost interest.
        let Some(settle) = self.take(request) else { return Ok(true) };
        let told = settle.restore(ctx).and_then(|settle| match result {
            Ok(response) => settle.call::<_, ()>(((), from(ctx, response)?)),
            Err(reason) => settle.call((reason,)),
        });
        told.map(|()| true).map_err(|_| tools.failure(ctx))
    }

    fn due(&self) -> Option<Callback> {
        let mut alarms = self.alarms.borrow_mut();
        let now = Instant::now();
        let times = alarms.iter().filter_map(|(number, alarm)| Some((alarm.at?, *number)));
        let (_, first) = times.filter(|(at, _)| *at <= now).min()?;
        alarms.remove(&first).map(|alarm| alarm.ring)
    }

    /// Ends what a call has left behind.
    pub(crate) fn abandon(&self) {
        self.alarms.borrow_mut().clear();
        self.bytes.set(0);
        for (number, _) in self.under_way.borrow_mut().drain() {
            self.host.cancel(number);
        }
    }
}

/// The response as `response.js` takes it.
fn from<'js>(ctx: &Ctx<'js>, response: Response) -> Result<Object<'js>> {
    let object = Object::new(ctx.clone())?;
    let headers: Vec<Vec<String>> =
        response.headers.into_iter().map(|(name, value)| vec![name, value]).collect();
    object.set("status", response.status)?;
    object.set("statusText", response.status_text)?;
    object.set("headers", headers)?;
    object.set("body", ArrayBuffer::new_copy(ctx.clone(), &response.body)?)?;
    object.set("url", response.url)?;
    object.set("redirected", response.redirected)?;
    Ok(object)
}
