//! AES, in the modes that plugins use.

use std::ptr;

use aws_lc_sys::{
    EVP_CIPH_CBC_MODE, EVP_CIPH_CTR_MODE, EVP_CIPH_ECB_MODE, EVP_CIPH_GCM_MODE, EVP_CIPHER,
    EVP_CIPHER_CTX, EVP_CIPHER_CTX_ctrl, EVP_CIPHER_CTX_free, EVP_CIPHER_CTX_new,
    EVP_CIPHER_CTX_set_padding, EVP_CIPHER_iv_length, EVP_CIPHER_key_length, EVP_CIPHER_mode,
    EVP_CTRL_AEAD_GET_TAG, EVP_CTRL_AEAD_SET_IVLEN, EVP_CTRL_AEAD_SET_TAG, EVP_CipherFinal_ex,
    EVP_CipherInit_ex, EVP_CipherUpdate, EVP_aes_128_cbc, EVP_aes_128_ctr, EVP_aes_128_ecb,
    EVP_aes_128_gcm, EVP_aes_192_cbc, EVP_aes_192_ctr, EVP_aes_192_ecb, EVP_aes_192_gcm,
    EVP_aes_256_cbc, EVP_aes_256_ctr, EVP_aes_256_ecb, EVP_aes_256_gcm,
};

use crate::library::{Error, Result, check, made};

type Function = unsafe extern "C" fn() -> *const EVP_CIPHER;

const CIPHERS: [(&str, Function); 12] = [
    ("aes-128-cbc", EVP_aes_128_cbc),
    ("aes-128-ctr", EVP_aes_128_ctr),
    ("aes-128-ecb", EVP_aes_128_ecb),
    ("aes-128-gcm", EVP_aes_128_gcm),
    ("aes-192-cbc", EVP_aes_192_cbc),
    ("aes-192-ctr", EVP_aes_192_ctr),
    ("aes-192-ecb", EVP_aes_192_ecb),
    ("aes-192-gcm", EVP_aes_192_gcm),
    ("aes-256-cbc", EVP_aes_256_cbc),
    ("aes-256-ctr", EVP_aes_256_ctr),
    ("aes-256-ecb", EVP_aes_256_ecb),
    ("aes-256-gcm", EVP_aes_256_gcm),
];

const ALIASES: [(&str, &str); 3] =
    [("aes128", "aes-128-cbc"), ("aes192", "aes-192-cbc"), ("aes256", "aes-256-cbc")];

/// The longest of all blocks.
const BLOCK: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Encrypt,
    Decrypt,
}

/// A text on its way through a cipher.
pub struct Cipher {
    context: *mut EVP_CIPHER_CTX,
    direction: Direction,
    authenticates: bool,
}

/// What a cipher wants, and how Node calls its mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub name: &'static str,
    pub mode: &'static str,
    pub key_bytes: usize,
    /// None for a mode without one.
    pub iv_bytes: usize,
}

fn find(name: &str) -> Option<(&'static str, *const EVP_CIPHER)> {
    let lower = name.to_ascii_lowercase();
    let alias = ALIASES.iter().find(|(alias, _)| *alias == lower);
    let plain = alias.map_or(lower.as_str(), |(_, name)| name);
    // SAFETY: it returns a static description.
    CIPHERS.iter().find(|(name, _)| *name == plain).map(|(name, make)| (*name, unsafe { make() }))
}

impl Cipher {
    /// Bytes that the library holds for one: the schedules of its key.
    pub const NATIVE_BYTES: usize = 1200;

    /// Most bytes that one call of the library takes.
    pub const LONGEST_PART: usize = 1 << 30;

    pub fn names() -> impl Iterator<Item = &'static str> {
        CIPHERS.iter().map(|(name, _)| *name)
    }

    pub fn shape(name: &str) -> Option<Shape> {
        let (name, cipher) = find(name)?;
        // SAFETY: the description is static.
        unsafe {
            let mode = match EVP_CIPHER_mode(cipher) as i32 {
                EVP_CIPH_CBC_MODE => "cbc",
                EVP_CIPH_CTR_MODE => "ctr",
                EVP_CIPH_ECB_MODE => "ecb",
                EVP_CIPH_GCM_MODE => "gcm",
                _ => return None,
            };
            Some(Shape {
                name,
                mode,
                key_bytes: EVP_CIPHER_key_length(cipher) as usize,
                iv_bytes: EVP_CIPHER_iv_length(cipher) as usize,
            })
        }
    }

    pub fn new(name: &str, key: &[u8], iv: &[u8], direction: Direction) -> Result<Self> {
        let shape = Cipher::shape(name).ok_or_else(|| Error::of("UNKNOWN_CIPHER"))?;
        let (_, cipher) = find(name).ok_or_else(|| Error::of("UNKNOWN_CIPHER"))?;
        let authenticates = shape.mode == "gcm";
        if key.len() != shape.key_bytes {
            return Err(Error::of("INVALID_KEY_LENGTH"));
        }
        // GCM takes any but an empty one.
        let fits = if authenticates { !iv.is_empty() } else { iv.len() == shape.iv_bytes };
        if !fits {
            return Err(Error::of("INVALID_IV"));
        }
        let iv_bytes = i32::try_from(iv.len()).map_err(|_| Error::of("INVALID_IV"))?;
        let encrypt = i32::from(direction == Direction::Encrypt);
        // SAFETY: no precondition.
        let context = made(unsafe { EVP_CIPHER_CTX_new() })?;
        let made = Cipher { context, direction, authenticates };
        // SAFETY: the context is alive; key and iv have the lengths that the cipher reads, which is
        // what was checked, and for GCM set before the iv is read.
        unsafe {
            let none = ptr::null();
            check(EVP_CipherInit_ex(context, cipher, ptr::null_mut(), none, none, encrypt))?;
            if authenticates {
                let command = EVP_CTRL_AEAD_SET_IVLEN;
                check(EVP_CIPHER_CTX_ctrl(context, command, iv_bytes, ptr::null_mut()))?;
            }
            let (key, iv) = (key.as_ptr(), iv.as_ptr());
            check(EVP_CipherInit_ex(context, ptr::null(), ptr::null_mut(), key, iv, encrypt))?;
        }
        Ok(made)
    }

    pub fn set_padding(&mut self, pads: bool) -> Result<()> {
        // SAFETY: the context is alive.
        check(unsafe { EVP_CIPHER_CTX_set_padding(self.context, pads.into()) })
    }

    /// Appends to `result` what comes out of `part`, which has [`LONGEST_PART`](Self::LONGEST_PART)
    /// bytes at most.
    pub fn update(&mut self, part: &[u8], result: &mut Vec<u8>) -> Result<()> {
        let len = i32::try_from(part.len()).map_err(|_| Error::of("TOO_LONG"))?;
        let before = result.len();
        result.resize(before + part.len() + BLOCK, 0);
        let room = result.get_mut(before..).unwrap_or_default();
        let mut count = 0;
        // SAFETY: what comes out is at most a block longer than what goes in, and there is room
        // for that.
        let done = check(unsafe {
            EVP_CipherUpdate(self.context, room.as_mut_ptr(), &mut count, part.as_ptr(), len)
        });
        result.truncate(before + usize::try_from(count).unwrap_or(0));
        done
    }

    /// What is authenticated without being encrypted.
    pub fn authenticate(&mut self, part: &[u8]) -> Result<()> {
        let len = i32::try_from(part.len()).map_err(|_| Error::of("TOO_LONG"))?;
        let mut count = 0;
        // SAFETY: without an output, the part is additional data.
        check(unsafe {
            EVP_CipherUpdate(self.context, ptr::null_mut(), &mut count, part.as_ptr(), len)
        })
    }

    /// The tag that what is decrypted has to have.
    pub fn expect_tag(&mut self, tag: &[u8]) -> Result<()> {
        let len = i32::try_from(tag.len()).map_err(|_| Error::of("INVALID_TAG"))?;
        // SAFETY: the library copies `len` bytes and writes nothing.
        check(unsafe {
            let tag = tag.as_ptr().cast_mut().cast();
            EVP_CIPHER_CTX_ctrl(self.context, EVP_CTRL_AEAD_SET_TAG, len, tag)
        })
    }

    /// The tag of what was encrypted, once it is finished.
    pub fn tag(&self, len: usize) -> Result<Vec<u8>> {
        let mut tag = vec![0; len.min(BLOCK)];
        let len = i32::try_from(tag.len()).map_err(|_| Error::of("INVALID_TAG"))?;
        // SAFETY: the library writes `len` bytes.
        check(unsafe {
            EVP_CIPHER_CTX_ctrl(self.context, EVP_CTRL_AEAD_GET_TAG, len, tag.as_mut_ptr().cast())
        })?;
        Ok(tag)
    }

    /// What comes last.
    pub fn finish(&mut self) -> Result<Vec<u8>> {
        let mut result = vec![0; BLOCK];
        let mut count = 0;
        // SAFETY: at most a block comes out.
        let done =
            check(unsafe { EVP_CipherFinal_ex(self.context, result.as_mut_ptr(), &mut count) });
        match done {
            Err(_) if self.authenticates && self.direction == Direction::Decrypt => {
                return Err(Error::of("UNAUTHENTICATED"));
            }
            done => done?,
        }
        result.truncate(usize::try_from(count).unwrap_or(0));
        Ok(result)
    }
}

impl Drop for Cipher {
    fn drop(&mut self) {
        // SAFETY: it is ours, and freed once.
        unsafe { EVP_CIPHER_CTX_free(self.context) }
    }
}
