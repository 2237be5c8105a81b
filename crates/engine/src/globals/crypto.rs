//! `crypto`, as browsers have it: the object is `crypto/web.js`. What it and the module `crypto` do
//! natively is in the files beside it; the work is the crate `crypto`'s.

mod ciphers;
mod errors;
mod keys;
mod running;

use ::crypto::{Digest, fill_random, hkdf, pbkdf2, same_in_constant_time};
use rquickjs::function::{Func, Opt};
use rquickjs::{ArrayBuffer, Ctx, Exception, Function, Object, Result, TypedArray, Value};

use super::{hold, run, toll, with_bytes, with_bytes_mut};
use errors::thrown;

type Bytes<'js> = TypedArray<'js, u8>;

pub(super) fn build<'js>(ctx: &Ctx<'js>) -> Result<Object<'js>> {
    let native = Object::new(ctx.clone())?;
    add_random(&native)?;
    running::add(&native)?;
    keys::add(&native)?;
    let errors: Value<'js> = run(ctx, include_str!("node_errors.js"))?;
    let factory: Function<'js> = run(ctx, include_str!("crypto/web.js"))?;
    factory.call((native, errors))
}

/// Everything, for the module.
pub(crate) fn tools<'js>(ctx: &Ctx<'js>) -> Result<Object<'js>> {
    let native = Object::new(ctx.clone())?;
    add_random(&native)?;
    running::add(&native)?;
    keys::add(&native)?;
    ciphers::add(&native)?;
    native.set("same", Func::from(same))?;
    native.set("pbkdf2", Func::from(derive_pbkdf2))?;
    native.set("hkdf", Func::from(derive_hkdf))?;
    native.set("scrypt", Func::from(derive_scrypt))?;
    Ok(native)
}

fn add_random(native: &Object<'_>) -> Result<()> {
    native.set("fill", Func::from(fill))
}

/// Fills a part of an array with random bytes.
fn fill<'js>(ctx: Ctx<'js>, array: Bytes<'js>) -> Result<()> {
    /// A part takes a tenth of a millisecond.
    const PART: usize = 64 << 10;
    let len = array.len();
    for start in (0..len).step_by(PART) {
        toll::pay(&ctx, PART.min(len - start))?;
        with_bytes_mut(&array, |bytes| {
            let end = (start + PART).min(bytes.len());
            fill_random(bytes.get_mut(start..end).unwrap_or_default())
        })?
        .map_err(|error| thrown(&ctx, &error))?;
    }
    Ok(())
}

fn same<'js>(left: Bytes<'js>, right: Bytes<'js>) -> Result<bool> {
    with_bytes(&left, |left| with_bytes(&right, |right| same_in_constant_time(left, right)))?
}

/// A hash that the script has looked up before.
fn digest_named(ctx: &Ctx<'_>, name: &str) -> Result<Digest> {
    Digest::named(name).ok_or_else(|| Exception::throw_type(ctx, "no such hash"))
}

fn copied(bytes: &Bytes<'_>) -> Result<Vec<u8>> {
    with_bytes(bytes, <[u8]>::to_vec)
}

/// Derives a key of `size` bytes by what `derive` does, in memory that is counted.
fn derived<'js>(
    ctx: &Ctx<'js>,
    size: usize,
    derive: impl FnOnce(&mut [u8]) -> Result<()>,
) -> Result<ArrayBuffer<'js>> {
    let _memory = hold(ctx, size)?;
    let mut key = vec![0; size];
    derive(&mut key)?;
    ArrayBuffer::new_copy(ctx.clone(), key)
}

fn derive_pbkdf2<'js>(
    ctx: Ctx<'js>,
    digest: String,
    password: Bytes<'js>,
    salt: Bytes<'js>,
    rounds: u32,
    size: usize,
) -> Result<ArrayBuffer<'js>> {
    let digest = digest_named(&ctx, &digest)?;
    let (password, salt) = (copied(&password)?, copied(&salt)?);
    derived(&ctx, size, |key| {
        let mut stopped = Ok(());
        let go_on = || {
            stopped = toll::pay(&ctx, toll::A_QUESTION);
            stopped.is_ok()
        };
        let done = pbkdf2(digest, &password, &salt, rounds, key, go_on);
        done.map_err(|error| thrown(&ctx, &error))?;
        stopped
    })
}

fn derive_hkdf<'js>(
    ctx: Ctx<'js>,
    digest: String,
    secret: Bytes<'js>,
    salt: Bytes<'js>,
    info: Bytes<'js>,
    size: usize,
) -> Result<ArrayBuffer<'js>> {
    let digest = digest_named(&ctx, &digest)?;
    let (secret, salt, info) = (copied(&secret)?, copied(&salt)?, copied(&info)?);
    derived(&ctx, size, |key| {
        hkdf(digest, &secret, &salt, &info, key).map_err(|error| thrown(&ctx, &error))
    })
}

/// Blocks of 128 bytes that scrypt may mix, as it cannot be stopped: four times what Node mixes
/// unless it is told otherwise. On a machine with six times as much to do as it can, they took 1.3 s.
const MOST_SCRYPT_WORK: u64 = 1 << 19;

/// `None` when it would take too long.
fn derive_scrypt<'js>(
    ctx: Ctx<'js>,
    password: Bytes<'js>,
    salt: Bytes<'js>,
    costs: Vec<u64>,
    size: Opt<usize>,
) -> Result<Option<ArrayBuffer<'js>>> {
    let [cost, block_size, parallelization] = costs[..] else { return Ok(None) };
    let scrypt = ::crypto::Scrypt { cost, block_size, parallelization };
    if scrypt.work().is_none_or(|work| work > MOST_SCRYPT_WORK) {
        return Ok(None);
    }
    let memory = scrypt.memory().and_then(|bytes| usize::try_from(bytes).ok());
    let _memory = hold(&ctx, memory.unwrap_or(usize::MAX))?;
    let (password, salt) = (copied(&password)?, copied(&salt)?);
    let key = derived(&ctx, size.0.unwrap_or(0), |key| {
        scrypt.derive(&password, &salt, key).map_err(|error| thrown(&ctx, &error))
    })?;
    // The time it took is over; another one may be the one too many.
    toll::pay(&ctx, toll::A_QUESTION)?;
    Ok(Some(key))
}
