//! Tar archives packed with gzip. They have no directory: files are found by reading through, once
//! to list them and once for each that is wanted, so that no more than one file is ever in memory.

use std::cell::Cell;
use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use tar::{Entry, EntryType};

use super::listing::{File, Listing};
use super::{ArchiveError, Limits, read_within};

/// How gzip begins.
pub(super) const MAGIC: &[u8] = &[0x1f, 0x8b];

pub(super) struct Archive<'a> {
    pub listing: Listing,
    bytes: &'a [u8],
    limits: Limits,
}

/// The unpacked stream, which fails when more comes out than is allowed.
struct Unpacked<'a> {
    stream: MultiGzDecoder<&'a [u8]>,
    allowed: usize,
    overrun: &'a Cell<bool>,
}

impl<'a> Archive<'a> {
    pub fn open(bytes: &'a [u8], limits: Limits) -> Result<Self, ArchiveError> {
        let mut archive = Self { listing: Listing::default(), bytes, limits };
        let mut listing = Listing::default();
        archive.scan(|position, entry| {
            if position >= limits.entries {
                return Err(ArchiveError::TooManyEntries { limit: limits.entries });
            }
            let kind = entry.header().entry_type();
            // GitHub's archives begin with a header for all files that carries the commit.
            if matches!(kind, EntryType::Directory | EntryType::XGlobalHeader) {
                return Ok(None);
            }
            let special = !matches!(kind, EntryType::Regular | EntryType::Continuous);
            let path = entry.path_bytes();
            let path = str::from_utf8(&path).map_err(broken)?;
            listing.add(path, File { position, special })?;
            Ok(None::<()>)
        })?;
        archive.listing = listing.settle();
        Ok(archive)
    }

    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>, ArchiveError> {
        let Some(wanted) = self.listing.find(path)? else { return Ok(None) };
        let limit = self.limits.file_bytes;
        self.scan(|position, entry| {
            if position != wanted {
                return Ok(None);
            }
            let stated = entry.size();
            match read_within(entry, limit).map_err(broken)? {
                Some(bytes) if bytes.len() as u64 == stated => Ok(Some(bytes)),
                Some(_) => Err(broken("it ends within a file")),
                None => Err(ArchiveError::too_large(path, limit)),
            }
        })
    }

    /// Shows `visit` every entry until it has what it wants.
    fn scan<T>(
        &self,
        mut visit: impl FnMut(usize, &mut Entry<Unpacked>) -> Result<Option<T>, ArchiveError>,
    ) -> Result<Option<T>, ArchiveError> {
        let overrun = Cell::new(false);
        let stream = MultiGzDecoder::new(self.bytes);
        let unpacked = Unpacked { stream, allowed: self.limits.unpacked_bytes, overrun: &overrun };
        let visit_all = || {
            for (position, entry) in
                tar::Archive::new(unpacked).entries().map_err(broken)?.enumerate()
            {
                if let Some(found) = visit(position, &mut entry.map_err(broken)?)? {
                    return Ok(Some(found));
                }
            }
            Ok(None)
        };
        match visit_all() {
            Err(_) if overrun.get() => {
                Err(ArchiveError::too_large("unpacked archive", self.limits.unpacked_bytes))
            }
            result => result,
        }
    }
}

impl Read for Unpacked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        match self.allowed.checked_sub(count) {
            Some(left) => {
                self.allowed = left;
                Ok(count)
            }
            None => {
                self.overrun.set(true);
                Err(io::ErrorKind::FileTooLarge.into())
            }
        }
    }
}

fn broken(reason: impl std::fmt::Display) -> ArchiveError {
    ArchiveError::Broken { format: "tar.gz", reason: reason.to_string() }
}
