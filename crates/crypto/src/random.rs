//! Random bytes, and a comparison that takes as long whatever it compares.

use aws_lc_sys::{CRYPTO_memcmp, RAND_bytes};

use crate::library::{Result, check};

/// Fills the bytes from the library's generator. It seeds itself from the operating system on first
/// use, and again in a process that was forked since.
pub fn fill_random(bytes: &mut [u8]) -> Result<()> {
    // SAFETY: the library writes `len` bytes.
    check(unsafe { RAND_bytes(bytes.as_mut_ptr(), bytes.len()) })
}

/// Whether two texts of the same length are equal.
pub fn same_in_constant_time(left: &[u8], right: &[u8]) -> bool {
    // SAFETY: both have `len` bytes.
    left.len() == right.len()
        && unsafe { CRYPTO_memcmp(left.as_ptr().cast(), right.as_ptr().cast(), left.len()) } == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random() -> [u8; 16] {
        let mut bytes = [0; 16];
        fill_random(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_forked_process_has_random_numbers_of_its_own() {
        random();
        let mut pipe = [0; 2];
        // SAFETY: between fork and _exit the child calls only the generator and `write`.
        let from_child = unsafe {
            assert_eq!(libc::pipe(pipe.as_mut_ptr()), 0);
            let child = libc::fork();
            if child == 0 {
                let mut bytes = [0; 16];
                let done = RAND_bytes(bytes.as_mut_ptr(), bytes.len());
                libc::write(pipe[1], bytes.as_ptr().cast(), bytes.len());
                libc::_exit(1 - done);
            }
            let mut status = 0;
            assert_eq!(libc::waitpid(child, &mut status, 0), child);
            assert_eq!(status, 0);
            let mut bytes = [0; 16];
            assert_eq!(libc::read(pipe[0], bytes.as_mut_ptr().cast(), bytes.len()), 16);
            bytes
        };
        let mut ours = Vec::new();
        for _ in 0..4 {
            ours.push(random());
        }
        assert!(!ours.contains(&from_child));
    }
}
