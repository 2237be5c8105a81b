//! Keys of pairs, and what is done with them.

use ::crypto::{Form, Key, Kind, Padding, Scheme};
use rquickjs::function::Func;
use rquickjs::{ArrayBuffer, Ctx, Exception, Object, Result};

use super::errors::thrown;
use super::{Bytes, copied, digest_named};
use crate::globals::native::{Handle, Native};
use crate::globals::{toll, with_bytes};

type KeyHandle<'js> = Handle<'js, Key>;

pub(super) fn add(native: &Object<'_>) -> Result<()> {
    native.set("readKey", Func::from(read))?;
    native.set("rsaKey", Func::from(rsa))?;
    native.set("curveKey", Func::from(on_curve))?;
    native.set("ed25519Key", Func::from(ed25519))?;
    native.set("publicPart", Func::from(public_part))?;
    native.set("sameKey", Func::from(same))?;
    native.set("describeKey", Func::from(describe))?;
    native.set("writeKey", Func::from(write))?;
    native.set("keyMembers", Func::from(members))?;
    native.set("sign", Func::from(sign))?;
    native.set("verify", Func::from(verify))?;
    native.set("encrypt", Func::from(encrypt))?;
    native.set("decrypt", Func::from(decrypt))
}

/// Work with a key costs as much as hashing so many bytes, so that each is followed by a question to
/// the watch.
fn pay(ctx: &Ctx<'_>) -> Result<()> {
    toll::pay(ctx, toll::A_QUESTION)
}

fn keep<'js>(
    ctx: &Ctx<'js>,
    make: impl FnOnce() -> Result<::crypto::Result<Key>>,
) -> Result<KeyHandle<'js>> {
    pay(ctx)?;
    Native::make(ctx, Key::NATIVE_BYTES, || make()?.map_err(|error| thrown(ctx, &error)))
}

fn read<'js>(ctx: Ctx<'js>, der: Bytes<'js>, private: bool) -> Result<KeyHandle<'js>> {
    let read = if private { Key::private_from_der } else { Key::public_from_der };
    keep(&ctx, || with_bytes(&der, read))
}

fn rsa<'js>(ctx: Ctx<'js>, numbers: Vec<Bytes<'js>>) -> Result<KeyHandle<'js>> {
    let numbers = numbers.iter().map(copied).collect::<Result<Vec<_>>>()?;
    let numbers: Vec<&[u8]> = numbers.iter().map(Vec::as_slice).collect();
    keep(&ctx, || match numbers[..] {
        [n, e] => Ok(Key::rsa([n, e], None)),
        [n, e, d, p, q, dp, dq, qi] => Ok(Key::rsa([n, e], Some([d, p, q, dp, dq, qi]))),
        _ => Err(Exception::throw_type(&ctx, "an RSA key has 2 or 8 numbers")),
    })
}

fn on_curve<'js>(
    ctx: Ctx<'js>,
    curve: String,
    x: Bytes<'js>,
    y: Bytes<'js>,
    private: Option<Bytes<'js>>,
) -> Result<KeyHandle<'js>> {
    let (x, y) = (copied(&x)?, copied(&y)?);
    let private = private.as_ref().map(copied).transpose()?;
    keep(&ctx, || Ok(Key::on_curve(&curve, [&x, &y], private.as_deref())))
}

fn ed25519<'js>(ctx: Ctx<'js>, bytes: Bytes<'js>, private: bool) -> Result<KeyHandle<'js>> {
    keep(&ctx, || with_bytes(&bytes, |bytes| Key::ed25519(bytes, private)))
}

fn public_part<'js>(ctx: Ctx<'js>, key: KeyHandle<'js>) -> Result<KeyHandle<'js>> {
    keep(&ctx, || Ok(key.borrow().value().borrow().public_part()))
}

fn same<'js>(left: KeyHandle<'js>, right: KeyHandle<'js>) -> bool {
    left.borrow().value().borrow().same_as(&right.borrow().value().borrow())
}

/// `type`, `bits`, and what there is of `curve` in both names, and `exponent`.
fn describe<'js>(ctx: Ctx<'js>, key: KeyHandle<'js>) -> Result<Object<'js>> {
    let key = key.borrow();
    let key = key.value().borrow();
    let description = Object::new(ctx.clone())?;
    description.set("bits", key.bits())?;
    description.set("crv", key.kind().curve())?;
    description.set(
        "type",
        match key.kind() {
            Kind::Rsa => "rsa",
            Kind::Ec(curve) => {
                description.set("curve", curve)?;
                "ec"
            }
            Kind::Ed25519 => "ed25519",
        },
    )?;
    if let Some(exponent) = key.exponent() {
        description.set("exponent", ArrayBuffer::new_copy(ctx, exponent)?)?;
    }
    Ok(description)
}

fn write<'js>(ctx: Ctx<'js>, key: KeyHandle<'js>, form: String) -> Result<ArrayBuffer<'js>> {
    pay(&ctx)?;
    let form = match form.as_str() {
        "spki" => Form::Spki,
        "pkcs8" => Form::Pkcs8,
        "pkcs1" => Form::Pkcs1,
        "sec1" => Form::Sec1,
        _ => return Err(Exception::throw_type(&ctx, "no such form of a key")),
    };
    let written = key.borrow().value().borrow().write(form);
    ArrayBuffer::new_copy(ctx.clone(), written.map_err(|error| thrown(&ctx, &error))?)
}

/// The numbers of a key by their names in a JWK.
fn members<'js>(ctx: Ctx<'js>, key: KeyHandle<'js>) -> Result<Object<'js>> {
    let members = key.borrow().value().borrow().members();
    let object = Object::new(ctx.clone())?;
    for (name, bytes) in members.map_err(|error| thrown(&ctx, &error))? {
        object.set(name, ArrayBuffer::new_copy(ctx.clone(), bytes)?)?;
    }
    Ok(object)
}

/// How to sign, of an object with `digest`, `salt` for PSS, and `plain`.
fn scheme<'js>(ctx: &Ctx<'js>, how: &Object<'js>) -> Result<Scheme> {
    let digest: Option<String> = how.get("digest")?;
    let salt: Option<i32> = how.get("salt")?;
    Ok(Scheme {
        digest: digest.map(|name| digest_named(ctx, &name)).transpose()?,
        padding: salt.map_or(Padding::Pkcs1, Padding::Pss),
        plain_numbers: how.get::<_, Option<bool>>("plain")?.unwrap_or(false),
    })
}

fn sign<'js>(
    ctx: Ctx<'js>,
    how: Object<'js>,
    key: KeyHandle<'js>,
    message: Bytes<'js>,
) -> Result<ArrayBuffer<'js>> {
    pay(&ctx)?;
    let scheme = scheme(&ctx, &how)?;
    let key = key.borrow();
    let signature = with_bytes(&message, |message| scheme.sign(&key.value().borrow(), message))?;
    ArrayBuffer::new_copy(ctx.clone(), signature.map_err(|error| thrown(&ctx, &error))?)
}

fn verify<'js>(
    ctx: Ctx<'js>,
    how: Object<'js>,
    key: KeyHandle<'js>,
    message: Bytes<'js>,
    signature: Bytes<'js>,
) -> Result<bool> {
    pay(&ctx)?;
    let scheme = scheme(&ctx, &how)?;
    let key = key.borrow();
    let answer = with_bytes(&message, |message| {
        with_bytes(&signature, |signature| scheme.verify(&key.value().borrow(), message, signature))
    })??;
    answer.map_err(|error| thrown(&ctx, &error))
}

type Transform = fn(&Key, Option<::crypto::Digest>, &[u8]) -> ::crypto::Result<Vec<u8>>;

fn transformed<'js>(
    ctx: &Ctx<'js>,
    key: &KeyHandle<'js>,
    oaep: Option<String>,
    text: &Bytes<'js>,
    transform: Transform,
) -> Result<ArrayBuffer<'js>> {
    pay(ctx)?;
    let oaep = oaep.map(|name| digest_named(ctx, &name)).transpose()?;
    let key = key.borrow();
    let result = with_bytes(text, |text| transform(&key.value().borrow(), oaep, text))?;
    ArrayBuffer::new_copy(ctx.clone(), result.map_err(|error| thrown(ctx, &error))?)
}

fn encrypt<'js>(
    ctx: Ctx<'js>,
    key: KeyHandle<'js>,
    oaep: Option<String>,
    text: Bytes<'js>,
) -> Result<ArrayBuffer<'js>> {
    transformed(&ctx, &key, oaep, &text, ::crypto::encrypt)
}

fn decrypt<'js>(
    ctx: Ctx<'js>,
    key: KeyHandle<'js>,
    oaep: Option<String>,
    text: Bytes<'js>,
) -> Result<ArrayBuffer<'js>> {
    transformed(&ctx, &key, oaep, &text, ::crypto::decrypt)
}
