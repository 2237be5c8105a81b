//! Promises about packages: what is found (`contents`), and what hostile archives do not achieve
//! (`attacks`).

mod attacks;
mod contents;

use std::io::{Cursor, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::{ArchiveError, Limits, Package};

type Files<'a> = &'a [(&'a str, &'a str)];

fn zip_of(files: Files) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, contents) in files {
        zip.start_file(*path, SimpleFileOptions::default()).unwrap();
        zip.write_all(contents.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn tar_gz_of(files: Files) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (path, contents) in files {
        let header = header(path, EntryType::Regular, contents.len() as u64);
        tar.append(&header, contents.as_bytes()).unwrap();
    }
    gzip(&tar.into_inner().unwrap())
}

/// The path goes in unchecked, as an attacker would put it.
fn header(path: &str, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(size);
    header.set_cksum();
    header
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn open(bytes: &[u8]) -> Result<Package, ArchiveError> {
    Package::from_archive(bytes, &Limits::default())
}

/// The same files as a zip, as a tar.gz and as a folder must come to the same.
fn open_all(files: Files) -> Result<Package, ArchiveError> {
    let [zip, tar_gz] = [zip_of(files), tar_gz_of(files)].map(|bytes| open(&bytes));
    assert_eq!(zip, tar_gz);
    zip
}
