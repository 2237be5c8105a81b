//! Every setting, each with the reason for its default. All are the superuser's: a plugin's caller
//! must not be able to raise the limits of what runs in the server. All apply to live realms at once.

use std::ffi::{CStr, CString, c_char, c_void};
use std::time::Duration;

use delivery::Backoff;
use engine::Limits;
use net::Limits as FetchLimits;
use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};
use pgrx::pg_sys;
use pgrx::prelude::*;

static ENABLED: GucSetting<bool> = GucSetting::<bool>::new(true);

/// Off: events are stored as the plugins made them, without marks of how.
static MARK_EVENTS: GucSetting<bool> = GucSetting::<bool>::new(false);

/// A realm takes about 200 kB; what is left of 64 MB is for events and whatever plugins remember.
/// Small enough that a hundred backends do not fill a server.
static MEMORY_LIMIT: GucSetting<i32> = GucSetting::<i32>::new(64 * 1024);

/// Plugins in the chain take microseconds; one second only ends what has gone wrong. PostHog's 30
/// seconds would hold an insert, its locks and its snapshot for as long.
static EXECUTION_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(1000);

/// Enough for some thousand JavaScript frames. Comes on top of what PostgreSQL's own
/// max_stack_depth (2 MB) lets a query use, out of the usual 8 MB.
static STACK_LIMIT: GucSetting<i32> = GucSetting::<i32>::new(512);

/// Bundled plugins with their dependencies reach some hundred kB.
static SOURCE_LIMIT: GucSetting<i32> = GucSetting::<i32>::new(1024);

/// A thousand times an ordinary event.
static RESULT_LIMIT: GucSetting<i32> = GucSetting::<i32>::new(16 * 1024);

/// Real events nest less than ten levels.
static DEPTH_LIMIT: GucSetting<i32> = GucSetting::<i32>::new(256);

/// One row in ten seconds, for each failing config of a session, tells the operator everything;
/// a row for every failure would make a broken plugin as costly as the events themselves.
static ERROR_INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(10);

/// A session of single-row inserts then writes its counts with one in thousands of them, and an
/// operator waits ten seconds at most.
static STATS_INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(10);

/// A week shows what is different today. Lines of a console are many, and nobody reads old ones.
static LOG_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(7 * 24 * 60);

/// Failures are few, as `error_interval` sees to that, and are looked for later.
static ERROR_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(30 * 24 * 60);

/// On: without hosts that were allowed to a config, nothing is reached anyway.
static NETWORK: GucSetting<bool> = GucSetting::<bool>::new(true);

/// Less than execution_timeout, so that a plugin can catch what is too slow and go on: a call that
/// runs out of its own time leaves the event as it was, and takes the runtime with it.
static FETCH_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(800);

/// Answers of services are kilobytes. Times fetch_concurrency, what a session may hold of them beside
/// its memory_limit.
static FETCH_SIZE_LIMIT: GucSetting<i32> = GucSetting::<i32>::new(4 * 1024);

/// What browsers open to one site. More is no faster for a plugin in a chain, and many sessions do
/// it at the same time.
static FETCH_CONCURRENCY: GucSetting<i32> = GucSetting::<i32>::new(6);

/// Empty: nobody is listening.
static FAILURE_CHANNEL: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));

/// Off: with on_error => 'raise', a pause refuses events that the plugin might have taken.
static PAUSE_FAILURE_RATE: GucSetting<i32> = GucSetting::<i32>::new(0);

/// Long enough for a session with an event every few seconds to be judged by more than one of them.
static PAUSE_WINDOW: GucSetting<i32> = GucSetting::<i32>::new(60);

/// What fails because of something outside is tried again while somebody still waits for it.
static PAUSE_DURATION: GucSetting<i32> = GucSetting::<i32>::new(300);

/// Empty: plugins locate nothing. There is no database that could come with the extension.
static GEOIP_DATABASE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));

/// As in PostHog.
static DELIVERY_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(30);

/// PostHog has no limit, and what runs once in a while may go through many pages of something. What hangs
/// is to run again some time.
static SCHEDULE_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(600);

/// Of all consumers of a worker together: a socket each.
const MOST_DELIVERY_REQUESTS: usize = 400;

/// Of each consumer, though others use up those: they may hang.
const RESERVED_DELIVERY_REQUESTS: usize = 20;

/// One does all there is to do for a database until deliveries are many.
static WORKERS: GucSetting<i32> = GucSetting::<i32>::new(1);
/// With the delays below, some tries in the first minute and the last after about an hour: most
/// outages are over by then.
static RETRY_ATTEMPTS: GucSetting<i32> = GucSetting::<i32>::new(10);

/// What failed by chance is delivered while somebody still looks; half of that is chance.
static RETRY_DELAY: GucSetting<i32> = GucSetting::<i32>::new(5);

/// Long enough not to be a burden for what is down for days.
static RETRY_DELAY_LIMIT: GucSetting<i32> = GucSetting::<i32>::new(60 * 60);

/// As failures: somebody has to have the time to look after them.
static DEAD_LETTER_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(30 * 24 * 60);

/// Plugins that answer to each other's events are done after two or three. Two that capture something
/// about every event make 2 + 4 + 8 + 16 of each one.
static CAPTURE_DEPTH: GucSetting<i32> = GucSetting::<i32>::new(4);

/// Some ten thousand events: emptying takes a lock for a moment, and sessions are told of it, which is
/// nothing once in some seconds. What is in it fits in memory.
static QUEUE_SIZE: GucSetting<i32> = GucSetting::<i32>::new(64 * 1024);

/// The off switch: no plugin runs, every event stays as it is.
pub fn enabled() -> bool {
    ENABLED.get()
}

pub fn mark_events() -> bool {
    MARK_EVENTS.get()
}

pub fn error_interval() -> Duration {
    seconds(&ERROR_INTERVAL)
}

pub fn stats_interval() -> Duration {
    seconds(&STATS_INTERVAL)
}

/// Minutes; `None` for ever.
pub fn log_retention() -> Option<i32> {
    Some(LOG_RETENTION.get()).filter(|minutes| *minutes > 0)
}

/// Minutes; `None` for ever.
pub fn error_retention() -> Option<i32> {
    Some(ERROR_RETENTION.get()).filter(|minutes| *minutes > 0)
}

/// Where sessions are told that a config begins to fail.
pub fn failure_channel() -> Option<String> {
    let channel = FAILURE_CHANNEL.get()?.into_string().ok()?;
    Some(channel).filter(|channel| !channel.is_empty())
}

/// How many of a hundred calls have to fail for a config to pause itself; `None` when it never does.
pub fn pause_failure_rate() -> Option<u32> {
    Some(PAUSE_FAILURE_RATE.get().unsigned_abs()).filter(|rate| *rate > 0)
}

pub fn pause_window() -> Duration {
    seconds(&PAUSE_WINDOW)
}

pub fn pause_duration() -> Duration {
    seconds(&PAUSE_DURATION)
}

/// Whether any plugin reaches the network.
pub fn network() -> bool {
    NETWORK.get()
}

pub fn fetch_limits() -> FetchLimits {
    FetchLimits {
        time: Duration::from_millis(FETCH_TIMEOUT.get().unsigned_abs().into()),
        body_bytes: kilobytes(&FETCH_SIZE_LIMIT),
        at_once: FETCH_CONCURRENCY.get().unsigned_abs() as usize,
        reserved: 0,
    }
}

/// How long a plugin may take over a stored event, with all that it waits for.
pub fn delivery_timeout() -> Duration {
    seconds(&DELIVERY_TIMEOUT)
}

/// How long what runs at regular times may take, with all that it waits for.
pub fn schedule_timeout() -> Duration {
    seconds(&SCHEDULE_TIMEOUT)
}

/// What holds for requests while nobody waits for them.
pub fn delivery_limits() -> FetchLimits {
    FetchLimits {
        time: delivery_timeout(),
        at_once: MOST_DELIVERY_REQUESTS,
        reserved: RESERVED_DELIVERY_REQUESTS,
        ..fetch_limits()
    }
}

/// The file in which plugins look up addresses.
pub fn geoip_database() -> Option<String> {
    let path = GEOIP_DATABASE.get()?.into_string().ok()?;
    Some(path).filter(|path| !path.is_empty())
}

/// Workers for each database.
pub fn workers() -> u16 {
    // Its range is that of a few workers.
    u16::try_from(WORKERS.get()).unwrap_or_default()
}

/// When what consumers failed on is tried again.
pub fn retries() -> Backoff {
    Backoff {
        attempts: RETRY_ATTEMPTS.get().unsigned_abs(),
        first: seconds(&RETRY_DELAY),
        longest: seconds(&RETRY_DELAY_LIMIT),
    }
}

/// Minutes; `None` for ever.
pub fn dead_letter_retention() -> Option<i32> {
    Some(DEAD_LETTER_RETENTION.get()).filter(|minutes| *minutes > 0)
}

/// How many captures may lead to an event.
pub fn capture_depth() -> u8 {
    u8::try_from(CAPTURE_DEPTH.get()).unwrap_or(u8::MAX)
}

/// How large a half of the queue may become before events go to the other one, in bytes.
pub fn queue_size() -> u64 {
    kilobytes(&QUEUE_SIZE) as u64
}

/// Longest source, in bytes.
pub fn source_limit() -> usize {
    kilobytes(&SOURCE_LIMIT)
}

pub fn limits() -> Limits {
    Limits {
        memory: kilobytes(&MEMORY_LIMIT),
        stack: kilobytes(&STACK_LIMIT),
        call: Duration::from_millis(EXECUTION_TIMEOUT.get().unsigned_abs().into()),
        result_bytes: kilobytes(&RESULT_LIMIT),
        depth: DEPTH_LIMIT.get().unsigned_abs() as usize,
    }
}

fn seconds(setting: &GucSetting<i32>) -> Duration {
    Duration::from_secs(setting.get().unsigned_abs().into())
}

fn kilobytes(setting: &GucSetting<i32>) -> usize {
    setting.get().unsigned_abs() as usize * 1024
}

pub fn define() {
    GucRegistry::define_bool_guc(
        c"posthog_plugins.enabled",
        c"Runs plugins on events.",
        c"When off, every event passes unchanged and nothing is logged.",
        &ENABLED,
        GucContext::Suset,
        GucFlags::empty(),
    );
    GucRegistry::define_bool_guc(
        c"posthog_plugins.mark_events",
        c"Adds the lists of plugins that succeeded, failed and were deferred to each event.",
        c"Sets $plugins_succeeded, $plugins_failed and $plugins_deferred in the event's properties.",
        &MARK_EVENTS,
        GucContext::Suset,
        GucFlags::empty(),
    );
    size(
        c"posthog_plugins.memory_limit",
        c"Memory that all plugins of a session may use together.",
        &MEMORY_LIMIT,
        // Below this not even an empty realm fits.
        1024..=1024 * 1024,
    );
    integer(
        c"posthog_plugins.execution_timeout",
        c"Time that one call of a plugin may take.",
        &EXECUTION_TIMEOUT,
        1..=600_000,
        GucFlags::UNIT_MS,
    );
    size(
        c"posthog_plugins.stack_limit",
        c"Stack that JavaScript may use.",
        &STACK_LIMIT,
        // More would not fit between max_stack_depth and the usual 8 MB of a process.
        64..=4096,
    );
    size(
        c"posthog_plugins.source_limit",
        c"Size of the longest source that can be installed.",
        &SOURCE_LIMIT,
        1..=16 * 1024,
    );
    size(
        c"posthog_plugins.result_limit",
        c"Size of the largest event that a plugin may return.",
        &RESULT_LIMIT,
        1..=256 * 1024,
    );
    integer(
        c"posthog_plugins.depth_limit",
        c"How deeply what a plugin reads of an event, and what it returns, may be nested.",
        &DEPTH_LIMIT,
        // Writing a level takes up to two kilobytes of the stack, on top of what JavaScript uses.
        8..=512,
        GucFlags::empty(),
    );
    integer(
        c"posthog_plugins.error_interval",
        c"Time between two stored failures of one plugin in a session.",
        &ERROR_INTERVAL,
        0..=86_400,
        GucFlags::UNIT_S,
    );
    integer(
        c"posthog_plugins.stats_interval",
        c"Time after which a session writes what its plugins have done to the statistics.",
        &STATS_INTERVAL,
        0..=86_400,
        GucFlags::UNIT_S,
    );
    retention(
        c"posthog_plugins.log_retention",
        c"How long lines of the plugins' console are kept; 0 keeps them for ever.",
        &LOG_RETENTION,
    );
    retention(
        c"posthog_plugins.error_retention",
        c"How long failures of plugins are kept; 0 keeps them for ever.",
        &ERROR_RETENTION,
    );
    // SAFETY: the hook keeps to the contract of a check hook.
    unsafe {
        GucRegistry::define_string_guc_with_hooks(
            c"posthog_plugins.failure_channel",
            c"Channel that is notified when a plugin begins to fail.",
            c"Empty notifies nobody.",
            &FAILURE_CHANNEL,
            GucContext::Suset,
            GucFlags::empty(),
            Some(is_a_channel),
            None,
            None,
        );
    }
    GucRegistry::define_bool_guc(
        c"posthog_plugins.network",
        c"Lets plugins reach the hosts that are allowed to them.",
        c"When off, every request is refused.",
        &NETWORK,
        GucContext::Sighup,
        GucFlags::empty(),
    );
    integer(
        c"posthog_plugins.delivery_timeout",
        c"Time that a plugin may take over a stored event or a job.",
        &DELIVERY_TIMEOUT,
        1..=3600,
        GucFlags::UNIT_S,
    );
    integer(
        c"posthog_plugins.schedule_timeout",
        c"Time that what a plugin runs every minute, hour or day may take.",
        &SCHEDULE_TIMEOUT,
        1..=86_400,
        GucFlags::UNIT_S,
    );
    integer(
        c"posthog_plugins.fetch_timeout",
        c"Time that a request of a plugin may take.",
        &FETCH_TIMEOUT,
        1..=600_000,
        GucFlags::UNIT_MS,
    );
    size(
        c"posthog_plugins.fetch_size_limit",
        c"Size of the longest answer that a plugin may get.",
        &FETCH_SIZE_LIMIT,
        1..=256 * 1024,
    );
    integer(
        c"posthog_plugins.fetch_concurrency",
        c"Requests of a plugin that are under way at a time; others wait.",
        &FETCH_CONCURRENCY,
        1..=100,
        GucFlags::empty(),
    );
    integer(
        c"posthog_plugins.pause_failure_rate",
        c"Percentage of failed calls at which a plugin is paused; 0 never pauses it.",
        &PAUSE_FAILURE_RATE,
        0..=100,
        GucFlags::empty(),
    );
    integer(
        c"posthog_plugins.pause_window",
        c"Time over which failed calls are counted for a pause.",
        &PAUSE_WINDOW,
        1..=86_400,
        GucFlags::UNIT_S,
    );
    integer(
        c"posthog_plugins.pause_duration",
        c"How long a plugin that keeps failing is paused.",
        &PAUSE_DURATION,
        1..=86_400,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_string_guc(
        c"posthog_plugins.geoip_database",
        c"File with a MaxMind database in which plugins look up addresses.",
        c"Empty: they cannot.",
        &GEOIP_DATABASE,
        GucContext::Suset,
        GucFlags::empty(),
    );
    GucRegistry::define_int_guc(
        c"posthog_plugins.workers",
        c"Background workers for each database that has the extension.",
        c"0 lets none run.",
        &WORKERS,
        0,
        // Twice what max_worker_processes is by default.
        16,
        GucContext::Sighup,
        GucFlags::empty(),
    );
    integer(
        c"posthog_plugins.retry_attempts",
        c"How often a stored event is given to a plugin that fails on it.",
        &RETRY_ATTEMPTS,
        1..=1000,
        GucFlags::empty(),
    );
    integer(
        c"posthog_plugins.retry_delay",
        c"Time before the second attempt, doubled with each one after.",
        &RETRY_DELAY,
        1..=86_400,
        GucFlags::UNIT_S,
    );
    integer(
        c"posthog_plugins.retry_delay_limit",
        c"Longest time between two attempts.",
        &RETRY_DELAY_LIMIT,
        1..=7 * 86_400,
        GucFlags::UNIT_S,
    );
    retention(
        c"posthog_plugins.dead_letter_retention",
        c"How long events that a plugin failed on for good are kept; 0 keeps them for ever.",
        &DEAD_LETTER_RETENTION,
    );
    size(
        c"posthog_plugins.queue_size",
        c"Size of a half of the queue at which events go to the other one.",
        &QUEUE_SIZE,
        64..=16 * 1024 * 1024,
    );
    integer(
        c"posthog_plugins.capture_depth",
        c"How many captures by plugins may lead to an event; 0 lets plugins capture nothing.",
        &CAPTURE_DEPTH,
        0..=100,
        GucFlags::empty(),
    );
    reserve_prefix();
}

/// The name of a channel is an identifier, and NOTIFY fails where it is too long for one.
#[pg_guard]
unsafe extern "C-unwind" fn is_a_channel(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: the value is NULL or text that ends with a zero.
    unsafe {
        (*value).is_null() || CStr::from_ptr(*value).count_bytes() < pg_sys::NAMEDATALEN as usize
    }
}

fn retention(name: &'static CStr, description: &'static CStr, setting: &'static GucSetting<i32>) {
    // Ten years.
    integer(name, description, setting, 0..=10 * 366 * 24 * 60, GucFlags::UNIT_MIN);
}

fn size(
    name: &'static CStr,
    description: &'static CStr,
    setting: &'static GucSetting<i32>,
    range: std::ops::RangeInclusive<i32>,
) {
    integer(name, description, setting, range, GucFlags::UNIT_KB);
}

fn integer(
    name: &'static CStr,
    description: &'static CStr,
    setting: &'static GucSetting<i32>,
    range: std::ops::RangeInclusive<i32>,
    unit: GucFlags,
) {
    GucRegistry::define_int_guc(
        name,
        description,
        c"",
        setting,
        *range.start(),
        *range.end(),
        GucContext::Suset,
        unit,
    );
}

/// Whether the server has room for prepared transactions.
pub fn allow_prepared() -> bool {
    // SAFETY: a setting that every server has, and whose text is there until the next one is asked for.
    let value = unsafe {
        CStr::from_ptr(pg_sys::GetConfigOption(c"max_prepared_transactions".as_ptr(), false, false))
    };
    value != c"0"
}

/// A misspelt setting under our prefix is an error instead of a silent nothing.
fn reserve_prefix() {
    // SAFETY: called from _PG_init, where settings are defined, with a constant name.
    #[cfg(any(feature = "pg15", feature = "pg16", feature = "pg17", feature = "pg18"))]
    unsafe {
        pgrx::pg_sys::MarkGUCPrefixReserved(c"posthog_plugins".as_ptr());
    }
    // SAFETY: as above.
    #[cfg(any(feature = "pg13", feature = "pg14"))]
    unsafe {
        pgrx::pg_sys::EmitWarningsOnPlaceholders(c"posthog_plugins".as_ptr());
    }
}
