//! Installing: from text, a folder, an archive or the library to a stored version.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::rc::Rc;

use engine::{Capabilities, Program};
use jsonb::Ref;
use pgrx::pg_sys;
use pgrx::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};
use source::archive::{self, Package};
use source::manifest::{Manifest, slug};
use source::transpile::{self, Script, SourceError, SourceMap, regular_expressions, transpile};

use crate::catalog::plugins::{self, NewVersion};
use crate::catalog::{caller_name, teams};
use crate::error::{Error, Result};
use crate::json::Json;
use crate::{backend, library, settings};

/// What a source is called whose author did not say: PostHog compiles everything as TypeScript.
const DEFAULT_FILE_NAME: &str = "index.ts";

/// A plugin as it comes in.
pub struct Given<'a> {
    pub source: &'a str,
    pub file_name: Option<&'a str>,
    pub manifest: Value,
    /// Instead of the manifest's.
    pub name: Option<&'a str>,
    /// What came as cases.json.
    pub cases: Option<&'a str>,
}

/// A plugin that can be run.
pub struct Transpiled {
    pub name: String,
    pub manifest: Manifest,
    pub file_name: String,
    pub script: Script,
}

impl Transpiled {
    /// The script's name in stacks.
    pub fn script_name(&self) -> String {
        format!("{}/{}", self.name, self.file_name)
    }
}

/// Checks, transpiles and stores a plugin; returns its name.
pub fn install(given: Given<'_>) -> Result<String> {
    teams::check(None)?;
    let plugin = read(&given)?;
    let Transpiled { name, manifest, file_name, script } = &plugin;
    check(script, given.source, file_name, &plugin.script_name())?;
    let capabilities = capabilities(&plugin)?;
    let (version, is_new) = plugins::store(&NewVersion {
        plugin: name,
        title: manifest.name.as_deref().unwrap_or(name),
        file_name,
        source: given.source,
        script: &script.text,
        source_map: &script.source_map,
        manifest,
        cases: given.cases.and_then(cases),
        capabilities,
        sha256: &Sha256::digest(given.source),
        installed_by: &caller_name(),
    })?;
    if !is_new {
        notice!("this is version {version} of plugin \"{name}\", which is installed already");
    }
    backend::retire_changed()?;
    Ok(plugin.name)
}

/// Checks and transpiles a plugin.
pub fn read(given: &Given<'_>) -> Result<Transpiled> {
    // SAFETY: reads a variable of the server.
    if unsafe { pg_sys::GetDatabaseEncoding() } != pg_sys::pg_enc::PG_UTF8 as i32 {
        return Err(Error::NotUtf8);
    }
    let manifest = Manifest::parse(&given.manifest).map_err(Error::Manifest)?;
    let name = name_of(given, &manifest)?;
    let file_name = given.file_name.or(manifest.main.as_deref()).unwrap_or(DEFAULT_FILE_NAME);
    let limits = transpile::Limits { source_bytes: settings::source_limit() };
    let script = transpile(given.source, file_name, engine::KNOWN_MODULES, &limits)
        .map_err(Error::Source)?;
    let file_name = file_name.to_owned();
    Ok(Transpiled { name, manifest, file_name, script })
}

/// What the script exports. One that does not load is installed nevertheless: it may need what is not
/// there yet.
fn capabilities(plugin: &Transpiled) -> Result<Option<Capabilities>> {
    let name = &plugin.name;
    let program = Rc::new(Program {
        id: 0,
        plugin: name.clone(),
        title: name.clone(),
        team_id: None,
        script_name: plugin.script_name(),
        script: plugin.script.text.clone(),
        config: "{}".to_owned(),
        secrets: Vec::new(),
        attachments: Vec::new(),
    });
    match backend::inspect(&program)? {
        Ok(found) => Ok(Some(found)),
        Err(failure) => {
            warning!("plugin \"{name}\" does not load: {failure}");
            Ok(None)
        }
    }
}

/// Cases as they are stored. A plugin is installed also when they make no sense.
fn cases(text: &str) -> Option<Json> {
    let cases = Json::parse(text);
    let reason = match &cases {
        Ok(cases) if matches!(cases.root(), Ok(Ref::Array(_))) => return Some(cases.clone()),
        Ok(_) => "it is not a list",
        Err(reason) => reason,
    };
    warning!("cases.json is left out: {reason}");
    None
}

/// Has the engine compile the script, for what only it can refuse.
fn check(script: &Script, source: &str, file_name: &str, script_name: &str) -> Result<()> {
    let Err(failure) = backend::check_script(&script.text, script_name)? else { return Ok(()) };
    // A script that oxc has printed has no other error of syntax than this.
    for (literal, place) in regular_expressions(source, file_name) {
        if let Err(failure) = backend::check_script(&literal, script_name)? {
            let problem = failure.message;
            return Err(Error::Source(SourceError::Syntax { place, problem, help: None }));
        }
    }
    let place = failure.stack.map(|stack| match SourceMap::parse(&script.source_map) {
        Some(map) => map.rewrite_stack(&stack, script_name, script_name),
        None => stack,
    });
    Err(Error::DoesNotCompile { message: failure.message, place })
}

fn name_of(given: &Given<'_>, manifest: &Manifest) -> Result<String> {
    match (given.name, &manifest.name) {
        (Some(name), _) if slug(name).as_deref() == Some(name) => Ok(name.to_owned()),
        (Some(name), _) => Err(Error::BadName(name.to_owned())),
        (None, Some(name)) => slug(name).ok_or_else(|| Error::BadName(name.clone())),
        (None, None) => Err(Error::NoName),
    }
}

pub fn install_archive(archive: &[u8]) -> Result<String> {
    let package = Package::from_archive(archive, &limits()).map_err(Error::Archive)?;
    install_package(package)
}

/// Reads the plugin's files out of a folder of the server, with the rights that `COPY FROM` asks
/// for.
pub fn install_directory(path: &str) -> Result<String> {
    // SAFETY: both roles exist.
    let may = unsafe {
        pg_sys::has_privs_of_role(pg_sys::GetUserId(), pg_sys::Oid::from(READ_SERVER_FILES))
    };
    if !may {
        return Err(Error::MayNotReadFiles);
    }
    let folder = Path::new(path);
    let failed = |error: io::Error| Error::File { path: path.to_owned(), error: error.to_string() };
    let folder = folder.canonicalize().map_err(failed)?;
    if !folder.is_dir() {
        return Err(failed(io::Error::from(io::ErrorKind::NotADirectory)));
    }
    let limits = limits();
    let package =
        Package::from_files(|name| read_inside(&folder, name, limits.file_bytes), &limits)
            .map_err(Error::Archive)?;
    install_package(package)
}

/// `ROLE_PG_READ_SERVER_FILES` of pg_authid.dat, the same in every version.
const READ_SERVER_FILES: u32 = 4569;

/// A file of the folder; one byte more than allowed tells that it is too long. Links that lead out
/// of the folder are not followed.
fn read_inside(folder: &Path, name: &str, longest: usize) -> io::Result<Option<Vec<u8>>> {
    let path = match folder.join(name).canonicalize() {
        Ok(path) => path,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !path.starts_with(folder) {
        return Err(io::Error::other("it leads out of the folder"));
    }
    if !path.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut contents = Vec::new();
    File::open(path)?.take(longest as u64 + 1).read_to_end(&mut contents)?;
    Ok(Some(contents))
}

pub fn install_bundled(name: &str) -> Result<String> {
    let bundled = library::find(name).ok_or_else(|| Error::NotBundled(name.to_owned()))?;
    install(Given {
        source: bundled.source,
        file_name: Some(library::FILE_NAME),
        manifest: serde_json::from_str(bundled.manifest).unwrap_or_default(),
        name: Some(name),
        cases: Some(bundled.cases),
    })
}

fn install_package(package: Package) -> Result<String> {
    if let Some(Err(error)) = &package.cases {
        warning!("cases.json is left out: {}", error.message());
    }
    install(Given {
        source: &package.source,
        file_name: Some(&package.file_name),
        manifest: package.manifest,
        name: None,
        cases: package.cases.as_ref().and_then(|cases| cases.as_deref().ok()),
    })
}

fn limits() -> archive::Limits {
    archive::Limits { file_bytes: settings::source_limit(), ..Default::default() }
}
