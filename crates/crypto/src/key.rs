//! Public and private keys: read from what they are stored as, and written so.

use std::ptr;

use aws_lc_sys::{
    CBS, CBS_init, EC_GROUP_get_curve_name, EC_KEY, EC_KEY_check_key, EC_KEY_free,
    EC_KEY_get0_group, EC_KEY_get0_private_key, EC_KEY_get0_public_key, EC_KEY_marshal_private_key,
    EC_KEY_new_by_curve_name, EC_KEY_set_private_key, EC_KEY_set_public_key_affine_coordinates,
    EC_POINT_get_affine_coordinates, ERR_clear_error, EVP_PKEY, EVP_PKEY_EC, EVP_PKEY_ED25519,
    EVP_PKEY_RSA, EVP_PKEY_assign_EC_KEY, EVP_PKEY_assign_RSA, EVP_PKEY_bits, EVP_PKEY_cmp,
    EVP_PKEY_free, EVP_PKEY_get_raw_private_key, EVP_PKEY_get_raw_public_key, EVP_PKEY_get0_EC_KEY,
    EVP_PKEY_get0_RSA, EVP_PKEY_id, EVP_PKEY_new, EVP_PKEY_new_raw_private_key,
    EVP_PKEY_new_raw_public_key, EVP_marshal_private_key, EVP_marshal_public_key,
    EVP_parse_public_key, NID_X9_62_prime256v1, NID_secp256k1, NID_secp384r1, NID_secp521r1, RSA,
    RSA_free, RSA_get0_d, RSA_get0_dmp1, RSA_get0_dmq1, RSA_get0_e, RSA_get0_iqmp, RSA_get0_n,
    RSA_get0_p, RSA_get0_q, RSA_new_private_key, RSA_new_public_key, RSA_private_key_to_bytes,
    RSA_public_key_from_bytes, RSA_public_key_to_bytes, d2i_AutoPrivateKey,
};

use crate::library::{Error, Number, Result, bytes_of, check, made, taken, written};

/// Longest RSA modulus: with one of 7680 bits a signature takes 40 ms, with twice as many bits eight
/// times as long, and none can be stopped.
const LONGEST_MODULUS: i32 = 8192;

/// The curves, by their numbers in the library: OpenSSL's name, that in a JWK, bytes of a coordinate.
const CURVES: [(i32, &str, &str, usize); 4] = [
    (NID_X9_62_prime256v1, "prime256v1", "P-256", 32),
    (NID_secp384r1, "secp384r1", "P-384", 48),
    (NID_secp521r1, "secp521r1", "P-521", 66),
    (NID_secp256k1, "secp256k1", "secp256k1", 32),
];

/// Bytes of an Ed25519 key, public or private.
const ED25519_BYTES: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Rsa,
    /// With the name of its curve.
    Ec(&'static str),
    Ed25519,
}

/// What a key is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Any public key.
    Spki,
    /// Any private key.
    Pkcs8,
    /// An RSA key of either sort.
    Pkcs1,
    /// A private key on a curve.
    Sec1,
}

/// A key of a pair.
pub struct Key {
    key: *mut EVP_PKEY,
    kind: Kind,
    private: bool,
}

impl Key {
    /// Bytes that the library holds for one: an RSA key of 4096 bits with its precomputed parts.
    pub const NATIVE_BYTES: usize = 8 << 10;

    /// Reads PKCS#8, PKCS#1 or SEC1.
    pub fn private_from_der(der: &[u8]) -> Result<Self> {
        let len = der.len().try_into().map_err(|_| Error::of("UNSUPPORTED"))?;
        let mut start = der.as_ptr();
        // SAFETY: the library reads `len` bytes.
        Key::adopt(unsafe { d2i_AutoPrivateKey(ptr::null_mut(), &mut start, len) }, true)
    }

    /// Reads a SubjectPublicKeyInfo, or PKCS#1.
    pub fn public_from_der(der: &[u8]) -> Result<Self> {
        // SAFETY: `CBS_init` makes all of the reader, which reads the bytes while they are lent.
        let key = unsafe {
            let mut reader = std::mem::zeroed::<CBS>();
            CBS_init(&mut reader, der.as_ptr(), der.len());
            EVP_parse_public_key(&mut reader)
        };
        if !key.is_null() {
            return Key::adopt(key, false);
        }
        // SAFETY: the queue is this thread's own; the library reads `len` bytes.
        unsafe {
            ERR_clear_error();
            let rsa = RSA_public_key_from_bytes(der.as_ptr(), der.len());
            Key::of_rsa(made(rsa).map_err(|_| Error::of("UNSUPPORTED"))?, false)
        }
    }

    /// An RSA key of its numbers: `n` and `e`; for a private key also `d`, `p`, `q`, `dp`, `dq` and
    /// `qi`.
    pub fn rsa(public: [&[u8]; 2], private: Option<[&[u8]; 6]>) -> Result<Self> {
        let longest = LONGEST_MODULUS.unsigned_abs() as usize / 8;
        if public.iter().chain(private.iter().flatten()).any(|number| number.len() > longest) {
            return Err(Error::of("MODULUS_TOO_LARGE"));
        }
        let [n, e] = public.map(Number::from_bytes);
        let (n, e) = (n?, e?);
        let Some(private) = private else {
            // SAFETY: the library copies the numbers.
            let rsa = unsafe { RSA_new_public_key(n.as_ptr(), e.as_ptr()) };
            // SAFETY: the key is ours.
            return unsafe { Key::of_rsa(made(rsa)?, false) };
        };
        let [d, p, q, dp, dq, qi] = private.map(Number::from_bytes);
        let (d, p, q, dp, dq, qi) = (d?, p?, q?, dp?, dq?, qi?);
        // SAFETY: the library copies the numbers, and checks that they belong together.
        unsafe {
            let rsa = RSA_new_private_key(
                n.as_ptr(),
                e.as_ptr(),
                d.as_ptr(),
                p.as_ptr(),
                q.as_ptr(),
                dp.as_ptr(),
                dq.as_ptr(),
                qi.as_ptr(),
            );
            Key::of_rsa(made(rsa)?, true)
        }
    }

    /// A point on a curve, and the number that leads there where the key is private.
    pub fn on_curve(curve: &str, point: [&[u8]; 2], private: Option<&[u8]>) -> Result<Self> {
        let known = CURVES.iter().find(|(_, _, name, _)| *name == curve);
        let (number, ..) = known.ok_or_else(|| Error::of("UNKNOWN_GROUP"))?;
        let [x, y] = point.map(Number::from_bytes);
        let (x, y) = (x?, y?);
        // SAFETY: the library copies the numbers, and checks that the point is on the curve; the
        // key is freed unless a `Key` has taken it over.
        unsafe {
            let key = made(EC_KEY_new_by_curve_name(*number))?;
            let filled =
                check(EC_KEY_set_public_key_affine_coordinates(key, x.as_ptr(), y.as_ptr()))
                    .and_then(|()| match private {
                        Some(private) => {
                            let private = Number::from_bytes(private)?;
                            check(EC_KEY_set_private_key(key, private.as_ptr()))
                        }
                        None => Ok(()),
                    })
                    .and_then(|()| check(EC_KEY_check_key(key)));
            if let Err(error) = filled {
                EC_KEY_free(key);
                return Err(error);
            }
            Key::of_ec(key, private.is_some())
        }
    }

    pub fn ed25519(bytes: &[u8], private: bool) -> Result<Self> {
        let make = if private { EVP_PKEY_new_raw_private_key } else { EVP_PKEY_new_raw_public_key };
        // SAFETY: the library reads `len` bytes.
        let key = unsafe { make(EVP_PKEY_ED25519, ptr::null_mut(), bytes.as_ptr(), bytes.len()) };
        Key::adopt(key, private)
    }

    /// # Safety
    /// `rsa` is the caller's, who gives it away.
    unsafe fn of_rsa(rsa: *mut RSA, private: bool) -> Result<Self> {
        // SAFETY: what is not taken over is freed.
        unsafe {
            let key = EVP_PKEY_new();
            if key.is_null() || EVP_PKEY_assign_RSA(key, rsa) != 1 {
                RSA_free(rsa);
                EVP_PKEY_free(key);
                return Err(Error::last());
            }
            Key::adopt(key, private)
        }
    }

    /// # Safety
    /// `ec` is the caller's, who gives it away.
    unsafe fn of_ec(ec: *mut EC_KEY, private: bool) -> Result<Self> {
        // SAFETY: what is not taken over is freed.
        unsafe {
            let key = EVP_PKEY_new();
            if key.is_null() || EVP_PKEY_assign_EC_KEY(key, ec) != 1 {
                EC_KEY_free(ec);
                EVP_PKEY_free(key);
                return Err(Error::last());
            }
            Key::adopt(key, private)
        }
    }

    /// Takes over what the library made, if it is of a kind that is known here.
    fn adopt(key: *mut EVP_PKEY, private: bool) -> Result<Self> {
        let key = made(key).map_err(|_| Error::of("UNSUPPORTED"))?;
        // From here on, what is refused is freed.
        let mut made = Key { key, kind: Kind::Ed25519, private };
        // SAFETY: the key is alive, and of the kind that is asked for.
        made.kind = unsafe {
            match EVP_PKEY_id(key) {
                EVP_PKEY_RSA if EVP_PKEY_bits(key) <= LONGEST_MODULUS => Kind::Rsa,
                EVP_PKEY_RSA => return Err(Error::of("MODULUS_TOO_LARGE")),
                EVP_PKEY_EC => {
                    let group = EC_KEY_get0_group(EVP_PKEY_get0_EC_KEY(key));
                    let number = EC_GROUP_get_curve_name(group);
                    let curve = CURVES.iter().find(|(known, ..)| *known == number);
                    Kind::Ec(curve.ok_or_else(|| Error::of("UNKNOWN_GROUP"))?.1)
                }
                EVP_PKEY_ED25519 => Kind::Ed25519,
                _ => return Err(Error::of("UNSUPPORTED")),
            }
        };
        Ok(made)
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn is_private(&self) -> bool {
        self.private
    }

    pub fn bits(&self) -> usize {
        // SAFETY: the key is alive.
        usize::try_from(unsafe { EVP_PKEY_bits(self.key) }).unwrap_or(0)
    }

    /// The public exponent of an RSA key, big-endian.
    pub fn exponent(&self) -> Option<Vec<u8>> {
        // SAFETY: the key is alive, and what is lent of it is copied.
        unsafe {
            let rsa = EVP_PKEY_get0_RSA(self.key);
            if self.kind != Kind::Rsa || rsa.is_null() {
                return None;
            }
            bytes_of(RSA_get0_e(rsa), None).ok()
        }
    }

    /// Bytes of a coordinate, for a key on a curve.
    pub(crate) fn coordinate_bytes(&self) -> Option<usize> {
        let Kind::Ec(curve) = self.kind else { return None };
        CURVES.iter().find(|(_, name, ..)| *name == curve).map(|(.., bytes)| *bytes)
    }

    pub(crate) fn as_ptr(&self) -> *mut EVP_PKEY {
        self.key
    }

    pub fn public_part(&self) -> Result<Key> {
        Key::public_from_der(&self.write(Form::Spki)?)
    }

    pub fn same_as(&self, other: &Key) -> bool {
        // SAFETY: both are alive.
        let same_public = unsafe { EVP_PKEY_cmp(self.key, other.key) } == 1;
        same_public && self.private == other.private
    }

    pub fn write(&self, form: Form) -> Result<Vec<u8>> {
        let wrong = || Err(Error::of("WRONG_KEY_TYPE"));
        if matches!(form, Form::Pkcs8 | Form::Sec1) && !self.private {
            return wrong();
        }
        // SAFETY: the key is alive and of the kind whose parts are asked for; what the library
        // writes is ours.
        unsafe {
            match (form, self.kind) {
                (Form::Spki, _) => written(|out| EVP_marshal_public_key(out, self.key)),
                (Form::Pkcs8, _) => written(|out| EVP_marshal_private_key(out, self.key)),
                (Form::Pkcs1, Kind::Rsa) => {
                    let write = if self.private {
                        RSA_private_key_to_bytes
                    } else {
                        RSA_public_key_to_bytes
                    };
                    let (mut block, mut len) = (ptr::null_mut(), 0);
                    check(write(&mut block, &mut len, EVP_PKEY_get0_RSA(self.key)))?;
                    Ok(taken(block, len))
                }
                (Form::Sec1, Kind::Ec(_)) => written(|out| {
                    EC_KEY_marshal_private_key(out, EVP_PKEY_get0_EC_KEY(self.key), 0)
                }),
                _ => wrong(),
            }
        }
    }

    /// The members of a JWK that are not names, by their names.
    pub fn members(&self) -> Result<Vec<(&'static str, Vec<u8>)>> {
        // SAFETY: the key is alive and of the kind whose parts are asked for; what is lent of it is
        // copied before the key can go.
        unsafe {
            match self.kind {
                Kind::Rsa => {
                    let rsa = EVP_PKEY_get0_RSA(self.key);
                    let public = [("n", RSA_get0_n(rsa)), ("e", RSA_get0_e(rsa))];
                    let private = [
                        ("d", RSA_get0_d(rsa)),
                        ("p", RSA_get0_p(rsa)),
                        ("q", RSA_get0_q(rsa)),
                        ("dp", RSA_get0_dmp1(rsa)),
                        ("dq", RSA_get0_dmq1(rsa)),
                        ("qi", RSA_get0_iqmp(rsa)),
                    ];
                    let private = private.into_iter().filter(|_| self.private);
                    public
                        .into_iter()
                        .chain(private)
                        .map(|(name, number)| Ok((name, bytes_of(number, None)?)))
                        .collect()
                }
                Kind::Ec(_) => {
                    let width = self.coordinate_bytes();
                    let key = EVP_PKEY_get0_EC_KEY(self.key);
                    let (x, y) = (Number::new()?, Number::new()?);
                    check(EC_POINT_get_affine_coordinates(
                        EC_KEY_get0_group(key),
                        EC_KEY_get0_public_key(key),
                        x.as_ptr(),
                        y.as_ptr(),
                        ptr::null_mut(),
                    ))?;
                    let mut members = vec![
                        ("x", bytes_of(x.as_ptr(), width)?),
                        ("y", bytes_of(y.as_ptr(), width)?),
                    ];
                    if self.private {
                        members.push(("d", bytes_of(EC_KEY_get0_private_key(key), width)?));
                    }
                    Ok(members)
                }
                Kind::Ed25519 => {
                    let raw = |read: RawReader| {
                        let (mut bytes, mut len) = (vec![0; ED25519_BYTES], ED25519_BYTES);
                        check(read(self.key, bytes.as_mut_ptr(), &mut len))?;
                        Ok(bytes)
                    };
                    let mut members = vec![("x", raw(EVP_PKEY_get_raw_public_key)?)];
                    if self.private {
                        members.push(("d", raw(EVP_PKEY_get_raw_private_key)?));
                    }
                    Ok(members)
                }
            }
        }
    }
}

type RawReader = unsafe extern "C" fn(*const EVP_PKEY, *mut u8, *mut usize) -> i32;

impl Kind {
    /// The curve as a JWK names it.
    pub fn curve(self) -> Option<&'static str> {
        match self {
            Kind::Rsa => None,
            Kind::Ec(curve) => {
                CURVES.iter().find(|(_, name, ..)| *name == curve).map(|(_, _, name, _)| *name)
            }
            Kind::Ed25519 => Some("Ed25519"),
        }
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: it is ours, and freed once.
        unsafe { EVP_PKEY_free(self.key) }
    }
}
