//! What a backend keeps between events: the engine, and the chain as it was last read. Other
//! sessions' changes arrive as PostgreSQL's own invalidation messages.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::ffi::CStr;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use engine::{Capabilities, Engine, Failure, Outcome, Program, Schedule};
use net::Rules;
use pgrx::pg_sys;
use pgrx::prelude::*;
use serde_json::{Map, Value};

use crate::breaker::{Breaker, Pause};
use crate::catalog::links::{self, OnError, StoredLink};
use crate::catalog::schedules::SCHEDULES;
use crate::error::{Error, Result};
use crate::host::PgHost;
use crate::network::Permit;
use crate::stats::{self, Tally};
use crate::{journal, settings, upkeep, worker};

/// One enabled config.
pub struct Link {
    pub program: Rc<Program>,
    /// How PostHog names it in `$plugins_succeeded`.
    pub title: String,
    pub team_id: Option<i32>,
    pub label: String,
    pub on_error: OnError,
    pub version: i32,
    /// What it may reach.
    pub rules: Rc<Rules>,
    pub tally: Rc<Tally>,
    pub breaker: Rc<Breaker>,
    /// Whether it takes events after they are stored.
    pub consumes: bool,
    /// Whether there are jobs that it can be left.
    pub has_jobs: bool,
    /// What of it runs at regular times.
    pub schedules: Vec<Schedule>,
    /// What its turns come to, once it is known to have no `processEvent`.
    pub skipped: OnceCell<Outcome>,
    /// Of all that the realm is made from.
    fingerprint: u64,
}

pub struct Backend {
    pub host: Rc<PgHost>,
    pub engine: Engine,
    pub links: Vec<Rc<Link>>,
    /// Links of earlier chains whose realms have yet to end.
    retiring: Vec<Rc<Link>>,
}

/// Whether the chain has to be read again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Freshness {
    Stale,
    /// Read under a snapshot that may be older than the newest commit: good for this transaction.
    UntilTransactionEnd,
    Fresh,
}

/// What the chain is made of. Each is watched by itself: a restore that disables triggers changes
/// the definitions of one after the other, and that is all it tells.
const TABLES: [&CStr; 6] = [
    c"plugin",
    c"plugin_version",
    c"plugin_config",
    c"plugin_secret",
    c"plugin_attachment",
    c"plugin_pause",
];

thread_local! {
    static FRESHNESS: Cell<Freshness> = const { Cell::new(Freshness::Stale) };

    /// The tables that the chain is read from.
    static WATCHED: Cell<[pg_sys::Oid; TABLES.len()]> =
        const { Cell::new([pg_sys::InvalidOid; TABLES.len()]) };

    /// Leaked: the end of a thread would drop the runtime while a FATAL error that came up inside
    /// JavaScript is still on its stack.
    static BACKEND: &'static RefCell<Backend> = Box::leak(Box::new(RefCell::new(Backend::new())));
}

/// Runs `work` on the backend's engine, with the chain as the newest commits left it.
pub fn with<R>(work: impl FnOnce(&mut Backend) -> Result<R>) -> Result<R> {
    BACKEND.with(|backend| {
        let mut backend = backend.try_borrow_mut().map_err(|_| Error::Reentered)?;
        backend.engine.set_limits(settings::limits());
        if FRESHNESS.get() == Freshness::Stale {
            backend.refresh()?;
        }
        backend.retire()?;
        work(&mut backend)
    })
}

/// Has the engine compile a script without running it.
pub fn check_script(script: &str, script_name: &str) -> Result<std::result::Result<(), Failure>> {
    BACKEND.with(|backend| {
        let mut backend = backend.try_borrow_mut().map_err(|_| Error::Reentered)?;
        backend.engine.set_limits(settings::limits());
        let checked = backend.engine.check(script, script_name);
        backend.host.rethrow();
        Ok(checked)
    })
}

/// What a script exports. It is run for that, in a realm that ends with it, and reaches nothing.
pub fn inspect(program: &Rc<Program>) -> Result<std::result::Result<Capabilities, Failure>> {
    BACKEND.with(|backend| {
        let mut backend = backend.try_borrow_mut().map_err(|_| Error::Reentered)?;
        backend.engine.set_limits(settings::limits());
        let found = backend.engine.inspect(program);
        backend.host.rethrow();
        Ok(found)
    })
}

/// Whether the chain has changed since it was read, as far as this session has been told: at the
/// latest when a transaction begins.
pub fn is_stale() -> bool {
    FRESHNESS.get() == Freshness::Stale
}

/// Has the chain be read again before the next event.
pub fn read_again() {
    FRESHNESS.set(Freshness::Stale);
}

/// Ends the realms of configs that are not what they were. For the session that changed them; in
/// others that happens before their next event.
pub fn retire_changed() -> Result<()> {
    let runs_plugins = BACKEND.with(|backend| {
        backend.try_borrow().is_ok_and(|backend| {
            backend.links.iter().any(|link| backend.engine.has_realm(link.program.id))
        })
    });
    if runs_plugins {
        FRESHNESS.set(Freshness::Stale);
        with(|_| Ok(()))?;
    }
    Ok(())
}

impl Backend {
    fn new() -> Self {
        upkeep::register();
        let host = Rc::new(PgHost::default());
        Backend { engine: Engine::new(host.clone()), host, links: Vec::new(), retiring: Vec::new() }
    }

    fn refresh(&mut self) -> Result<()> {
        let links: Vec<Rc<Link>> =
            read()?.into_iter().map(|link| Rc::new(Link::new(link, &self.links))).collect();
        let unchanged = |old: &Link| links.iter().any(|new| new.is_what_was(old));
        let retiring = std::mem::take(&mut self.links).into_iter().filter(|old| !unchanged(old));
        self.retiring.extend(retiring);
        self.links = links;
        self.host.network.permit(self.permits());
        Ok(())
    }

    /// What each config may reach.
    pub fn permits(&self) -> HashMap<i32, Permit> {
        let permit = |link: &Rc<Link>| {
            (link.program.id, {
                let (plugin, rules) = (link.program.plugin.clone(), link.rules.clone());
                Permit { plugin, rules }
            })
        };
        self.links.iter().map(permit).collect()
    }

    /// Ends the realms of links that are no more. One that is interrupted leaves the others to the
    /// next call.
    fn retire(&mut self) -> Result<()> {
        while let Some(link) = self.retiring.pop() {
            let id = link.program.id;
            journal::forget(id);
            upkeep::forget(id);
            let failure = self.engine.tear_down(id);
            self.host.rethrow();
            if let Some(failure) = failure {
                journal::failure(id, &link.program.plugin, failure, None);
            }
        }
        Ok(())
    }
}

/// Reads the enabled configs. Becomes fresh only when that has worked; a message that arrives on
/// the way makes it stale again.
fn read() -> Result<Vec<StoredLink>> {
    // SAFETY: a transaction is running; the snapshot is popped again unless an error ends it.
    unsafe {
        // Each time: the extension may have been dropped and created again.
        let schema = pg_sys::get_namespace_oid(c"posthog_plugins".as_ptr(), true);
        WATCHED.set(TABLES.map(|table| pg_sys::get_relname_relid(table.as_ptr(), schema)));
        let one_snapshot = pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as i32
            || pg_sys::IsInParallelMode();
        FRESHNESS.set(Freshness::Fresh);
        let forget = OnUnwind;
        let links = if one_snapshot {
            links::enabled()
        } else {
            // The statement's own snapshot can be older than the message that brought us here.
            pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot());
            let links = links::enabled();
            pg_sys::PopActiveSnapshot();
            links
        };
        if links.is_ok() {
            std::mem::forget(forget);
        }
        if one_snapshot && FRESHNESS.get() == Freshness::Fresh {
            FRESHNESS.set(Freshness::UntilTransactionEnd);
        }
        links
    }
}

/// What was half read is not fresh.
struct OnUnwind;

impl Drop for OnUnwind {
    fn drop(&mut self) {
        FRESHNESS.set(Freshness::Stale);
    }
}

impl Link {
    /// Whether events of that team meet it.
    pub fn meets(&self, team: Option<i32>) -> bool {
        self.team_id.is_none() || self.team_id == team
    }

    /// `earlier` are the links of the chain before: one that is the same goes on as it was.
    pub fn new(stored: StoredLink, earlier: &[Rc<Link>]) -> Self {
        let mut secrets = Vec::new();
        stored.secrets.iter().for_each(|secret| collect_texts(secret, &mut secrets));
        // A longer secret may contain a shorter one.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        let program = Program {
            id: stored.id,
            script_name: format!("{}/{}", stored.plugin, stored.file_name),
            plugin: stored.plugin,
            title: stored.title.clone(),
            team_id: stored.team_id,
            script: stored.script,
            config: json_text(stored.config),
            secrets,
            attachments: stored.attachments,
        };
        let mut hasher = DefaultHasher::new();
        (stored.version, &program.script, &program.config, &program.secrets).hash(&mut hasher);
        stored.hosts.hash(&mut hasher);
        // A newer library may find more in the same script.
        let capabilities = &stored.capabilities;
        (&capabilities.methods, &capabilities.jobs).hash(&mut hasher);
        capabilities.scheduled_tasks.hash(&mut hasher);
        for file in &program.attachments {
            (&file.key, &file.file_name, &file.content_type, &file.contents).hash(&mut hasher);
        }
        let mut link = Link {
            title: format!("{} ({})", stored.title, stored.id),
            team_id: stored.team_id,
            label: stored.label,
            on_error: stored.on_error,
            version: stored.version,
            rules: Rc::new(rules(&stored.hosts)),
            tally: stats::of(stored.id),
            breaker: Rc::new(Breaker::new()),
            consumes: capabilities.consumes_events(),
            has_jobs: !capabilities.jobs.is_empty(),
            schedules: SCHEDULES
                .into_iter()
                .filter(|schedule| capabilities.schedules(*schedule))
                .collect(),
            skipped: OnceCell::new(),
            fingerprint: hasher.finish(),
            program: Rc::new(program),
        };
        if let Some(earlier) = earlier.iter().find(|earlier| link.is_what_was(earlier)) {
            link.breaker = earlier.breaker.clone();
        }
        if !upkeep::is_pausing(stored.id) {
            link.breaker.adopt(stored.pause.and_then(Pause::from_stored));
        }
        link
    }

    pub fn is_what_was(&self, earlier: &Link) -> bool {
        self.program.id == earlier.program.id && self.fingerprint == earlier.fingerprint
    }
}

/// The table has what `allow_hosts` has checked. Should somebody have written something else into it,
/// that allows nothing.
fn rules(hosts: &[String]) -> Rules {
    Rules::parse(hosts.iter().map(String::as_str)).unwrap_or_default()
}

fn json_text(object: Map<String, Value>) -> String {
    Value::Object(object).to_string()
}

/// The texts in a secret, which can be a dictionary, or text that is itself JSON; each also as it
/// looks inside of JSON.
fn collect_texts(secret: &Value, texts: &mut Vec<String>) {
    match secret {
        Value::String(text) if !text.is_empty() => {
            if let Ok(inner @ (Value::Array(_) | Value::Object(_))) = serde_json::from_str(text) {
                collect_texts(&inner, texts);
            }
            let quoted = secret.to_string();
            texts.extend(quoted.get(1..quoted.len() - 1).map(str::to_owned));
            texts.push(text.clone());
        }
        Value::Array(elements) => elements.iter().for_each(|value| collect_texts(value, texts)),
        Value::Object(members) => members.values().for_each(|value| collect_texts(value, texts)),
        _ => {}
    }
}

/// Tells every session at commit that the chain has changed; called by the triggers of its tables.
pub fn announce_change(relation: pg_sys::Oid) {
    // SAFETY: the relation exists, as its trigger is running.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(relation) };
    // It may have another consumer to serve.
    worker::wake_at_commit();
}

/// Takes in what other sessions have committed: a look at a flag while there is nothing. A statement
/// that locks no table does not do that by itself, nor does a trigger's second row.
pub fn accept_messages() {
    // SAFETY: allowed anywhere in a transaction.
    unsafe { pg_sys::AcceptInvalidationMessages() };
}

/// Listens for changes to the chain's tables, and for the ends of transactions.
pub fn register() {
    // SAFETY: callbacks for the life of the process, without arguments.
    unsafe {
        pg_sys::CacheRegisterRelcacheCallback(Some(relation_changed), pg_sys::Datum::from(0));
        pg_sys::RegisterXactCallback(Some(at_transaction_end), std::ptr::null_mut());
    }
}

/// `relation` is invalid when PostgreSQL lost track and everything may have changed.
#[pg_guard]
unsafe extern "C-unwind" fn relation_changed(_arg: pg_sys::Datum, relation: pg_sys::Oid) {
    if relation == pg_sys::InvalidOid || WATCHED.get().contains(&relation) {
        FRESHNESS.set(Freshness::Stale);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn at_transaction_end(
    event: pg_sys::XactEvent::Type,
    _arg: *mut core::ffi::c_void,
) {
    use pg_sys::XactEvent::*;
    let ends = matches!(event, XACT_EVENT_COMMIT | XACT_EVENT_ABORT | XACT_EVENT_PREPARE);
    if ends && FRESHNESS.get() == Freshness::UntilTransactionEnd {
        FRESHNESS.set(Freshness::Stale);
    }
}
