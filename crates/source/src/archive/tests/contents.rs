//! What is found in packages, wherever it is in them, and what is said about what is not found.

use std::io;

use serde_json::json;

use super::super::{ArchiveError, Limits, Package};
use super::{Files, gzip, header, open, open_all, tar_gz_of, zip_of};

fn from_folder(files: Files) -> Result<Package, ArchiveError> {
    let read = |path: &str| {
        let file = files.iter().find(|(name, _)| *name == path);
        Ok(file.map(|(_, contents)| contents.as_bytes().to_vec()))
    };
    Package::from_files(read, &Limits::default())
}

#[test]
fn source_file_name_and_manifest_are_found() {
    let files: Files = &[
        ("plugin.json", r#"{ "name": "Sample", "main": "./dist/index.js", "extra": 1 }"#),
        ("dist/index.js", "the source"),
        ("index.js", "not this"),
    ];
    let package = open_all(files).unwrap();
    assert_eq!(package.source, "the source");
    assert_eq!(package.file_name, "dist/index.js");
    let manifest = json!({ "name": "Sample", "main": "./dist/index.js", "extra": 1 });
    assert_eq!(package.manifest, manifest);
    assert_eq!(from_folder(files), Ok(package));
}

#[test]
fn without_main_index_js_comes_before_index_ts() {
    let both: Files = &[("index.ts", "ts"), ("index.js", "js")];
    assert_eq!(open_all(both).unwrap().file_name, "index.js");
    assert_eq!(from_folder(both).unwrap().file_name, "index.js");
    assert_eq!(open_all(&[("index.ts", "ts")]).unwrap().file_name, "index.ts");
    let empty_main: Files = &[("plugin.json", r#"{ "main": "" }"#), ("index.ts", "ts")];
    assert_eq!(open_all(empty_main).unwrap().file_name, "index.ts");
}

#[test]
fn without_plugin_json_the_manifest_is_empty() {
    assert_eq!(open_all(&[("index.js", "js")]).unwrap().manifest, json!({}));
}

#[test]
fn a_root_folder_is_taken_off_however_deep() {
    for root in ["", "./", "package/", "plugin-1a2b3c/", "a/b/c/"] {
        let [json, main, readme] =
            ["plugin.json", "src/index.ts", "README.md"].map(|path| format!("{root}{path}"));
        let files: Files =
            &[(&main, "source"), (&readme, ""), (&json, r#"{ "main": "src/index.ts" }"#)];
        let package = open_all(files).unwrap();
        assert_eq!((&*package.file_name, &*package.source), ("src/index.ts", "source"), "{root}");
    }
}

#[test]
fn githubs_commit_header_is_no_file() {
    let mut tar = tar::Builder::new(Vec::new());
    let comment = "52 comment=0123456789012345678901234567890123456789\n";
    let global = header("pax_global_header", tar::EntryType::XGlobalHeader, comment.len() as u64);
    tar.append(&global, comment.as_bytes()).unwrap();
    tar.append(&header("p-1/", tar::EntryType::Directory, 0), &[][..]).unwrap();
    tar.append(&header("p-1/index.js", tar::EntryType::Regular, 2), &b"js"[..]).unwrap();
    assert_eq!(open(&gzip(&tar.into_inner().unwrap())).unwrap().source, "js");
}

#[test]
fn what_macos_adds_does_not_hide_the_root_folder() {
    let files: Files = &[
        ("plugin/index.js", "js"),
        ("__MACOSX/plugin/._index.js", "x"),
        ("._plugin", "x"),
        (".DS_Store", "x"),
    ];
    assert_eq!(open_all(files).unwrap().source, "js");
}

#[test]
fn a_long_path_is_found_in_a_tar() {
    let folder = "deep/".repeat(60);
    let mut tar = tar::Builder::new(Vec::new());
    for (path, contents) in [
        (format!("{folder}index.js"), "source"),
        ("plugin.json".into(), &*format!("{{ \"main\": \"{folder}index.js\" }}")),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(contents.len() as u64);
        tar.append_data(&mut header, path, contents.as_bytes()).unwrap();
    }
    assert_eq!(open(&gzip(&tar.into_inner().unwrap())).unwrap().source, "source");
}

#[test]
fn lib_comes_before_main_if_it_is_named_and_there() {
    let json = ("plugin.json", r#"{ "lib": "lib.js" }"#);
    let files: Files = &[json, ("lib.js", "const a = f"), ("index.js", "(a)")];
    assert_eq!(open_all(files).unwrap().source, "const a = f\n;\n(a)");
    assert_eq!(open_all(&[json, ("index.js", "main")]).unwrap().source, "main");
    assert_eq!(open_all(&files[1..]).unwrap().source, "(a)", "not named");
    let itself: Files = &[("plugin.json", r#"{ "lib": "index.js" }"#), ("index.js", "main")];
    assert_eq!(open_all(itself).unwrap().source, "main");
}

#[test]
fn a_byte_order_mark_is_taken_off() {
    let files: Files = &[
        ("plugin.json", "\u{feff}{ \"lib\": \"lib.js\" }"),
        ("lib.js", "\u{feff}lib"),
        ("index.js", "\u{feff}main"),
    ];
    assert_eq!(open_all(files).unwrap().source, "lib\n;\nmain");
}

#[test]
fn a_missing_main_is_refused_with_what_is_there() {
    let files: Files = &[
        ("plugin.json", r#"{ "main": "dist/index.js" }"#),
        ("src/index.ts", ""),
        ("index.js", "not this"),
    ];
    let error = open_all(files).unwrap_err();
    assert_eq!(error.message(), "plugin package has no dist/index.js");
    assert_eq!(error.detail().as_deref(), Some("It has index.js, plugin.json, src/index.ts."));
    let error = open_all(&[("r/README.md", ""), ("r/x.js", "")]).unwrap_err();
    assert_eq!(error.message(), "plugin package has no index.js or index.ts");
    assert_eq!(error.detail().as_deref(), Some("It has README.md, x.js."));
    assert_eq!(from_folder(&[]).unwrap_err().detail(), None);
}

#[test]
fn a_long_list_of_files_is_shortened() {
    let names: Vec<_> = (10..40).map(|n| format!("{n}.js")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
    let detail = open_all(&files).unwrap_err().detail().unwrap();
    assert!(detail.ends_with("19.js, 20 more."), "{detail}");
}

#[test]
fn an_empty_archive_has_no_entry_file() {
    let error = open_all(&[]).unwrap_err();
    assert_eq!(error.message(), "plugin package has no index.js or index.ts");
}

#[test]
fn a_trailing_comma_in_plugin_json_is_refused_with_its_line() {
    let error = open_all(&[("plugin.json", "{\n  \"name\": \"x\",\n}")]).unwrap_err();
    assert_eq!(error.message(), "plugin.json is not valid JSON");
    assert_eq!(error.detail().as_deref(), Some("Trailing comma at line 3 column 1."));
}

#[test]
fn a_wrong_manifest_is_refused_as_everywhere() {
    let error = open_all(&[("plugin.json", r#"{ "main": 1 }"#)]).unwrap_err();
    assert_eq!(error.message(), "manifest key \"main\" must be a string");
    assert_eq!(error.detail().as_deref(), Some("It is a number."));
}

#[test]
fn what_is_not_text_is_refused_with_its_name() {
    let error = open_all(&[("index.js", "a\0b")]).unwrap_err();
    assert_eq!(error.message(), "\"index.js\" is not text in UTF-8");
    assert_eq!(error.detail().as_deref(), Some("It has a NUL byte."));
    let read = |path: &str| Ok((path == "index.js").then(|| b"ab\xff".to_vec()));
    let error = Package::from_files(read, &Limits::default()).unwrap_err();
    assert_eq!(error.detail().as_deref(), Some("Byte 3 is not UTF-8."));
}

#[test]
fn what_the_system_refuses_is_told_with_the_path() {
    let read = |_: &str| Err(io::Error::from(io::ErrorKind::PermissionDenied));
    let error = Package::from_files(read, &Limits::default()).unwrap_err();
    assert_eq!(error.message(), "could not read \"plugin.json\"");
    assert_eq!(error.detail().as_deref(), Some("Permission denied."));
}

#[test]
fn other_formats_are_refused() {
    let tar = tar_gz_of(&[("index.js", "")]);
    for bytes in [&b""[..], b"P", b"index.js", &tar[1..], &zip_of(&[])[1..]] {
        let error = open(bytes).unwrap_err();
        assert_eq!(error.message(), "plugin archive is neither a zip nor a tar.gz file");
        assert!(error.hint().is_some());
    }
}

#[test]
fn cases_are_taken_along_and_never_in_the_way() {
    let files: Files = &[("index.js", "js"), ("cases.json", "[]")];
    assert_eq!(open_all(files).unwrap().cases, Some(Ok("[]".to_owned())));
    assert_eq!(from_folder(files).unwrap().cases, Some(Ok("[]".to_owned())));
    assert_eq!(open_all(&[("index.js", "js")]).unwrap().cases, None);
    let package = open_all(&[("index.js", "js"), ("cases.json", "\0")]).unwrap();
    assert!(matches!(package.cases, Some(Err(ArchiveError::NotText { .. }))));
}
