//! A package: a plugin's source and manifest, taken out of an archive or a folder.
//!
//! Nothing is ever written to disk and nothing but the three or four files that are needed is
//! looked into. What comes in is hostile until shown otherwise: every length is counted while
//! reading, none is believed.

mod error;
mod listing;
mod tar_gz;
#[cfg(test)]
mod tests;
mod zip;

use std::io::{self, Read};

use serde_json::{Map, Value};

use crate::manifest::Manifest;
pub use error::ArchiveError;
use listing::clean_path;

const MANIFEST: &str = "plugin.json";
/// Events in and events out, by which a plugin can be tested.
const CASES: &str = "cases.json";
/// PostHog's entry files where `main` names none, in its order.
const ENTRIES: [&str; 2] = ["index.js", "index.ts"];
/// Windows editors put it before text; JSON and JavaScript have no place for it.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// What installation needs of a plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct Package {
    /// The text of the entry file. If the manifest has a `lib` and it is there, its text comes
    /// first, as it once ran first; lines of the entry file then count from below it.
    pub source: String,
    /// The path of the entry file within the package, as in `dist/index.js`.
    pub file_name: String,
    /// The contents of `plugin.json`, known to be a valid [`Manifest`]; `{}` if there is none.
    pub manifest: Value,
    /// The text of `cases.json`, if there is one; or why it cannot be read, which does not keep the
    /// plugin from being installed.
    pub cases: Option<Result<String, ArchiveError>>,
}

/// How much is read before a package is refused.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the archive itself.
    pub archive_bytes: usize,
    /// Files and folders in it, wanted or not.
    pub entries: usize,
    /// Bytes of each wanted file, unpacked.
    pub file_bytes: usize,
    /// Bytes of a tar archive, unpacked: unlike a zip, it must be read through to find a file.
    pub unpacked_bytes: usize,
}

impl Default for Limits {
    /// Published plugins are 10 kB to 2 MB packed and a bundle rarely exceeds 1 MB; the limits are
    /// an order of magnitude above that, and still harmless in a backend's memory.
    fn default() -> Self {
        Self {
            archive_bytes: 16 << 20,
            entries: 10_000,
            file_bytes: 8 << 20,
            unpacked_bytes: 64 << 20,
        }
    }
}

impl Package {
    /// Takes a package out of a `.zip` or `.tar.gz`, whatever folder of it the package is in.
    pub fn from_archive(bytes: &[u8], limits: &Limits) -> Result<Self, ArchiveError> {
        if bytes.len() > limits.archive_bytes {
            return Err(ArchiveError::too_large("archive", limits.archive_bytes));
        }
        if bytes.starts_with(zip::MAGIC) || bytes.starts_with(zip::MAGIC_EMPTY) {
            let archive = zip::Archive::open(bytes, *limits)?;
            Self::assemble(&archive.listing.files(), |path| archive.read(path))
        } else if bytes.starts_with(tar_gz::MAGIC) {
            let archive = tar_gz::Archive::open(bytes, *limits)?;
            Self::assemble(&archive.listing.files(), |path| archive.read(path))
        } else {
            Err(ArchiveError::Unrecognised)
        }
    }

    /// Takes a package out of wherever `read` reads. It is given clean relative paths (no `..`, no
    /// leading `/`) and answers None for a file that is not there; it should not follow links out
    /// of the plugin's folder.
    pub fn from_files(
        mut read: impl FnMut(&str) -> io::Result<Option<Vec<u8>>>,
        limits: &Limits,
    ) -> Result<Self, ArchiveError> {
        Self::assemble(&[], |path| match read(path) {
            Ok(Some(bytes)) if bytes.len() > limits.file_bytes => {
                Err(ArchiveError::too_large(path, limits.file_bytes))
            }
            Ok(found) => Ok(found),
            Err(error) => {
                Err(ArchiveError::Unreadable { path: path.into(), reason: error.to_string() })
            }
        })
    }

    fn assemble(
        found: &[&str],
        mut read: impl FnMut(&str) -> Result<Option<Vec<u8>>, ArchiveError>,
    ) -> Result<Self, ArchiveError> {
        let mut read = |path: &str| match read(path)? {
            Some(bytes) => text(path, bytes).map(Some),
            None => Ok(None),
        };
        let raw = match read(MANIFEST)? {
            Some(json) => serde_json::from_str(&json).map_err(ArchiveError::broken_manifest)?,
            None => Value::Object(Map::new()),
        };
        let manifest = Manifest::parse(&raw)?;

        let wanted = match named("main", manifest.main)? {
            Some(main) => vec![main],
            None => ENTRIES.map(str::to_owned).to_vec(),
        };
        let mut present =
            wanted.iter().filter_map(|path| Some((path.clone(), read(path).transpose()?)));
        let Some((file_name, source)) = present.next() else {
            return Err(ArchiveError::no_entry_file(wanted, found));
        };
        let main = source?;

        let lib = match named("lib", manifest.lib)?.filter(|lib| *lib != file_name) {
            Some(lib) => read(&lib)?,
            None => None,
        };
        // The two were scripts of their own; the semicolon keeps a last line without one from
        // running into the first line of the next.
        let source = lib.map(|lib| format!("{lib}\n;\n{main}")).unwrap_or(main);
        Ok(Self { source, file_name, manifest: raw, cases: read(CASES).transpose() })
    }
}

/// The path a manifest key names; empty text names none.
fn named(key: &'static str, path: Option<String>) -> Result<Option<String>, ArchiveError> {
    let Some(path) = path.filter(|path| !path.is_empty()) else { return Ok(None) };
    clean_path(&path).map(Some).ok_or(ArchiveError::UnsafeName { key, path })
}

/// PostgreSQL's text has no NUL, so a file with one could be read but not stored.
fn text(path: &str, bytes: Vec<u8>) -> Result<String, ArchiveError> {
    let not_text =
        |reason: &str| ArchiveError::NotText { path: path.into(), reason: reason.into() };
    let text = String::from_utf8(bytes).map_err(|error| {
        not_text(&format!("Byte {} is not UTF-8.", error.utf8_error().valid_up_to() + 1))
    })?;
    if text.contains('\0') {
        return Err(not_text("It has a NUL byte."));
    }
    Ok(text.strip_prefix(BYTE_ORDER_MARK).map(str::to_owned).unwrap_or(text))
}

/// Everything a reader has, but None as soon as it is more than the limit.
fn read_within(reader: impl Read, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    reader.take((limit as u64).saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= limit).then_some(bytes))
}
