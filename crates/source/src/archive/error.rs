//! What can be wrong with a package, said as PostgreSQL says such things.

use crate::manifest::ManifestError;

/// More names than this in a message hide the one that matters.
const NAMES_SHOWN: usize = 10;

/// Why a package is refused. Paths are relative to the package's root folder, except where the
/// archive as a whole is refused for one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// Neither zip nor gzip.
    #[error("plugin archive is neither a zip nor a tar.gz file")]
    Unrecognised,
    /// It begins well and then does not make sense.
    #[error("plugin archive is not a valid {format} file")]
    Broken {
        /// What it claims to be.
        format: &'static str,
        /// What the decoder says.
        reason: String,
    },
    /// Something exceeds its limit.
    #[error("plugin package is too large: \"{what}\" exceeds {limit} bytes")]
    TooLarge {
        /// A path, or the part of the archive.
        what: String,
        /// How much is allowed.
        limit: usize,
    },
    /// More files and folders than allowed.
    #[error("plugin archive has more than {limit} entries")]
    TooManyEntries {
        /// How many are allowed.
        limit: usize,
    },
    /// An entry of the archive has a path that leads out of it.
    #[error("plugin archive holds the unsafe path \"{}\"", path.escape_debug())]
    UnsafePath {
        /// The path as the archive has it.
        path: String,
    },
    /// The manifest names a file outside the package.
    #[error("manifest key \"{key}\" names the unsafe path \"{}\"", path.escape_debug())]
    UnsafeName {
        /// `main` or `lib`.
        key: &'static str,
        /// The path as the manifest has it.
        path: String,
    },
    /// Two files of one path.
    #[error("plugin archive holds \"{path}\" more than once")]
    Repeated {
        /// Theirs.
        path: String,
    },
    /// A wanted file is a link, a device or a pipe.
    #[error("\"{path}\" is not a regular file")]
    Special {
        /// Its path.
        path: String,
    },
    /// The file to run is not there.
    #[error("plugin package has no {}", looked_for.join(" or "))]
    NoEntryFile {
        /// What was looked for.
        looked_for: Vec<String>,
        /// What is there instead, shortened; empty if unknown.
        found: Vec<String>,
    },
    /// A wanted file is not text that can be stored.
    #[error("\"{path}\" is not text in UTF-8")]
    NotText {
        /// Its path.
        path: String,
        /// What is wrong with it, as a sentence.
        reason: String,
    },
    /// `plugin.json` is not JSON.
    #[error("plugin.json is not valid JSON")]
    BrokenManifest {
        /// What the parser says, with line and column.
        reason: String,
    },
    /// `plugin.json` is JSON but not a manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A file could not be read.
    #[error("could not read \"{path}\"")]
    Unreadable {
        /// Its path.
        path: String,
        /// What the system says.
        reason: String,
    },
}

impl ArchiveError {
    pub(super) fn too_large(what: &str, limit: usize) -> Self {
        Self::TooLarge { what: what.into(), limit }
    }

    pub(super) fn broken_manifest(error: serde_json::Error) -> Self {
        Self::BrokenManifest { reason: error.to_string() }
    }

    pub(super) fn no_entry_file(looked_for: Vec<String>, found: &[&str]) -> Self {
        let mut found: Vec<_> = found.iter().map(|&path| path.to_owned()).collect();
        found.sort_by_key(|path| path.matches('/').count());
        if found.len() > NAMES_SHOWN {
            let more = found.len() - NAMES_SHOWN;
            found.truncate(NAMES_SHOWN);
            found.push(format!("{more} more"));
        }
        Self::NoEntryFile { looked_for, found }
    }

    /// The primary message.
    pub fn message(&self) -> String {
        self.to_string()
    }

    /// More about it, in sentences.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Broken { reason, .. }
            | Self::BrokenManifest { reason }
            | Self::Unreadable { reason, .. } => Some(sentence(reason)),
            Self::NotText { reason, .. } => Some(reason.clone()),
            Self::NoEntryFile { found, .. } if !found.is_empty() => {
                Some(format!("It has {}.", found.join(", ")))
            }
            Self::Manifest(error) => error.detail(),
            _ => None,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unrecognised => "Pack the plugin's folder with zip, or with tar and gzip.",
            Self::NoEntryFile { .. } => {
                "The file that \"main\" in plugin.json names must be in the package; a plugin that is \
                 built has to be built before. Without \"main\" it is index.js or index.ts."
            }
            Self::UnsafeName { .. } => "Name a file of the plugin, as in \"dist/index.js\".",
            Self::Special { .. } => "Pack the file itself, not a link to it.",
            Self::Manifest(error) => return error.hint(),
            _ => return None,
        };
        Some(hint.into())
    }
}

/// Decoders speak in fragments.
fn sentence(fragment: &str) -> String {
    let mut letters = fragment.trim_end_matches('.').chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}
