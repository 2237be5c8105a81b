//! Talking to AWS-LC: its errors, and what it allocated.

use std::ffi::CStr;
use std::{ptr, slice};

use aws_lc_sys::{
    BIGNUM, BN_bin2bn, BN_bn2bin_padded, BN_free, BN_new, BN_num_bytes, CBB, CBB_cleanup,
    CBB_finish, CBB_init, CBB_zero, ERR_clear_error, ERR_peek_last_error, ERR_reason_error_string,
    OPENSSL_free,
};

pub type Result<T> = std::result::Result<T, Error>;

/// Why something cannot be done, as OpenSSL names it: `BAD_DECRYPT`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub String);

impl Error {
    pub(crate) fn of(reason: &str) -> Self {
        Error(reason.to_owned())
    }

    /// The library's newest error; none is left in its queue.
    pub(crate) fn last() -> Self {
        // SAFETY: the queue is this thread's own, and the strings are static.
        unsafe {
            let error = ERR_peek_last_error();
            let reason = ERR_reason_error_string(error);
            ERR_clear_error();
            // Some functions refuse without saying why.
            if error == 0 || reason.is_null() {
                return Error::of("UNSUPPORTED");
            }
            Error(CStr::from_ptr(reason).to_string_lossy().into_owned())
        }
    }
}

/// Nearly every function of the library returns 1 when it did what it was asked.
pub(crate) fn check(answer: i32) -> Result<()> {
    if answer == 1 { Ok(()) } else { Err(Error::last()) }
}

/// What the library made; null is an error.
pub(crate) fn made<T>(pointer: *mut T) -> Result<*mut T> {
    if pointer.is_null() { Err(Error::last()) } else { Ok(pointer) }
}

/// The bytes that `write` makes the library write.
pub(crate) fn written(write: impl FnOnce(*mut CBB) -> i32) -> Result<Vec<u8>> {
    // A key of the longest kind takes a few hundred bytes, and the builder grows.
    const ROOM: usize = 512;
    // SAFETY: a zeroed builder is what `CBB_zero` makes, and may be cleaned up; after `CBB_finish`
    // the block is ours, has `len` bytes, and is freed once they are copied.
    unsafe {
        let mut builder = std::mem::zeroed::<CBB>();
        CBB_zero(&mut builder);
        let (mut block, mut len) = (ptr::null_mut(), 0);
        let done = check(CBB_init(&mut builder, ROOM))
            .and_then(|()| check(write(&mut builder)))
            .and_then(|()| check(CBB_finish(&mut builder, &mut block, &mut len)));
        if let Err(error) = done {
            CBB_cleanup(&mut builder);
            return Err(error);
        }
        Ok(taken(block, len))
    }
}

/// Copies a block of the library and frees it.
///
/// # Safety
/// `block` has `len` bytes, and is the library's to free.
pub(crate) unsafe fn taken(block: *mut u8, len: usize) -> Vec<u8> {
    // SAFETY: what the caller promises.
    unsafe {
        let bytes = slice::from_raw_parts(block, len).to_vec();
        OPENSSL_free(block.cast());
        bytes
    }
}

/// A large integer of our own.
pub(crate) struct Number(*mut BIGNUM);

impl Number {
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: no precondition.
        made(unsafe { BN_new() }).map(Number)
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        // SAFETY: the library reads `len` bytes, and makes a new number where it is given none.
        made(unsafe { BN_bin2bn(bytes.as_ptr(), bytes.len(), ptr::null_mut()) }).map(Number)
    }

    pub(crate) fn as_ptr(&self) -> *mut BIGNUM {
        self.0
    }

    /// For a function that takes the number over.
    pub(crate) fn into_ptr(self) -> *mut BIGNUM {
        let pointer = self.0;
        std::mem::forget(self);
        pointer
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        // SAFETY: it is ours, and freed once.
        unsafe { BN_free(self.0) }
    }
}

/// Big-endian, with zeros in front up to `width`, without where it is none.
///
/// # Safety
/// `number` is null or alive.
pub(crate) unsafe fn bytes_of(number: *const BIGNUM, width: Option<usize>) -> Result<Vec<u8>> {
    if number.is_null() {
        return Err(Error::of("MISSING_PARAMETER"));
    }
    // SAFETY: the number is alive, and the library writes exactly as many bytes as there are.
    unsafe {
        let mut bytes = vec![0; width.unwrap_or(BN_num_bytes(number) as usize)];
        check(BN_bn2bin_padded(bytes.as_mut_ptr(), bytes.len(), number))?;
        Ok(bytes)
    }
}
