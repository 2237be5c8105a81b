//! Zip archives: the directory at the end says where each file is, and only wanted ones are
//! decompressed.

use std::io::Cursor;

use ::zip::ZipArchive;

use super::listing::{File, Listing};
use super::{ArchiveError, Limits, read_within};

/// How a zip begins; self-extracting ones, which begin with a program, are not taken.
pub(super) const MAGIC: &[u8] = b"PK\x03\x04";
/// How a zip without files begins.
pub(super) const MAGIC_EMPTY: &[u8] = b"PK\x05\x06";
/// How each entry of the directory begins.
const DIRECTORY_ENTRY: &[u8] = b"PK\x01\x02";

pub(super) struct Archive<'a> {
    pub listing: Listing,
    zip: ZipArchive<Cursor<&'a [u8]>>,
    limits: Limits,
}

impl<'a> Archive<'a> {
    pub fn open(bytes: &'a [u8], limits: Limits) -> Result<Self, ArchiveError> {
        // Before the library builds its table, of some 300 bytes an entry. The count stated in
        // the archive can lie; an entry without its mark is none.
        let entries = bytes.windows(DIRECTORY_ENTRY.len()).filter(|four| *four == DIRECTORY_ENTRY);
        if entries.take(limits.entries + 1).count() > limits.entries {
            return Err(ArchiveError::TooManyEntries { limit: limits.entries });
        }
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
        if zip.metadata().has_duplicate_names() {
            return Err(broken("two entries have the same name"));
        }
        let mut listing = Listing::default();
        for position in 0..zip.len() {
            let entry = zip.by_index_data(position).map_err(broken)?;
            let name = entry.name().map_err(broken)?;
            if !entry.is_dir() {
                listing.add(&name, File { position, special: entry.is_symlink() })?;
            }
        }
        Ok(Self { listing: listing.settle(), zip, limits })
    }

    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>, ArchiveError> {
        let Some(position) = self.listing.find(path)? else { return Ok(None) };
        // Reading moves a cursor; a clone is that cursor and a count of references.
        let mut zip = self.zip.clone();
        let entry = zip.by_index(position).map_err(broken)?;
        match read_within(entry, self.limits.file_bytes).map_err(broken)? {
            Some(bytes) => Ok(Some(bytes)),
            None => Err(ArchiveError::too_large(path, self.limits.file_bytes)),
        }
    }
}

fn broken(reason: impl std::fmt::Display) -> ArchiveError {
    ArchiveError::Broken { format: "zip", reason: reason.to_string() }
}
