//! Promises that were rejected with nobody listening. QuickJS reports a rejection at once and takes
//! it back when a handler comes later, so the verdict is only known when the call has ended.

use std::cell::RefCell;
use std::rc::Rc;

use rquickjs::{Ctx, Runtime, Value, qjs};

use crate::failure::{Failure, FailureKind};

/// The rejections of a runtime's running call, by the identity of their promise.
#[derive(Clone, Default)]
pub(crate) struct Rejections(Rc<RefCell<Vec<(usize, Failure)>>>);

/// More than these are not kept: the first ones explain a failure.
const MOST: usize = 16;

impl Rejections {
    pub(crate) fn track(runtime: &Runtime) -> Self {
        let rejections = Rejections::default();
        let noted = rejections.clone();
        runtime.set_host_promise_rejection_tracker(Some(Box::new(
            move |ctx, promise, reason, handled| {
                // SAFETY: a promise is an object; its address serves as its name only.
                let name = unsafe { qjs::JS_VALUE_GET_PTR(promise.as_raw()) } as usize;
                if handled {
                    noted.0.borrow_mut().retain(|(other, _)| *other != name);
                } else {
                    noted.note(&ctx, name, &reason);
                }
            },
        )));
        rejections
    }

    fn note<'js>(&self, ctx: &Ctx<'js>, name: usize, reason: &Value<'js>) {
        if self.0.borrow().len() >= MOST {
            return;
        }
        // May run the plugin's code, and so come back here: nothing is borrowed meanwhile.
        let failure = Failure::of_reason(ctx, FailureKind::UnhandledRejection, reason);
        self.0.borrow_mut().push((name, failure));
    }

    /// The first rejection that stayed unhandled; forgets them all.
    pub(crate) fn take(&self) -> Option<Failure> {
        self.0.borrow_mut().drain(..).next().map(|(_, failure)| failure)
    }
}
