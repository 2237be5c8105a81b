//! Which of a database's workers a process is: the first number that is free. A seat is an advisory
//! lock with a key that SQL cannot name, so nobody else can take it, and it is free as soon as the
//! process is gone.

use pgrx::pg_sys;

use super::hold;

/// What tells seats from other advisory locks. SQL's own have 1 or 2 in the place of `SUBKEY`.
pub const KEY: u32 = u32::from_be_bytes(*b"phog");
pub const SUBKEY: u16 = 3;

/// Takes the first free seat of so many in this database, for as long as the process lives.
pub fn take(seats: u16) -> Option<u16> {
    (1..=seats).find(|number| {
        let tag = pg_sys::LOCKTAG {
            // SAFETY: set when the process was connected.
            locktag_field1: unsafe { pg_sys::MyDatabaseId }.to_u32(),
            locktag_field2: KEY,
            locktag_field3: u32::from(*number),
            locktag_field4: SUBKEY,
            locktag_type: pg_sys::LockTagType::LOCKTAG_ADVISORY as u8,
            locktag_lockmethodid: pg_sys::USER_LOCKMETHOD as u8,
        };
        hold::take(tag)
    })
}
