//! Keys derived from passwords and from other keys.

use std::ffi::c_char;

use aws_lc_sys::{EVP_MAX_MD_SIZE, EVP_PBE_scrypt, HKDF};

use crate::hash::{Digest, Hmac};
use crate::library::{Error, Result, check};

/// Rounds between two questions whether to go on: a tenth of a millisecond.
const ROUNDS_PER_QUESTION: u32 = 256;

/// PBKDF2. The library's own cannot be stopped, and a million rounds take a second; this one asks
/// `go_on`, and gives nothing when that is false.
pub fn pbkdf2(
    digest: Digest,
    password: &[u8],
    salt: &[u8],
    rounds: u32,
    key: &mut [u8],
    mut go_on: impl FnMut() -> bool,
) -> Result<Option<()>> {
    let mut hmac = Hmac::new(digest, password)?;
    for (index, block) in key.chunks_mut(digest.size().max(1)).enumerate() {
        let number = u32::try_from(index + 1).map_err(|_| Error::of("INVALID_KEY_LENGTH"))?;
        let mut round = [0; EVP_MAX_MD_SIZE as usize];
        hmac.restart()?;
        hmac.update(salt)?;
        hmac.update(&number.to_be_bytes())?;
        let len = hmac.finish_into(&mut round)?;
        let mut sum = round;
        for count in 1..rounds {
            if count % ROUNDS_PER_QUESTION == 0 && !go_on() {
                return Ok(None);
            }
            hmac.restart()?;
            hmac.update(round.get(..len).unwrap_or_default())?;
            hmac.finish_into(&mut round)?;
            for (sum, byte) in sum.iter_mut().zip(round) {
                *sum ^= byte;
            }
        }
        if !go_on() {
            return Ok(None);
        }
        block.copy_from_slice(sum.get(..block.len()).unwrap_or_default());
    }
    Ok(Some(()))
}

/// HKDF with extraction, of at most 255 hashes.
pub fn hkdf(digest: Digest, secret: &[u8], salt: &[u8], info: &[u8], key: &mut [u8]) -> Result<()> {
    // SAFETY: every pointer has the length beside it.
    check(unsafe {
        HKDF(
            key.as_mut_ptr(),
            key.len(),
            digest.as_ptr(),
            secret.as_ptr(),
            secret.len(),
            salt.as_ptr(),
            salt.len(),
            info.as_ptr(),
            info.len(),
        )
    })
}

/// What scrypt costs.
#[derive(Debug, Clone, Copy)]
pub struct Scrypt {
    /// N, a power of two.
    pub cost: u64,
    /// r
    pub block_size: u64,
    /// p
    pub parallelization: u64,
}

impl Scrypt {
    /// Bytes of memory that it needs.
    pub fn memory(self) -> Option<u64> {
        let blocks = self.cost.checked_add(self.parallelization)?.checked_add(2)?;
        blocks.checked_mul(self.block_size)?.checked_mul(128)
    }

    /// Blocks of 128 bytes that it mixes. It cannot be stopped meanwhile.
    pub fn work(self) -> Option<u64> {
        self.cost.checked_mul(self.block_size)?.checked_mul(self.parallelization)
    }

    pub fn derive(self, password: &[u8], salt: &[u8], key: &mut [u8]) -> Result<()> {
        let memory = self.memory().and_then(|bytes| usize::try_from(bytes).ok());
        let memory = memory.ok_or_else(|| Error::of("MEMORY_LIMIT_EXCEEDED"))?;
        // SAFETY: every pointer has the length beside it.
        check(unsafe {
            EVP_PBE_scrypt(
                password.as_ptr().cast::<c_char>(),
                password.len(),
                salt.as_ptr(),
                salt.len(),
                self.cost,
                self.block_size,
                self.parallelization,
                memory,
                key.as_mut_ptr(),
                key.len(),
            )
        })
    }
}
