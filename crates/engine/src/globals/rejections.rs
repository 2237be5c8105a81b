//! Promises that were rejected with nobody listening. QuickJS reports a rejection at once and takes
//! it back when a handler comes later, so the verdict is only known when the call has ended.

use std::cell::RefCell;
use std::rc::Rc;

use rquickjs::{Ctx, Persistent, Runtime, Value, qjs};

use crate::failure::{Failure, FailureKind};

/// The rejections of a runtime's running call, by the identity of their promise.
#[derive(Clone, Default)]
pub(crate) struct Rejections(Rc<RefCell<Vec<Rejection>>>);

struct Rejection {
    /// Held, so that no other promise gets its address.
    promise: Persistent<Value<'static>>,
    address: usize,
    failure: Failure,
}

/// More than these are not kept: the first ones explain a failure.
const MOST: usize = 16;

impl Rejections {
    pub(crate) fn track(runtime: &Runtime) -> Self {
        let rejections = Rejections::default();
        let noted = rejections.clone();
        runtime.set_host_promise_rejection_tracker(Some(Box::new(
            move |ctx, promise, reason, handled| {
                // SAFETY: a promise is an object; its address serves as its name only.
                let address = unsafe { qjs::JS_VALUE_GET_PTR(promise.as_raw()) } as usize;
                if handled {
                    noted.forget(address);
                } else {
                    noted.note(&ctx, promise, address, &reason);
                }
            },
        )));
        rejections
    }

    fn forget(&self, address: usize) {
        let mut noted = self.0.borrow_mut();
        let place = noted.iter().position(|rejection| rejection.address == address);
        let gone = place.map(|place| noted.remove(place));
        drop(noted);
        // May be the last reference, with whatever ends along with it.
        drop(gone);
    }

    fn note<'js>(&self, ctx: &Ctx<'js>, promise: Value<'js>, address: usize, reason: &Value<'js>) {
        if self.0.borrow().len() >= MOST {
            return;
        }
        // May run the plugin's code, and so come back here: nothing is borrowed meanwhile.
        let failure = Failure::of_reason(ctx, FailureKind::UnhandledRejection, reason);
        let promise = Persistent::save(ctx, promise);
        self.0.borrow_mut().push(Rejection { promise, address, failure });
    }

    /// The first rejection that stayed unhandled; forgets them all. Comes before the runtime's end.
    pub(crate) fn take(&self) -> Option<Failure> {
        self.take_all().next()
    }

    /// Those that stayed unhandled; forgets them.
    pub(crate) fn take_all(&self) -> impl Iterator<Item = Failure> + use<> {
        let noted = self.0.take();
        let failures: Vec<Failure> = noted
            .into_iter()
            .map(|Rejection { promise, failure, .. }| (drop(promise), failure).1)
            .collect();
        failures.into_iter()
    }
}
