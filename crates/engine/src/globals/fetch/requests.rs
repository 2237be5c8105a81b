//! The requests of the running call, and what is to happen when they end. A call ends when all of
//! them have; what it leaves behind when it fails is cancelled.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use rquickjs::{ArrayBuffer, Ctx, Object, Result};

use crate::host::Host;
use crate::http::{Answer, Request, Response};
use crate::timers::Callback;

pub(crate) struct Requests {
    host: Rc<dyn Host>,
    under_way: RefCell<HashMap<u64, UnderWay>>,
    /// What they send, together.
    bytes: Cell<usize>,
}

struct UnderWay {
    settle: Callback,
    bytes: usize,
}

/// What a host holds for a plugin is not among what its runtime allocates, so it has a limit of its
/// own: as much as a quarter of the default memory.
const MOST_BYTES: usize = 16 << 20;

impl Requests {
    pub(crate) fn new(host: Rc<dyn Host>) -> Rc<Self> {
        Rc::new(Requests { host, under_way: RefCell::default(), bytes: Cell::new(0) })
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

    pub(crate) fn are_under_way(&self) -> bool {
        !self.under_way.borrow().is_empty()
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
