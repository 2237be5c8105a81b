//! Which worker attends a config: a lock that the session holds until it lets go or ends. It is in
//! the space of advisory locks, where no function of SQL reaches it.

use pgrx::pg_sys;

use crate::worker::hold;

/// The functions of SQL use 1 and 2.
const OURS: u16 = 3;

/// Whether the config is this session's from now on.
pub fn claim(config_id: i32) -> bool {
    hold::take(tag(config_id))
}

/// Leaves the config to others.
pub fn release(config_id: i32) {
    hold::let_go(&tag(config_id));
}

fn tag(config_id: i32) -> pg_sys::LOCKTAG {
    // SAFETY: a variable of the server, and look-ups of constant names.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"posthog_plugins".as_ptr(), true);
        let table = pg_sys::get_relname_relid(c"queue_consumer".as_ptr(), schema);
        pg_sys::LOCKTAG {
            locktag_field1: pg_sys::MyDatabaseId.to_u32(),
            locktag_field2: table.to_u32(),
            locktag_field3: config_id.cast_unsigned(),
            locktag_field4: OURS,
            locktag_type: pg_sys::LockTagType::LOCKTAG_ADVISORY as u8,
            locktag_lockmethodid: pg_sys::USER_LOCKMETHOD as u8,
        }
    }
}
