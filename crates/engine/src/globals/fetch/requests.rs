//! The requests under way, and what is to happen when they end. What a call leaves behind when it
//! fails is cancelled.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use rquickjs::{ArrayBuffer, Ctx, Object, Result};

use crate::host::Host;
use crate::http::{Answer, Request, Response};
use crate::machine::{Course, Of};
use crate::timers::Callback;

pub(crate) struct Requests {
    host: Rc<dyn Host>,
    course: Rc<Cell<Course>>,
    under_way: RefCell<HashMap<u64, UnderWay>>,
    /// What they send, together.
    bytes: Cell<usize>,
}

struct UnderWay {
    settle: Callback,
    bytes: usize,
    course: Course,
}

/// What a host holds for a plugin is not among what its runtime allocates, so it has a limit of its
/// own: as much as a quarter of the default memory.
const MOST_BYTES: usize = 16 << 20;

/// Why a request of a call fails whose time is up.
const OVER: &str = "the time of the call is up";

impl Requests {
    pub(crate) fn new(host: Rc<dyn Host>, course: Rc<Cell<Course>>) -> Rc<Self> {
        Rc::new(Requests { host, course, under_way: RefCell::default(), bytes: Cell::new(0) })
    }

    pub(super) fn send(
        &self,
        program: i32,
        request: Request,
        settle: Callback,
    ) -> std::result::Result<u64, String> {
        let (bytes, course) = (request.size(), self.course.get());
        if course.of == Of::Over {
            return Err(OVER.to_owned());
        }
        if self.bytes.get() + bytes > MOST_BYTES {
            return Err("too much is being sent at once".to_owned());
        }
        let number = self.host.send(program, request)?;
        self.bytes.set(self.bytes.get() + bytes);
        self.under_way.borrow_mut().insert(number, UnderWay { settle, bytes, course });
        Ok(number)
    }

    pub(super) fn cancel(&self, number: u64) {
        if self.take(number).is_some() {
            self.host.cancel(number);
        }
    }

    fn take(&self, number: u64) -> Option<Callback> {
        let UnderWay { settle, bytes, .. } = self.under_way.borrow_mut().remove(&number)?;
        self.bytes.set(self.bytes.get().saturating_sub(bytes));
        Some(settle)
    }

    pub(crate) fn are_under_way(&self) -> bool {
        !self.under_way.borrow().is_empty()
    }

    /// Whether they may become twice as many.
    pub(crate) fn have_room(&self) -> bool {
        self.bytes.get() <= MOST_BYTES / 2
    }

    /// In whose course the request was sent, if it is still under way.
    pub(crate) fn course_of(&self, request: u64) -> Option<Course> {
        self.under_way.borrow().get(&request).map(|request| request.course)
    }

    /// Cancels what those calls have sent; returns the failures that JavaScript is to be told of.
    pub(crate) fn end(&self, is_over: impl Fn(u64) -> bool) -> Vec<Answer> {
        let under_way = self.under_way.borrow();
        let mut ended: Vec<u64> = under_way
            .iter()
            .filter(|(_, it)| matches!(it.course.of, Of::Call(call) if is_over(call)))
            .map(|(number, _)| *number)
            .collect();
        // In the order in which they were sent.
        ended.sort_unstable();
        let fail = |request| {
            self.host.cancel(request);
            Answer { request, result: Err(OVER.to_owned()) }
        };
        ended.into_iter().map(fail).collect()
    }

    /// Tells JavaScript of an answer.
    pub(crate) fn settle(&self, ctx: &Ctx<'_>, answer: Answer) -> Result<()> {
        let Answer { request, result } = answer;
        // The plugin may have lost interest.
        let Some(settle) = self.take(request) else { return Ok(()) };
        let settle = settle.restore(ctx)?;
        match result {
            Ok(response) => settle.call(((), from(ctx, response)?)),
            Err(reason) => settle.call((reason,)),
        }
    }

    /// Ends what a call has left behind.
    pub(crate) fn abandon(&self) {
        self.bytes.set(0);
        if !self.are_under_way() {
            return;
        }
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
