//! What is known of an address, out of a MaxMind database that the administrator names.
//!
//! Sessions share one mapping of it, as such a file has a hundred megabytes. What they map is a copy
//! among PostgreSQL's temporary files: whoever overwrites or cuts a mapped file ends every process
//! that looks into it with SIGBUS, and nobody does that there.

mod record;

use std::cell::RefCell;
use std::fs::{self, Metadata};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use engine::store::Refusal;
use maxminddb::{Mmap, Reader};
use serde_json::Value;

use crate::settings;

/// A new file is noticed that soon; looking for one takes a microsecond.
const LOOKED_EVERY: Duration = Duration::from_secs(1);

/// PostgreSQL removes what is called so when it starts, and leaves it out of base backups. The server
/// works in its data directory.
const DIRECTORY: &str = "base/pgsql_tmp";
const PREFIX: &str = "pgsql_tmp_posthog_geoip.";

const NOT_SET: &str = "55000"; // object_not_in_prerequisite_state
const UNREADABLE: &str = "58030"; // io_error

struct Database {
    path: String,
    /// Tells the file from the one that takes its place.
    stamp: String,
    looked: Instant,
    reader: Result<Reader<Mmap>, String>,
}

thread_local! {
    static DATABASE: RefCell<Option<Database>> = const { RefCell::new(None) };
}

/// What is known of an address, as JSON; `None` for what is unknown or no address.
pub fn locate(address: &str) -> Result<Option<String>, Refusal> {
    let Some(path) = settings::geoip_database() else {
        return Err(Refusal::new(NOT_SET, "posthog_plugins.geoip_database is not set"));
    };
    let Ok(address) = address.trim().parse::<IpAddr>() else { return Ok(None) };
    DATABASE.with_borrow_mut(|database| {
        let is_fresh = |held: &Database| held.path == path && held.looked.elapsed() < LOOKED_EVERY;
        if !database.as_ref().is_some_and(is_fresh) {
            *database = Some(Database::look(path, database.take()));
        }
        let reader = match database.as_ref().map(|held| &held.reader) {
            Some(Ok(reader)) => reader,
            Some(Err(reason)) => return Err(unreadable(reason)),
            None => return Ok(None),
        };
        // The file is not ours: what is wrong in it must not end more than this call.
        let found = catch_unwind(AssertUnwindSafe(|| find(reader, address)));
        found.unwrap_or_else(|_| Err("it is damaged".to_owned())).map_err(|r| unreadable(&r))
    })
}

fn unreadable(reason: &str) -> Refusal {
    Refusal::new(UNREADABLE, format!("the file of posthog_plugins.geoip_database: {reason}"))
}

fn find(reader: &Reader<Mmap>, address: IpAddr) -> Result<Option<String>, String> {
    let found = match reader.lookup(address) {
        Ok(found) => found,
        // An address of a kind that the database does not have.
        Err(maxminddb::MaxMindDbError::InvalidInput { .. }) => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let Some(record) = found.decode::<Value>().map_err(|error| error.to_string())? else {
        return Ok(None);
    };
    let network = found.network().map_err(|error| error.to_string())?;
    Ok(Some(record::shaped(record, address, &network.to_string()).to_string()))
}

impl Database {
    /// Opens the file, unless it is the one that is open.
    fn look(path: String, held: Option<Database>) -> Self {
        let looked = Instant::now();
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) => {
                let reader = Err(error.to_string());
                return Database { path, stamp: String::new(), looked, reader };
            }
        };
        let stamp = stamp(&metadata);
        match held {
            Some(held) if held.stamp == stamp => Database { path, looked, ..held },
            _ => {
                let reader = open(&path, &stamp);
                Database { path, stamp, looked, reader }
            }
        }
    }
}

fn stamp(file: &Metadata) -> String {
    let (second, nanosecond) = (file.mtime(), file.mtime_nsec());
    format!("{:x}.{:x}.{:x}.{second:x}.{nanosecond:x}", file.dev(), file.ino(), file.len())
}

fn open(path: &str, stamp: &str) -> Result<Reader<Mmap>, String> {
    let copy = copy(path, stamp).map_err(|error| error.to_string())?;
    // SAFETY: the copy is in the data directory under a name of its own; nobody writes to it after it
    // got that name, and who removes it leaves the mapping.
    let opened = catch_unwind(|| unsafe { Reader::open_mmap(copy) });
    match opened {
        Ok(reader) => reader.map_err(|error| error.to_string()),
        Err(_) => Err("it is damaged".to_owned()),
    }
}

/// The copy of that file, made if it is not there.
fn copy(path: &str, stamp: &str) -> io::Result<PathBuf> {
    let copy = PathBuf::from(DIRECTORY).join(format!("{PREFIX}{stamp}"));
    if copy.exists() {
        return Ok(copy);
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(DIRECTORY)?;
    let draft = PathBuf::from(DIRECTORY).join(format!("{PREFIX}{}.draft", std::process::id()));
    if let Err(error) = draw_up(path, stamp, &draft) {
        // A full disk is not to stay full. There may be none.
        let _ = fs::remove_file(&draft);
        return Err(error);
    }
    // Of files that are no more. Whoever has one open keeps it.
    for other in fs::read_dir(DIRECTORY)?.flatten() {
        let name = other.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(PREFIX) && !name.ends_with(".draft") {
            // Somebody else may have been faster.
            let _ = fs::remove_file(other.path());
        }
    }
    fs::rename(&draft, &copy)?;
    Ok(copy)
}

fn draw_up(path: &str, stamp: &str, draft: &Path) -> io::Result<()> {
    fs::copy(path, draft)?;
    if self::stamp(&fs::metadata(path)?) == stamp {
        Ok(())
    } else {
        Err(io::Error::other("it is being written"))
    }
}
