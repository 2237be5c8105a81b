//! What Node's `crypto` does, over the C interface of AWS-LC: hashes, keys, signatures, ciphers,
//! derived keys, random bytes. Knows nothing of JavaScript. All `unsafe` of it is in this crate.

mod cipher;
mod derive;
mod hash;
mod key;
mod library;
mod random;
mod signature;

pub use cipher::{Cipher, Direction, Shape};
pub use derive::{Scrypt, hkdf, pbkdf2};
pub use hash::{Digest, Hash, Hmac};
pub use key::{Form, Key, Kind};
pub use library::{Error, Result};
pub use random::{fill_random, same_in_constant_time};
pub use signature::{Padding, Scheme, decrypt, encrypt};
