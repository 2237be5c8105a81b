//! Signatures, and what only the owner of a key can read.

use std::ptr;

use aws_lc_sys::{
    ECDSA_SIG_free, ECDSA_SIG_from_bytes, ECDSA_SIG_get0, ECDSA_SIG_new, ECDSA_SIG_set0,
    ECDSA_SIG_to_bytes, ERR_clear_error, EVP_DigestSign, EVP_DigestSignInit, EVP_DigestVerify,
    EVP_DigestVerifyInit, EVP_MD_CTX_free, EVP_MD_CTX_new, EVP_PKEY_CTX, EVP_PKEY_CTX_free,
    EVP_PKEY_CTX_new, EVP_PKEY_CTX_set_rsa_mgf1_md, EVP_PKEY_CTX_set_rsa_oaep_md,
    EVP_PKEY_CTX_set_rsa_padding, EVP_PKEY_CTX_set_rsa_pss_saltlen, EVP_PKEY_CTX_set_signature_md,
    EVP_PKEY_decrypt, EVP_PKEY_decrypt_init, EVP_PKEY_encrypt, EVP_PKEY_encrypt_init,
    EVP_PKEY_sign, EVP_PKEY_sign_init, EVP_PKEY_size, EVP_PKEY_verify, EVP_PKEY_verify_init,
    RSA_PKCS1_OAEP_PADDING, RSA_PKCS1_PADDING, RSA_PKCS1_PSS_PADDING,
};

use crate::hash::Digest;
use crate::key::{Key, Kind};
use crate::library::{Error, Number, Result, bytes_of, check, made, taken};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    Pkcs1,
    /// With the length of its salt, or a number below 0 as OpenSSL has them: -1 for the digest's
    /// length, -2 for whatever there is or as much as there is room for.
    Pss(i32),
}

/// How a signature is made.
#[derive(Clone, Copy)]
pub struct Scheme {
    /// What was hashed before. Without, the whole message is signed, as Ed25519 does.
    pub digest: Option<Digest>,
    pub padding: Padding,
    /// Whether the two numbers of ECDSA stand beside each other, instead of in DER.
    pub plain_numbers: bool,
}

/// A use of a key.
struct Context(*mut EVP_PKEY_CTX);

impl Context {
    fn new(key: &Key) -> Result<Self> {
        // SAFETY: the key is alive, and the context holds on to it.
        made(unsafe { EVP_PKEY_CTX_new(key.as_ptr(), ptr::null_mut()) }).map(Context)
    }

    /// Tells how what is signed was hashed and is padded.
    fn prepare(&self, key: &Key, scheme: Scheme, digest: Digest) -> Result<()> {
        // SAFETY: the context is alive and was begun, and descriptions of hashes are static.
        unsafe {
            if key.kind() == Kind::Rsa {
                match scheme.padding {
                    Padding::Pkcs1 => {
                        check(EVP_PKEY_CTX_set_rsa_padding(self.0, RSA_PKCS1_PADDING))?;
                    }
                    Padding::Pss(salt) => {
                        check(EVP_PKEY_CTX_set_rsa_padding(self.0, RSA_PKCS1_PSS_PADDING))?;
                        check(EVP_PKEY_CTX_set_rsa_pss_saltlen(self.0, salt))?;
                    }
                }
            }
            check(EVP_PKEY_CTX_set_signature_md(self.0, digest.as_ptr()))
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: it is ours, and freed once.
        unsafe { EVP_PKEY_CTX_free(self.0) }
    }
}

impl Scheme {
    /// Signs a hash, or the whole message where there is none.
    pub fn sign(self, key: &Key, message: &[u8]) -> Result<Vec<u8>> {
        if !key.is_private() {
            return Err(Error::of("PRIVATE_KEY_REQUIRED"));
        }
        let Some(digest) = self.digest_for(key)? else { return sign_whole(key, message) };
        let context = Context::new(key)?;
        // SAFETY: the context is alive, and the library writes at most as much as it said it would.
        let signature = unsafe {
            check(EVP_PKEY_sign_init(context.0))?;
            context.prepare(key, self, digest)?;
            let mut len = 0;
            let (start, size) = (message.as_ptr(), message.len());
            check(EVP_PKEY_sign(context.0, ptr::null_mut(), &mut len, start, size))?;
            let mut signature = vec![0; len];
            check(EVP_PKEY_sign(context.0, signature.as_mut_ptr(), &mut len, start, size))?;
            signature.truncate(len);
            signature
        };
        match key.coordinate_bytes() {
            Some(width) if self.plain_numbers => numbers_of(&signature, width),
            _ => Ok(signature),
        }
    }

    /// Whether the signature is that of the hash, or of the whole message where there is none.
    pub fn verify(self, key: &Key, message: &[u8], signature: &[u8]) -> Result<bool> {
        let Some(digest) = self.digest_for(key)? else {
            return verify_whole(key, message, signature);
        };
        let der;
        let signature = match key.coordinate_bytes() {
            Some(width) if self.plain_numbers => {
                match signature.split_at_checked(width) {
                    Some((r, s)) if s.len() == width => der = der_of(r, s)?,
                    _ => return Ok(false),
                }
                &der
            }
            _ => signature,
        };
        let context = Context::new(key)?;
        // SAFETY: the context is alive, and every pointer has the length beside it.
        unsafe {
            check(EVP_PKEY_verify_init(context.0))?;
            context.prepare(key, self, digest)?;
            let (start, size) = (message.as_ptr(), message.len());
            let answer =
                EVP_PKEY_verify(context.0, signature.as_ptr(), signature.len(), start, size);
            ERR_clear_error();
            Ok(answer == 1)
        }
    }

    fn digest_for(self, key: &Key) -> Result<Option<Digest>> {
        match (key.kind(), self.digest) {
            (Kind::Ed25519, None) => Ok(None),
            (Kind::Ed25519, Some(_)) => Err(Error::of("INVALID_DIGEST")),
            (_, None) => Err(Error::of("NO_DEFAULT_DIGEST")),
            (_, digest) => Ok(digest),
        }
    }
}

fn sign_whole(key: &Key, message: &[u8]) -> Result<Vec<u8>> {
    // SAFETY: the context is alive until it is freed below; there is room for any signature of the
    // key.
    unsafe {
        let mut len = usize::try_from(EVP_PKEY_size(key.as_ptr())).unwrap_or(0);
        let mut signature = vec![0; len];
        let context = made(EVP_MD_CTX_new())?;
        let none = ptr::null_mut();
        let begun =
            check(EVP_DigestSignInit(context, ptr::null_mut(), ptr::null(), none, key.as_ptr()));
        let (start, size) = (message.as_ptr(), message.len());
        let done = begun.and_then(|()| {
            check(EVP_DigestSign(context, signature.as_mut_ptr(), &mut len, start, size))
        });
        EVP_MD_CTX_free(context);
        done?;
        signature.truncate(len);
        Ok(signature)
    }
}

fn verify_whole(key: &Key, message: &[u8], signature: &[u8]) -> Result<bool> {
    // SAFETY: the context is alive until it is freed below; every pointer has the length beside it.
    unsafe {
        let context = made(EVP_MD_CTX_new())?;
        let none = ptr::null_mut();
        let begun =
            check(EVP_DigestVerifyInit(context, ptr::null_mut(), ptr::null(), none, key.as_ptr()));
        let answer = begun.map(|()| {
            let (start, size) = (message.as_ptr(), message.len());
            EVP_DigestVerify(context, signature.as_ptr(), signature.len(), start, size) == 1
        });
        EVP_MD_CTX_free(context);
        ERR_clear_error();
        answer
    }
}

/// ECDSA's two numbers beside each other, each of that width.
fn numbers_of(der: &[u8], width: usize) -> Result<Vec<u8>> {
    // SAFETY: the numbers are the signature's, and copied before it is freed.
    unsafe {
        let signature = made(ECDSA_SIG_from_bytes(der.as_ptr(), der.len()))?;
        let (mut r, mut s) = (ptr::null(), ptr::null());
        ECDSA_SIG_get0(signature, &mut r, &mut s);
        let numbers =
            bytes_of(r, Some(width)).and_then(|r| Ok([r, bytes_of(s, Some(width))?].concat()));
        ECDSA_SIG_free(signature);
        numbers
    }
}

fn der_of(r: &[u8], s: &[u8]) -> Result<Vec<u8>> {
    let (r, s) = (Number::from_bytes(r)?, Number::from_bytes(s)?);
    // SAFETY: the signature takes the numbers over, and is freed once it is written; what was
    // written is ours.
    unsafe {
        let signature = made(ECDSA_SIG_new())?;
        let (mut block, mut len) = (ptr::null_mut(), 0);
        let done = check(ECDSA_SIG_set0(signature, r.into_ptr(), s.into_ptr()))
            .and_then(|()| check(ECDSA_SIG_to_bytes(&mut block, &mut len, signature)));
        ECDSA_SIG_free(signature);
        done.map(|()| taken(block, len))
    }
}

type Step = unsafe extern "C" fn(*mut EVP_PKEY_CTX, *mut u8, *mut usize, *const u8, usize) -> i32;

/// Encrypts for the owner of an RSA key: with OAEP and that hash, or as PKCS#1 v1.5 does.
pub fn encrypt(key: &Key, oaep: Option<Digest>, text: &[u8]) -> Result<Vec<u8>> {
    transform(key, oaep, text, EVP_PKEY_encrypt_init, EVP_PKEY_encrypt)
}

/// Decrypts what was encrypted for the owner of the key.
pub fn decrypt(key: &Key, oaep: Option<Digest>, text: &[u8]) -> Result<Vec<u8>> {
    if !key.is_private() {
        return Err(Error::of("PRIVATE_KEY_REQUIRED"));
    }
    transform(key, oaep, text, EVP_PKEY_decrypt_init, EVP_PKEY_decrypt)
}

fn transform(
    key: &Key,
    oaep: Option<Digest>,
    text: &[u8],
    begin: unsafe extern "C" fn(*mut EVP_PKEY_CTX) -> i32,
    step: Step,
) -> Result<Vec<u8>> {
    if key.kind() != Kind::Rsa {
        return Err(Error::of("OPERATION_NOT_SUPPORTED_FOR_THIS_KEYTYPE"));
    }
    let context = Context::new(key)?;
    // SAFETY: the context is alive, descriptions of hashes are static, and the library writes at
    // most as much as it said it would.
    unsafe {
        check(begin(context.0))?;
        match oaep {
            Some(digest) => {
                check(EVP_PKEY_CTX_set_rsa_padding(context.0, RSA_PKCS1_OAEP_PADDING))?;
                check(EVP_PKEY_CTX_set_rsa_oaep_md(context.0, digest.as_ptr()))?;
                check(EVP_PKEY_CTX_set_rsa_mgf1_md(context.0, digest.as_ptr()))?;
            }
            None => check(EVP_PKEY_CTX_set_rsa_padding(context.0, RSA_PKCS1_PADDING))?,
        }
        let mut len = 0;
        let (start, size) = (text.as_ptr(), text.len());
        check(step(context.0, ptr::null_mut(), &mut len, start, size))?;
        let mut result = vec![0; len];
        check(step(context.0, result.as_mut_ptr(), &mut len, start, size))?;
        result.truncate(len);
        Ok(result)
    }
}
