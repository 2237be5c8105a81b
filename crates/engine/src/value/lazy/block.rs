//! A block of the runtime's memory: what views keep beside the engine's objects counts for the
//! plugin like these do.

use std::ops::Deref;
use std::ptr::NonNull;
use std::slice;

use rquickjs::qjs;

/// A fixed number of values in memory of a runtime, which outlives it.
pub(super) struct Block<T> {
    runtime: NonNull<qjs::JSRuntime>,
    start: NonNull<T>,
    length: usize,
}

impl<T> Block<T> {
    /// `None` when there is no memory left. Throws nothing.
    ///
    /// # Safety
    /// The runtime is alive, and stays so until the block is dropped.
    pub(super) unsafe fn new(
        runtime: *mut qjs::JSRuntime,
        values: impl ExactSizeIterator<Item = T>,
    ) -> Option<Self> {
        const { assert!(!std::mem::needs_drop::<T>() && align_of::<T>() <= 8) };
        let runtime = NonNull::new(runtime)?;
        let length = values.len();
        if length == 0 {
            return Some(Block { runtime, start: NonNull::dangling(), length });
        }
        let size = length.checked_mul(size_of::<T>())?;
        // SAFETY: the runtime is alive by contract.
        let start: *mut T = unsafe { qjs::js_malloc_rt(runtime.as_ptr(), size as _) }.cast();
        let start = NonNull::new(start)?;
        let mut written = 0;
        for value in values.take(length) {
            // SAFETY: fewer than `length` values are written, for which the memory is; malloc
            // aligned it.
            unsafe { start.add(written).write(value) };
            written += 1;
        }
        Some(Block { runtime, start, length: written })
    }
}

impl<T> Deref for Block<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: so many values were written, and the memory is ours.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl<T> Drop for Block<T> {
    fn drop(&mut self) {
        if self.length > 0 {
            // SAFETY: allocated in this runtime, which is alive by contract; freed once.
            unsafe { qjs::js_free_rt(self.runtime.as_ptr(), self.start.as_ptr().cast()) };
        }
    }
}
