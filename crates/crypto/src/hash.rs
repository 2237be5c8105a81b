//! Hashes, and codes of authenticity made with them.

use std::ptr;

use aws_lc_sys::{
    EVP_DigestFinal_ex, EVP_DigestInit_ex, EVP_DigestUpdate, EVP_MAX_MD_SIZE, EVP_MD, EVP_MD_CTX,
    EVP_MD_CTX_copy_ex, EVP_MD_CTX_free, EVP_MD_CTX_new, EVP_MD_size, EVP_md5, EVP_ripemd160,
    EVP_sha1, EVP_sha3_224, EVP_sha3_256, EVP_sha3_384, EVP_sha3_512, EVP_sha224, EVP_sha256,
    EVP_sha384, EVP_sha512, EVP_sha512_224, EVP_sha512_256, HMAC_CTX, HMAC_CTX_free, HMAC_CTX_new,
    HMAC_Final, HMAC_Init_ex, HMAC_Update,
};

use crate::library::{Result, check, made};

type Function = unsafe extern "C" fn() -> *const EVP_MD;

/// By the name that Node lists.
const FUNCTIONS: [(&str, Function); 13] = [
    ("md5", EVP_md5),
    ("ripemd160", EVP_ripemd160),
    ("sha1", EVP_sha1),
    ("sha224", EVP_sha224),
    ("sha256", EVP_sha256),
    ("sha3-224", EVP_sha3_224),
    ("sha3-256", EVP_sha3_256),
    ("sha3-384", EVP_sha3_384),
    ("sha3-512", EVP_sha3_512),
    ("sha384", EVP_sha384),
    ("sha512", EVP_sha512),
    ("sha512-224", EVP_sha512_224),
    ("sha512-256", EVP_sha512_256),
];

/// Other names of OpenSSL's for them.
const ALIASES: [(&str, &str); 14] = [
    ("rmd160", "ripemd160"),
    ("ripemd", "ripemd160"),
    ("sha-1", "sha1"),
    ("sha-224", "sha224"),
    ("sha-256", "sha256"),
    ("sha-384", "sha384"),
    ("sha-512", "sha512"),
    ("sha2-224", "sha224"),
    ("sha2-256", "sha256"),
    ("sha2-384", "sha384"),
    ("sha2-512", "sha512"),
    ("sha-512/224", "sha512-224"),
    ("sha-512/256", "sha512-256"),
    ("ssl3-md5", "md5"),
];

/// A hash function.
#[derive(Clone, Copy)]
pub struct Digest(*const EVP_MD);

impl Digest {
    /// The function of that name, in any case, also as signatures name it: `RSA-SHA256`.
    pub fn named(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        let plain = lower.strip_prefix("rsa-").unwrap_or(&lower);
        let alias = ALIASES.iter().find(|(alias, _)| *alias == plain);
        let plain = alias.map_or(plain, |(_, name)| name);
        let (_, function) = FUNCTIONS.iter().find(|(name, _)| *name == plain)?;
        // SAFETY: it returns a static description.
        Some(Digest(unsafe { function() }))
    }

    pub fn names() -> impl Iterator<Item = &'static str> {
        FUNCTIONS.iter().map(|(name, _)| *name)
    }

    /// Bytes of a result.
    pub fn size(self) -> usize {
        // SAFETY: the description is static.
        unsafe { EVP_MD_size(self.0) }
    }

    pub(crate) fn as_ptr(self) -> *const EVP_MD {
        self.0
    }
}

/// A hash under way.
pub struct Hash {
    context: *mut EVP_MD_CTX,
    digest: Digest,
}

impl Hash {
    /// Bytes that the library holds for one: SHA-3's state with its context, as the allocator
    /// rounds them.
    pub const NATIVE_BYTES: usize = 640;

    pub fn new(digest: Digest) -> Result<Self> {
        // SAFETY: no precondition.
        let context = made(unsafe { EVP_MD_CTX_new() })?;
        let hash = Hash { context, digest };
        // SAFETY: both are alive.
        check(unsafe { EVP_DigestInit_ex(hash.context, digest.0, ptr::null_mut()) })?;
        Ok(hash)
    }

    pub fn digest(&self) -> Digest {
        self.digest
    }

    pub fn update(&mut self, bytes: &[u8]) -> Result<()> {
        // SAFETY: the context was begun, and the library reads `len` bytes.
        check(unsafe { EVP_DigestUpdate(self.context, bytes.as_ptr().cast(), bytes.len()) })
    }

    /// Ends the hash, which takes nothing more after it.
    pub fn finish(&mut self) -> Result<Vec<u8>> {
        let mut result = vec![0; EVP_MAX_MD_SIZE as usize];
        let mut len = 0;
        // SAFETY: there is room for the longest result there is.
        check(unsafe { EVP_DigestFinal_ex(self.context, result.as_mut_ptr(), &mut len) })?;
        result.truncate(len as usize);
        Ok(result)
    }

    pub fn try_clone(&self) -> Result<Self> {
        let copy = Hash::new(self.digest)?;
        // SAFETY: both contexts are alive.
        check(unsafe { EVP_MD_CTX_copy_ex(copy.context, self.context) })?;
        Ok(copy)
    }
}

impl Drop for Hash {
    fn drop(&mut self) {
        // SAFETY: it is ours, and freed once.
        unsafe { EVP_MD_CTX_free(self.context) }
    }
}

/// A hash that only who has the key can make.
pub struct Hmac {
    context: *mut HMAC_CTX,
}

impl Hmac {
    /// Bytes that the library holds for one: three states of a hash.
    pub const NATIVE_BYTES: usize = 1600;

    pub fn new(digest: Digest, key: &[u8]) -> Result<Self> {
        // SAFETY: no precondition.
        let context = made(unsafe { HMAC_CTX_new() })?;
        let hmac = Hmac { context };
        // SAFETY: the library reads `len` bytes of the key; a slice is never null, which would
        // mean the key before.
        check(unsafe {
            let key_start = key.as_ptr().cast();
            HMAC_Init_ex(hmac.context, key_start, key.len(), digest.0, ptr::null_mut())
        })?;
        Ok(hmac)
    }

    /// Begins anew with the same key.
    pub(crate) fn restart(&mut self) -> Result<()> {
        // SAFETY: without a key and a function, those before are kept.
        check(unsafe { HMAC_Init_ex(self.context, ptr::null(), 0, ptr::null(), ptr::null_mut()) })
    }

    pub fn update(&mut self, bytes: &[u8]) -> Result<()> {
        // SAFETY: the context was begun, and the library reads `len` bytes.
        check(unsafe { HMAC_Update(self.context, bytes.as_ptr(), bytes.len()) })
    }

    /// Ends the code, which takes nothing more after it.
    pub fn finish(&mut self) -> Result<Vec<u8>> {
        let mut result = vec![0; EVP_MAX_MD_SIZE as usize];
        let len = self.finish_into(&mut result)?;
        result.truncate(len);
        Ok(result)
    }

    /// Writes the code, and tells its length.
    pub(crate) fn finish_into(&mut self, result: &mut [u8]) -> Result<usize> {
        assert!(result.len() >= EVP_MAX_MD_SIZE as usize, "room for every code");
        let mut len = 0;
        // SAFETY: there is room for the longest result there is.
        check(unsafe { HMAC_Final(self.context, result.as_mut_ptr(), &mut len) })?;
        Ok(len as usize)
    }
}

impl Drop for Hmac {
    fn drop(&mut self) {
        // SAFETY: it is ours, and freed once.
        unsafe { HMAC_CTX_free(self.context) }
    }
}
