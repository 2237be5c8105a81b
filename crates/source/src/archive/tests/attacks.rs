//! What hostile archives, manifests and plain damage do not achieve: leaving the package, filling
//! memory, being taken for something else, or a panic.

use std::cell::RefCell;
use std::io::{Cursor, Write};

use proptest::prelude::*;
use tar::EntryType;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::super::{ArchiveError, Limits, Package};
use super::{Files, gzip, header, open, open_all, tar_gz_of, zip_of};

const SMALL: Limits =
    Limits { archive_bytes: 1 << 20, entries: 4, file_bytes: 1000, unpacked_bytes: 100_000 };

fn both(files: Files) -> [Vec<u8>; 2] {
    [zip_of(files), tar_gz_of(files)]
}

/// Where `needle` is, to forge what stands there.
fn find(bytes: &[u8], needle: &[u8]) -> usize {
    bytes.windows(needle.len()).position(|window| window == needle).unwrap()
}

#[test]
fn a_path_that_leads_out_of_the_archive_is_refused() {
    for path in ["../x.js", "a/../../x.js", "/etc/passwd", "..", "a\\..\\x.js", "C:\\x.js"] {
        let error = open_all(&[("index.js", ""), (path, "")]).unwrap_err();
        assert_eq!(error, ArchiveError::UnsafePath { path: path.into() });
    }
}

#[test]
fn a_path_with_nul_is_refused() {
    let mut zip = zip_of(&[("index.js", ""), ("abcdef.js", "")]);
    while let Some(at) = zip.windows(6).position(|window| window == b"abcdef") {
        zip[at + 3] = 0;
    }
    assert!(matches!(open(&zip), Err(ArchiveError::UnsafePath { .. })));
}

#[test]
fn main_and_lib_cannot_leave_the_package_and_nothing_is_read() {
    for path in ["../../etc/passwd", "/etc/passwd", "a\\b.js", "a/../../b", ".", "a\0b"] {
        for key in ["main", "lib"] {
            let json = serde_json::json!({ key: path }).to_string();
            let error = open_all(&[("plugin.json", &json), ("index.js", "")]).unwrap_err();
            assert_eq!(error, ArchiveError::UnsafeName { key, path: path.into() });

            let asked = RefCell::new(Vec::new());
            let read = |path: &str| {
                asked.borrow_mut().push(path.to_owned());
                Ok((path != "index.js").then(|| json.clone().into_bytes()))
            };
            let _ = Package::from_files(read, &Limits::default());
            let harmless =
                |path: &String| ["plugin.json", "index.js", "index.ts"].contains(&&**path);
            assert!(asked.borrow().iter().all(harmless), "{asked:?}");
        }
    }
}

#[test]
fn a_link_is_never_followed() {
    for kind in [EntryType::Symlink, EntryType::Link, EntryType::Fifo, EntryType::Char] {
        let mut tar = tar::Builder::new(Vec::new());
        let mut link = header("index.js", kind, 0);
        link.set_link_name("/etc/passwd").unwrap();
        link.set_cksum();
        tar.append(&link, &[][..]).unwrap();
        let error = open(&gzip(&tar.into_inner().unwrap())).unwrap_err();
        assert_eq!(error.message(), "\"index.js\" is not a regular file");
    }
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.add_symlink("index.js", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    let error = open(&zip.finish().unwrap().into_inner()).unwrap_err();
    assert_eq!(error.message(), "\"index.js\" is not a regular file");
}

#[test]
fn a_link_nobody_wants_harms_nobody() {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.add_symlink("latest", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    zip.start_file("index.js", SimpleFileOptions::default()).unwrap();
    zip.write_all(b"js").unwrap();
    assert_eq!(open(&zip.finish().unwrap().into_inner()).unwrap().source, "js");
}

#[test]
fn a_name_given_twice_is_refused() {
    let error = open(&tar_gz_of(&[("index.js", "good"), ("./index.js", "evil")])).unwrap_err();
    assert_eq!(error, ArchiveError::Repeated { path: "index.js".into() });

    let mut zip = zip_of(&[("index.js", "good"), ("imdex.js", "evil")]);
    while let Some(at) = zip.windows(8).position(|window| window == b"imdex.js") {
        zip[at + 1] = b'n';
    }
    assert!(matches!(open(&zip), Err(ArchiveError::Broken { format: "zip", .. })));
}

#[test]
fn an_archive_over_its_limit_is_not_looked_into() {
    let limits = Limits { archive_bytes: 10, ..SMALL };
    for bytes in both(&[("index.js", "js")]) {
        let error = Package::from_archive(&bytes, &limits).unwrap_err();
        assert_eq!(error, ArchiveError::TooLarge { what: "archive".into(), limit: 10 });
    }
}

#[test]
fn an_archive_with_too_many_entries_is_refused() {
    let files = ["1", "2", "3", "index.js", "5"].map(|path| (path, ""));
    for bytes in both(&files) {
        let error = Package::from_archive(&bytes, &SMALL).unwrap_err();
        assert_eq!(error, ArchiveError::TooManyEntries { limit: 4 });
    }
    for bytes in both(&files[..4]) {
        assert!(Package::from_archive(&bytes, &SMALL).is_ok());
    }
}

#[test]
fn a_wanted_file_is_read_up_to_its_limit_and_no_further() {
    for (length, fits) in [(1000, true), (1001, false), (50_000, false)] {
        let bomb = " ".repeat(length);
        for bytes in both(&[("index.js", &bomb)]) {
            let result = Package::from_archive(&bytes, &SMALL);
            let error = ArchiveError::TooLarge { what: "index.js".into(), limit: 1000 };
            let expected = if fits { Ok(length) } else { Err(error.clone()) };
            assert_eq!(result.map(|package| package.source.len()), expected);
            let read = |path: &str| Ok((path == "index.js").then(|| bomb.clone().into_bytes()));
            assert_eq!(Package::from_files(read, &SMALL).err(), (!fits).then_some(error));
        }
    }
}

#[test]
fn an_unwanted_bomb_in_a_zip_is_never_unpacked() {
    let bomb = " ".repeat(1 << 22);
    let zip = zip_of(&[("bomb", &bomb), ("index.js", "js")]);
    assert_eq!(Package::from_archive(&zip, &SMALL).unwrap().source, "js");
}

#[test]
fn a_tar_that_unpacks_to_too_much_is_refused() {
    let bomb = " ".repeat(200_000);
    let error = ArchiveError::TooLarge { what: "unpacked archive".into(), limit: 100_000 };
    let tar = tar_gz_of(&[("bomb", &bomb), ("index.js", "js")]);
    assert_eq!(Package::from_archive(&tar, &SMALL), Err(error.clone()));

    // A path that never ends, in a header that is read into memory before any entry is shown.
    let mut tar = tar::Builder::new(Vec::new());
    tar.append(&header("long", EntryType::GNULongName, 200_000), bomb.as_bytes()).unwrap();
    tar.append(&header("long", EntryType::XHeader, 200_000), bomb.as_bytes()).unwrap();
    let tar = gzip(&tar.into_inner().unwrap());
    assert_eq!(Package::from_archive(&tar, &SMALL), Err(error));
}

#[test]
fn a_size_that_lies_is_not_believed() {
    // Zip: the sizes stated in the directory, made tiny for a file that unpacks to far more.
    let bomb = " ".repeat(50_000);
    let mut zip = zip_of(&[("index.js", &bomb)]);
    let directory = find(&zip, b"PK\x01\x02");
    zip[directory + 24..directory + 28].copy_from_slice(&2u32.to_le_bytes());
    assert!(Package::from_archive(&zip, &SMALL).is_err());
    // ... and huge for a file that is not.
    let mut zip = zip_of(&[("index.js", "js")]);
    let directory = find(&zip, b"PK\x01\x02");
    zip[directory + 24..directory + 28].copy_from_slice(&0xffff_fff0_u32.to_le_bytes());
    let _ = Package::from_archive(&zip, &SMALL);

    // Tar: more than there is.
    for size in [3000, u64::MAX / 2] {
        let mut tar = Vec::new();
        tar.extend_from_slice(header("index.js", EntryType::Regular, size).as_bytes());
        tar.extend_from_slice(b"js");
        let error = Package::from_archive(&gzip(&tar), &SMALL).unwrap_err();
        assert!(matches!(error, ArchiveError::Broken { format: "tar.gz", .. }), "{error:?}");
    }
}

#[test]
fn a_sparse_file_is_not_expanded() {
    let mut tar = tar::Builder::new(Vec::new());
    tar.append(&header("index.js", EntryType::GNUSparse, 0), &[][..]).unwrap();
    assert!(open(&gzip(&tar.into_inner().unwrap())).is_err());
}

#[test]
fn damage_is_noticed() {
    let files: Files = &[("plugin.json", "{}"), ("index.js", "const here = 'is the source'")];
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    zip.start_file("index.js", stored).unwrap();
    zip.write_all(b"source").unwrap();
    let mut zip = zip.finish().unwrap().into_inner();
    let at = find(&zip, b"source");
    zip[at] = b'S';
    let error = open(&zip).unwrap_err();
    assert!(matches!(error, ArchiveError::Broken { format: "zip", .. }), "{error:?}");

    for bytes in both(files) {
        assert!(open(&bytes[..bytes.len() / 2]).is_err());
    }
    let not_tar = gzip(&[b'x'; 1024]);
    assert!(matches!(open(&not_tar), Err(ArchiveError::Broken { format: "tar.gz", .. })));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        magic in prop::sample::select(vec![&b"PK\x03\x04"[..], b"PK\x05\x06", b"\x1f\x8b\x08", b""]),
        bytes in prop::collection::vec(any::<u8>(), 0..2000),
    ) {
        let _ = Package::from_archive(&[magic, &bytes].concat(), &SMALL);
        let _ = Package::from_archive(&gzip(&bytes), &SMALL);
    }

    #[test]
    fn no_damage_makes_it_panic_or_changes_what_is_read(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        in_tar in any::<bool>(),
    ) {
        let files: Files = &[("r/plugin.json", "{}"), ("r/index.js", "the source"), ("r/x", "y")];
        let mut bytes = if in_tar {
            // Below the gzip, whose checksum would notice first.
            let mut tar = tar::Builder::new(Vec::new());
            for (path, contents) in files {
                let header = header(path, EntryType::Regular, contents.len() as u64);
                tar.append(&header, contents.as_bytes()).unwrap();
            }
            tar.into_inner().unwrap()
        } else {
            zip_of(files)
        };
        for (at, byte) in damage {
            *at.get_mut(&mut bytes) = byte;
        }
        let result = Package::from_archive(&if in_tar { gzip(&bytes) } else { bytes }, &SMALL);
        if let (Ok(package), false) = (result, in_tar) {
            // A zip has a checksum for each file; a tar has none for contents.
            prop_assert_eq!(package.source, "the source");
        }
    }
}
