//! The allocator of a runtime: libc's, with a meter. QuickJS counts bytes itself but does not tell
//! who was refused; the meter does, and its limit can change while the runtime lives.
//!
//! The meter also is the second place where running JavaScript meets the watch. QuickJS asks
//! whether to stop once in 10,000 branches; a loop whose every turn parses a long text would run on
//! for half a minute. Whatever takes long in the built-in functions allocates, so after each
//! megabyte the meter asks, and refuses everything when the call has to stop.

use std::cell::Cell;
use std::rc::Rc;

use rquickjs::allocator::Allocator;

use crate::watch::Watch;

/// Bytes between two questions to the watch: about a tenth of a millisecond of allocating.
const BYTES_PER_QUESTION: usize = 1 << 20;

/// An error with its message and a stack of ten frames takes a few kilobytes.
const BYTES_OF_AN_ERROR: usize = 64 << 10;

/// What a runtime holds, may hold, and whether it was refused more.
pub(crate) struct Meter {
    used: Cell<usize>,
    /// The most that was used at a time.
    peak: Cell<usize>,
    limit: Cell<usize>,
    refused: Cell<bool>,
    watch: Rc<Watch>,
    /// Bytes since the last question.
    unasked: Cell<usize>,
    /// Nothing is refused meanwhile.
    building: Cell<bool>,
    /// Bytes that are not refused whatever else holds.
    granted: Cell<usize>,
}

impl Meter {
    pub(crate) fn new(limit: usize, watch: Rc<Watch>) -> Rc<Self> {
        Rc::new(Meter {
            used: Cell::new(0),
            peak: Cell::new(0),
            limit: Cell::new(limit),
            refused: Cell::new(false),
            watch,
            unasked: Cell::new(0),
            building: Cell::new(false),
            granted: Cell::new(0),
        })
    }

    pub(crate) fn set_limit(&self, limit: usize) {
        self.limit.set(limit);
    }

    pub(crate) fn used(&self) -> usize {
        self.used.get()
    }

    pub(crate) fn peak(&self) -> usize {
        self.peak.get()
    }

    pub(crate) fn refused(&self) -> bool {
        self.refused.get()
    }

    pub(crate) fn forgive(&self) {
        self.refused.set(false);
    }

    /// Runs `build` without refusing it anything: QuickJS does not survive it when memory runs out
    /// while it makes a runtime or a context, or compiles. What that takes is bounded otherwise, and
    /// counts afterwards.
    pub(crate) fn while_building<R>(&self, build: impl FnOnce() -> R) -> R {
        let outer = self.building.replace(true);
        let built = build();
        self.building.set(outer);
        built
    }

    /// Lets QuickJS make the error with which it ends a call. Were it refused that, it would throw
    /// one that a plugin can catch, and an endless loop around a `try` would have no end.
    pub(crate) fn grant_an_error(&self) {
        self.granted.set(BYTES_OF_AN_ERROR);
    }

    pub(crate) fn is_exhausted(&self) -> bool {
        self.used.get() > self.limit.get()
    }

    /// Counts what native code allocates elsewhere for a plugin; nothing when that is too much.
    pub(crate) fn hold(self: &Rc<Self>, bytes: usize) -> Option<Held> {
        self.admits(bytes).then(|| {
            self.grow(bytes);
            Held { meter: self.clone(), bytes }
        })
    }

    /// Whether `more` bytes may be had; remembers a refusal.
    fn admits(&self, more: usize) -> bool {
        if self.building.get() {
            return true;
        }
        if let Some(granted) = self.granted.get().checked_sub(more) {
            self.granted.set(granted);
            return true;
        }
        let unasked = self.unasked.get().saturating_add(more);
        self.unasked.set(unasked);
        if unasked >= BYTES_PER_QUESTION {
            if self.watch.must_stop() {
                return false;
            }
            self.unasked.set(0);
        }
        let fits = self.used.get().checked_add(more).is_some_and(|sum| sum <= self.limit.get());
        if !fits {
            self.refused.set(true);
        }
        fits
    }

    fn grow(&self, bytes: usize) {
        let used = self.used.get() + bytes;
        self.used.set(used);
        self.peak.set(self.peak.get().max(used));
    }

    fn shrink(&self, bytes: usize) {
        self.used.set(self.used.get().saturating_sub(bytes));
    }
}

/// Memory that native code holds for a plugin, until it is dropped.
pub(crate) struct Held {
    meter: Rc<Meter>,
    bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.meter.shrink(self.bytes);
    }
}

pub(crate) struct Metered(pub(crate) Rc<Meter>);

// SAFETY: every pointer handed out comes from libc's malloc family, which aligns for any scalar;
// `usable_size` is libc's own answer for the same pointer.
unsafe impl Allocator for Metered {
    fn alloc(&mut self, size: usize) -> *mut u8 {
        if !self.0.admits(size) {
            return std::ptr::null_mut();
        }
        // SAFETY: malloc has no precondition.
        let block = unsafe { libc::malloc(size) }.cast();
        self.0.grow(usable(block));
        block
    }

    fn calloc(&mut self, count: usize, size: usize) -> *mut u8 {
        if !self.0.admits(count.saturating_mul(size)) {
            return std::ptr::null_mut();
        }
        // SAFETY: calloc has no precondition; it checks the product itself.
        let block = unsafe { libc::calloc(count, size) }.cast();
        self.0.grow(usable(block));
        block
    }

    unsafe fn dealloc(&mut self, block: *mut u8) {
        self.0.shrink(usable(block));
        // SAFETY: the caller hands back a block of this allocator.
        unsafe { libc::free(block.cast()) };
    }

    unsafe fn realloc(&mut self, block: *mut u8, size: usize) -> *mut u8 {
        let before = usable(block);
        if size > before && !self.0.admits(size - before) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller hands over a block of this allocator, or null.
        let moved: *mut u8 = unsafe { libc::realloc(block.cast(), size) }.cast();
        // A failed realloc leaves the old block as it was.
        if size == 0 || !moved.is_null() {
            self.0.shrink(before);
            self.0.grow(usable(moved));
        }
        moved
    }

    unsafe fn usable_size(block: *mut u8) -> usize {
        usable(block)
    }
}

fn usable(block: *mut u8) -> usize {
    // SAFETY: null gives 0; every other block here came from malloc and is still allocated.
    unsafe { libc::malloc_usable_size(block.cast()) }
}
