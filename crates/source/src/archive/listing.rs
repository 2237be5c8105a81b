//! What is in an archive, by path within the package: the root folder that archives are wrapped
//! in (`repository-1a2b3c/` by GitHub, `package/` by npm) is found and taken off.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::ArchiveError;

/// The files of an archive.
#[derive(Default)]
pub(super) struct Listing {
    files: BTreeMap<String, File>,
    root: String,
}

/// Where a file stands in its archive.
#[derive(Clone, Copy)]
pub(super) struct File {
    pub position: usize,
    /// A symbolic or hard link, a device, a pipe: something other than its own bytes.
    pub special: bool,
}

impl Listing {
    /// Adds a file under the path the archive gives it. A hostile path condemns the whole archive:
    /// no honest tool writes one.
    pub fn add(&mut self, path: &str, file: File) -> Result<(), ArchiveError> {
        let clean =
            clean_path(path).ok_or_else(|| ArchiveError::UnsafePath { path: path.into() })?;
        if is_litter(&clean) {
            return Ok(());
        }
        match self.files.entry(clean) {
            Entry::Vacant(place) => place.insert(file),
            // Which of two files of one name counts differs between tools; that difference has
            // been used to show one file to a reviewer and another to the machine.
            Entry::Occupied(taken) => {
                return Err(ArchiveError::Repeated { path: taken.key().clone() });
            }
        };
        Ok(())
    }

    /// Settles the root: the deepest folder that holds every file.
    pub fn settle(mut self) -> Self {
        let folders = |path: &String| folder_of(path).to_owned();
        self.root = self.files.keys().map(folders).reduce(common_folder).unwrap_or_default();
        self
    }

    /// The position of a file of the package.
    pub fn find(&self, path: &str) -> Result<Option<usize>, ArchiveError> {
        match self.files.get(&format!("{}{path}", self.root)) {
            Some(file) if file.special => Err(ArchiveError::Special { path: path.into() }),
            found => Ok(found.map(|file| file.position)),
        }
    }

    /// The paths of all files, below the root.
    pub fn files(&self) -> Vec<&str> {
        self.files.keys().filter_map(|path| path.strip_prefix(&self.root)).collect()
    }
}

/// A relative path without `.` and empty steps. None if it is absolute, leads upwards, or holds
/// what another system would read as a separator or an end.
pub(super) fn clean_path(path: &str) -> Option<String> {
    if path.starts_with('/') || path.contains(['\\', '\0']) {
        return None;
    }
    let steps: Vec<_> = path.split('/').filter(|step| !matches!(*step, "" | ".")).collect();
    let safe = !steps.is_empty() && !steps.contains(&"..");
    safe.then(|| steps.join("/"))
}

/// What macOS adds to archives, beside the root folder as well.
fn is_litter(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    path.starts_with("__MACOSX/") || name.starts_with("._") || name == ".DS_Store"
}

/// With its closing slash; empty at the top.
fn folder_of(path: &str) -> &str {
    path.rfind('/').map_or("", |slash| path.split_at(slash + 1).0)
}

fn common_folder(a: String, b: String) -> String {
    let same = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    folder_of(a.get(..same).unwrap_or_default()).to_owned()
}
