//! Everything that can be wrong with a call, each with its SQLSTATE, detail and hint.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgSqlErrorCode, function_name};
use source::archive::ArchiveError;
use source::manifest::{ConfigError, ManifestError, PayloadError};
use source::transpile::SourceError;

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the database's encoding must be UTF8")]
    NotUtf8,

    #[error(
        "extension \"posthog_plugins\" is at version {installed} here, its library at {library}"
    )]
    OtherVersion { installed: String, library: &'static str },

    #[error("an event must be a JSON object")]
    EventIsNotAnObject,

    #[error("plugin \"{plugin}\" failed: {message}")]
    PluginFailed { plugin: String, message: String, stack: Option<String> },

    #[error("the plugin has no name")]
    NoName,

    #[error("plugin name \"{0}\" is not valid")]
    BadName(String),

    #[error("{}", .0.message())]
    Source(SourceError),

    #[error("{message}")]
    DoesNotCompile { message: String, place: Option<String> },

    #[error("{}", .0.message())]
    Manifest(ManifestError),

    #[error("{}", .0.message())]
    Archive(ArchiveError),

    #[error("plugin \"{plugin}\": {}", .error.message())]
    Config { plugin: String, error: ConfigError },

    #[error("plugin \"{plugin}\" has no job \"{job}\"")]
    NoSuchJob { plugin: String, job: String, known: Vec<String> },

    #[error("job \"{job}\": {error}")]
    Payload { job: String, error: PayloadError },

    #[error("the payload of a job must be a JSON object")]
    PayloadIsNotAnObject,

    #[error("the configuration of plugin \"{0}\" must be a JSON object")]
    ConfigIsNotAnObject(String),

    #[error("plugin \"{0}\" is not installed")]
    NoSuchPlugin(String),

    #[error("there is no bundled plugin \"{0}\"")]
    NotBundled(String),

    #[error("plugin \"{plugin}\" has no version {version}")]
    NoSuchVersion { plugin: String, version: i32 },

    #[error("plugin \"{0}\" has no earlier version")]
    NoEarlierVersion(String),

    #[error("plugin \"{0}\" is not configured")]
    NoSuchConfig(String),

    #[error("plugin \"{0}\" is not enabled")]
    NotEnabled(String),

    #[error("position must be at least 1")]
    BadPosition,

    #[error("on_error must be pass, drop or raise, not \"{0}\"")]
    BadErrorPolicy(String),

    #[error("plugin \"{plugin}\" has no attachment \"{key}\"")]
    NoSuchAttachment { plugin: String, key: String },

    #[error("\"{}\" cannot be an allowed host: {}", .0.entry, .0.problem)]
    BadHost(net::BadEntry),

    #[error("hosts must not contain NULL")]
    HostIsNull,

    #[error("permission denied to allow \"{0}\"")]
    PrivateHost(String),

    #[error("responses are not valid: {0}")]
    BadResponses(String),

    #[error("a dry run cannot call \"{0}\"")]
    BadMethod(String),

    #[error("plugin \"{0}\" came without cases")]
    NoCases(String),

    #[error("cases must be a JSON array")]
    CasesAreNotAList,

    #[error("\"{0}\" has no order by which rows would be the last")]
    NoOrder(String),

    #[error("\"{0}\" is not a table")]
    NotARelation(String),

    #[error("permission denied to read files of the server")]
    MayNotReadFiles,

    #[error("there is no level \"{0}\"")]
    BadLevel(String),

    #[error("role must not be NULL")]
    RoleIsNull,

    #[error("there is no role with OID {0}")]
    NoSuchRole(u32),

    #[error("role {0} owns the extension")]
    RoleIsTheOwner(String),

    #[error("teams must not contain NULL")]
    TeamIsNull,

    #[error("permission denied for {}", team_name(*.team_id))]
    NotYourTeam { role: String, team_id: Option<i32>, teams: Vec<i32> },

    #[error("the extension posthog_plugins is not in this database")]
    NotThere,

    #[error("a plugin is running")]
    Reentered,

    #[error("cannot start a worker during recovery")]
    InRecovery,

    #[error("posthog_plugins.workers is 0")]
    NoWorkers,

    #[error("no background worker is left for posthog_plugins")]
    NoRoomForWorker,

    #[error("no worker has come up")]
    WorkerDidNotStart,

    #[error("workers are stopped in too many databases")]
    TooManyStopped,

    #[error("there is no table with OID {0}")]
    NoSuchTable(u32),

    #[error("no table is given")]
    NoTable,

    #[error("\"{table}\" is {kind}")]
    NotATable { table: String, kind: &'static str },

    #[error("must be owner of table \"{0}\"")]
    NotTheOwner(String),

    #[error("table \"{table}\" has no column \"{column}\"")]
    NoSuchColumn { table: String, column: String },

    #[error("table \"{table}\" has no column \"{column}\", which trigger \"{trigger}\" is for")]
    EventColumnIsGone { table: String, column: String, trigger: String },

    #[error("column \"{column}\" of table \"{table}\" is not of type jsonb")]
    EventColumnIsNotJsonb { table: String, column: String },

    #[error("column \"{column}\" of table \"{table}\" is generated")]
    EventColumnIsGenerated { table: String, column: String },

    #[error("table \"{table}\" is attached already")]
    AlreadyAttached { table: String, trigger: String, place: String },

    #[error("table \"{0}\" is not attached")]
    NotAttached(String),

    #[error("table \"{0}\" has several triggers that run plugins")]
    AttachedTwice(String),

    #[error("trigger \"{0}\" has a condition of its own")]
    HasCondition(String),

    #[error("permission denied for table {0}")]
    MayNotInsert(String),

    #[error(
        "column \"{column}\" is of type {found} in the staging table, of type {type_name} in table \"{table}\""
    )]
    StagedInOtherType { table: String, column: String, type_name: String, found: String },

    #[error("table \"{table}\" is attached through the table it is a partition of")]
    AttachedThroughParent { table: String, parent: String },

    #[error("process_row is for triggers BEFORE INSERT or BEFORE UPDATE, FOR EACH ROW")]
    NotABeforeRowTrigger,

    #[error(
        "enqueue_rows is for triggers AFTER INSERT, FOR EACH ROW or with REFERENCING NEW TABLE"
    )]
    NotAnAfterInsertTrigger,

    #[error("plugin \"{0}\" is not enabled, or takes no stored events")]
    NotAConsumer(String),

    #[error("the filter of plugin \"{plugin}\" is not valid: {problem}")]
    BadFilter { plugin: String, problem: String },

    #[error("a backfill gives more than 0 events a second")]
    BadRate,

    #[error("the rows of {0} are no events")]
    NotOfEvents(String),

    #[error("{table} has no column \"{column}\" with a date or a time")]
    NoTime { table: String, column: String },

    #[error("too many rows of {0} have the same time")]
    NoKey(String),

    #[error("there is no backfill {0}")]
    NoSuchBackfill(i64),

    #[error("backfill {id} is {state}")]
    BackfillIs { id: i64, state: String },

    #[error("it is not said which events are to be discarded")]
    NothingChosen,

    #[error("the table of consumers has something that is no snapshot")]
    NotASnapshot,

    #[error("trigger \"{0}\" has more than one argument")]
    TooManyTriggerArguments(String),

    #[error(
        "trigger \"{trigger}\" is for column \"{named}\", but its condition is about column \"{tested}\""
    )]
    AmbiguousEventColumn { trigger: String, named: String, tested: String },

    #[error("{author} gave column \"{column}\" a value that does not fit: {value}")]
    DoesNotFit {
        author: String,
        column: String,
        value: String,
        code: PgSqlErrorCode,
        reason: String,
    },

    #[error("{author} changed column \"{column}\", which moves the row to another partition")]
    MovesRow { author: String, column: String, partition: String },

    #[error("{0}")]
    Jsonb(#[from] jsonb::Error),

    #[error("{0}")]
    Bundle(#[from] delivery::Damaged),

    #[error("stored events of transaction {}, up to number {}, are damaged", .0.transaction, .0.number)]
    Damaged(delivery::Place),

    #[error("{0}")]
    Spi(#[from] pgrx::spi::Error),

    #[error("could not read \"{path}\": {error}")]
    File { path: String, error: String },
}

impl Error {
    pub fn code(&self) -> PgSqlErrorCode {
        use PgSqlErrorCode as Code;
        match self {
            Error::NotUtf8 => Code::ERRCODE_FEATURE_NOT_SUPPORTED,
            Error::PluginFailed { .. } => Code::ERRCODE_EXTERNAL_ROUTINE_EXCEPTION,
            Error::Source(SourceError::TooLong { .. }) => Code::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            Error::Source(_) => Code::ERRCODE_SYNTAX_ERROR,
            Error::DoesNotCompile { .. } => Code::ERRCODE_SYNTAX_ERROR,
            Error::Archive(ArchiveError::Manifest(_)) => Code::ERRCODE_INVALID_PARAMETER_VALUE,
            Error::Archive(_) => Code::ERRCODE_DATA_EXCEPTION,
            Error::NoName | Error::BadName(_) => Code::ERRCODE_INVALID_NAME,
            Error::NoSuchPlugin(_)
            | Error::NotBundled(_)
            | Error::NoSuchVersion { .. }
            | Error::NoSuchJob { .. }
            | Error::NoEarlierVersion(_)
            | Error::NoSuchConfig(_)
            | Error::NoSuchBackfill(_)
            | Error::NoCases(_)
            | Error::NotThere
            | Error::NoSuchAttachment { .. } => Code::ERRCODE_UNDEFINED_OBJECT,
            Error::OtherVersion { .. }
            | Error::NotEnabled(_)
            | Error::NotAConsumer(_)
            | Error::BackfillIs { .. }
            | Error::NoWorkers
            | Error::WorkerDidNotStart => Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            Error::InRecovery => Code::ERRCODE_READ_ONLY_SQL_TRANSACTION,
            Error::NoRoomForWorker | Error::TooManyStopped => {
                Code::ERRCODE_CONFIGURATION_LIMIT_EXCEEDED
            }
            Error::EventIsNotAnObject
            | Error::Manifest(_)
            | Error::Config { .. }
            | Error::ConfigIsNotAnObject(_)
            | Error::Payload { .. }
            | Error::PayloadIsNotAnObject
            | Error::BadPosition
            | Error::BadResponses(_)
            | Error::BadMethod(_)
            | Error::CasesAreNotAList
            | Error::BadErrorPolicy(_)
            | Error::BadHost(_)
            | Error::BadFilter { .. }
            | Error::NothingChosen
            | Error::BadRate
            | Error::NotOfEvents(_)
            | Error::NoTime { .. }
            | Error::BadLevel(_) => Code::ERRCODE_INVALID_PARAMETER_VALUE,
            Error::RoleIsNull | Error::TeamIsNull | Error::HostIsNull => {
                Code::ERRCODE_NULL_VALUE_NOT_ALLOWED
            }
            Error::NoSuchRole(_) => Code::ERRCODE_UNDEFINED_OBJECT,
            Error::RoleIsTheOwner(_) => Code::ERRCODE_INVALID_GRANT_OPERATION,
            Error::MayNotReadFiles | Error::NotYourTeam { .. } | Error::PrivateHost(_) => {
                Code::ERRCODE_INSUFFICIENT_PRIVILEGE
            }
            Error::File { .. } => Code::ERRCODE_IO_ERROR,
            Error::Reentered => Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            Error::NoTable | Error::NoSuchTable(_) => Code::ERRCODE_UNDEFINED_TABLE,
            Error::NotATable { .. } => Code::ERRCODE_WRONG_OBJECT_TYPE,
            Error::NotTheOwner(_) => Code::ERRCODE_INSUFFICIENT_PRIVILEGE,
            Error::NoSuchColumn { .. } | Error::EventColumnIsGone { .. } => {
                Code::ERRCODE_UNDEFINED_COLUMN
            }
            Error::AmbiguousEventColumn { .. } => Code::ERRCODE_AMBIGUOUS_COLUMN,
            Error::EventColumnIsNotJsonb { .. } => Code::ERRCODE_DATATYPE_MISMATCH,
            Error::EventColumnIsGenerated { .. } => Code::ERRCODE_INVALID_COLUMN_REFERENCE,
            Error::AlreadyAttached { .. } => Code::ERRCODE_DUPLICATE_OBJECT,
            Error::NotAttached(_) => Code::ERRCODE_UNDEFINED_OBJECT,
            Error::AttachedTwice(_) | Error::HasCondition(_) => {
                Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE
            }
            Error::MayNotInsert(_) => Code::ERRCODE_INSUFFICIENT_PRIVILEGE,
            Error::StagedInOtherType { .. } => Code::ERRCODE_DATATYPE_MISMATCH,
            Error::AttachedThroughParent { .. } => Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            Error::NotABeforeRowTrigger
            | Error::NotAnAfterInsertTrigger
            | Error::TooManyTriggerArguments(_) => Code::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
            Error::DoesNotFit { code, .. } => *code,
            Error::MovesRow { .. } => Code::ERRCODE_FEATURE_NOT_SUPPORTED,
            Error::NoKey(_) => Code::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            Error::NotASnapshot => Code::ERRCODE_DATA_CORRUPTED,
            Error::Jsonb(jsonb::Error::Malformed(_)) | Error::Bundle(_) | Error::Damaged(_) => {
                Code::ERRCODE_DATA_CORRUPTED
            }
            Error::Jsonb(_) => Code::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            Error::NoOrder(_) | Error::NotARelation(_) => Code::ERRCODE_WRONG_OBJECT_TYPE,
            Error::Spi(_) => Code::ERRCODE_INTERNAL_ERROR,
        }
    }

    pub fn detail(&self) -> Option<String> {
        match self {
            Error::PluginFailed { stack, .. } => stack.clone(),
            Error::DoesNotCompile { place, .. } => place.clone(),
            Error::Source(error) => error.detail(),
            Error::Manifest(error) => error.detail(),
            Error::Archive(error) => error.detail(),
            Error::Config { error, .. } => error.detail(),
            Error::Payload { error, .. } => error.detail(),
            Error::NoSuchJob { known, .. } if known.is_empty() => {
                Some("It has no jobs at all.".to_owned())
            }
            Error::NoSuchJob { known, .. } => {
                Some(format!("Its jobs are \"{}\".", known.join("\", \"")))
            }
            Error::AlreadyAttached { trigger, place, .. } => {
                Some(format!("Trigger \"{trigger}\" of table \"{place}\" runs the plugins."))
            }
            Error::DoesNotFit { reason, .. } => Some(reason.clone()),
            Error::MovesRow { partition, .. } => {
                Some(format!("The row came to partition \"{partition}\" before the plugins ran."))
            }
            Error::MayNotReadFiles => {
                Some("Only roles with privileges of pg_read_server_files may.".to_owned())
            }
            Error::PrivateHost(_) => Some(
                "What is on the server itself or near it is for superusers to allow.".to_owned(),
            ),
            Error::NotYourTeam { role, teams, .. } => {
                let teams: Vec<String> = teams.iter().map(i32::to_string).collect();
                Some(format!("Role \"{role}\" is limited to teams {{{}}}.", teams.join(", ")))
            }
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Error::Source(error) => return error.hint(),
            Error::Manifest(error) => return error.hint(),
            Error::Archive(error) => return error.hint(),
            Error::Config { error, .. } => return error.hint(),
            Error::OtherVersion { .. } => {
                "Run ALTER EXTENSION posthog_plugins UPDATE. If that is done, this session is older: \
                 connect again."
            }
            Error::EventIsNotAnObject => {
                "For example: process_event('{\"event\": \"$pageview\", \"properties\": {}}')."
            }
            Error::PluginFailed { .. } => {
                "The plugin is configured with on_error => 'raise'; with 'pass' the event goes on \
                 without it."
            }
            Error::NoName => "Give \"name\" in the manifest, or name => '...' in the call.",
            Error::BadName(_) => {
                "A name has up to 63 lower-case letters, digits and hyphens, and does not begin or \
                 end with a hyphen."
            }
            Error::NoSuchPlugin(_) => "SELECT name FROM posthog_plugins.plugins shows what is.",
            Error::NotBundled(_) => "SELECT name FROM posthog_plugins.library shows which are.",
            Error::NoSuchJob { .. } => {
                "A job is a function that the plugin exports in \"jobs\", or that publicJobs of its \
                 plugin.json declares."
            }
            Error::Payload { .. } => {
                "publicJobs in the plugin's plugin.json says what the job takes."
            }
            Error::PayloadIsNotAnObject => "For example: '{\"dateFrom\": \"2026-01-31\"}'.",
            Error::NoSuchConfig(_) => {
                "Call posthog_plugins.configure or posthog_plugins.enable first, with the same \
                 team_id and label."
            }
            Error::NotThere => "CREATE EXTENSION posthog_plugins puts it there.",
            Error::NotEnabled(_) => "Call posthog_plugins.enable first.",
            Error::InRecovery => "When it is promoted, the server starts its workers.",
            Error::NoWorkers => {
                "ALTER SYSTEM SET posthog_plugins.workers = 1; SELECT pg_reload_conf()."
            }
            Error::NoRoomForWorker => "Raise max_worker_processes.",
            Error::WorkerDidNotStart => {
                "CREATE EXTENSION has to be committed before. Otherwise the server's log has the \
                 reason."
            }
            Error::TooManyStopped => {
                "To stop all of them: ALTER SYSTEM SET posthog_plugins.workers = 0; SELECT \
                 pg_reload_conf()."
            }
            Error::BadResponses(_) => {
                "For example: responses => '{\"GET https://example.com/*\": {\"status\": 200, \
                 \"body\": {\"rate\": 7}}}'."
            }
            Error::BadMethod(_) => {
                "It calls processEvent, onEvent, onSnapshot, exportEvents, composeWebhook, \
                 getSettings, runEveryMinute, runEveryHour, runEveryDay, and jobs as jobs.name."
            }
            Error::NoCases(_) => "Give them in the call: cases => '[...]'.",
            Error::CasesAreNotAList => {
                "For example: cases => '[{\"name\": \"a click passes\", \"event\": {...}, \
                 \"expect\": {...}}]'."
            }
            Error::NoOrder(_) => "Name a column: order_by => '...'.",
            Error::BadHost(_) => {
                "Entries are like api.example.com, https://example.com:8443, http://example.com, \
                 *.example.com, 10.1.2.3, or 10.0.0.0/8 for what names may resolve to."
            }
            Error::BadLevel(_) => "The levels are viewer, editor and admin.",
            Error::RoleIsTheOwner(_) => "Its rights are not granted, and cannot be revoked.",
            Error::NotYourTeam { team_id: None, .. } => {
                "Give team_id => ... with a team of yours; what concerns all teams is for roles \
                 without a limit."
            }
            Error::NoSuchAttachment { .. } => {
                "The manifest has no field of type attachment with this key."
            }
            Error::NotATable { .. } => "Attach the table that the rows are stored in.",
            Error::EventColumnIsNotJsonb { .. } => {
                "The column that is the event has the type jsonb. Without a column, the table's \
                 columns are the event's fields."
            }
            Error::AlreadyAttached { .. } => "Call posthog_plugins.detach for that table first.",
            Error::AttachedThroughParent { parent, .. } => {
                return Some(format!("Detach \"{parent}\"."));
            }
            Error::AttachedTwice(_) | Error::HasCondition(_) => {
                "posthog_plugins.ingest is for tables with the one trigger that \
                 posthog_plugins.attach makes. INSERT ... SELECT from the staging table runs all."
            }
            Error::StagedInOtherType { .. } => {
                "Make it with CREATE TABLE ... (LIKE ...), or give a view that casts."
            }
            Error::NotABeforeRowTrigger => {
                "posthog_plugins.attach makes the trigger for a table. A view has none of these: \
                 attach the table below it."
            }
            Error::NotAnAfterInsertTrigger => {
                "posthog_plugins.attach makes the trigger for a table."
            }
            Error::NotAConsumer(_) => {
                "SELECT plugin, team_id, label FROM posthog_plugins.consumers shows which do."
            }
            Error::Damaged(_) => {
                "posthog_plugins.start_from moves a consumer on to what was enqueued after them."
            }
            Error::BadFilter { .. } => {
                "For example: '{\"events\": [\"signup\"], \"properties\": {\"plan\": \"pro\"}, \
                 \"where\": \"event ->> ''ip'' IS NOT NULL\", \"sample\": 0.1, \"rate\": 100, \
                 \"ordered\": true}'."
            }
            Error::NotOfEvents(_) => {
                "A table that is not attached has a column \"event\", whose row is the event, or one \
                 jsonb column, which is."
            }
            Error::NoTime { .. } => "Give another time_column.",
            Error::NoKey(_) => "Give the table a primary key.",
            Error::NothingChosen => "Give a plugin, an id, a part of the error, or a time.",
            Error::TooManyTriggerArguments(_) => {
                "The one argument is the name of the jsonb column that is the event; without one, \
                 the columns are its fields."
            }
            Error::EventColumnIsGone { .. } => {
                "posthog_plugins.detach and posthog_plugins.attach make the trigger anew."
            }
            Error::AmbiguousEventColumn { tested, .. } => {
                return Some(format!(
                    "If the column was renamed, posthog_plugins.detach and posthog_plugins.attach \
                     make the trigger anew. If the condition is meant, write it as \
                     (NEW.\"{tested}\" IS NOT NULL) = true."
                ));
            }
            Error::DoesNotFit { .. } => {
                "Nothing is stored. Change the plugin, its settings, or the column."
            }
            Error::MovesRow { .. } => {
                "Detach the table and insert what process_event returns, which is routed after the \
                 plugins ran. Or have the plugin leave the column alone."
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

fn team_name(team_id: Option<i32>) -> String {
    team_id.map_or_else(|| "what concerns all teams".to_owned(), |team| format!("team {team}"))
}

impl From<Error> for ErrorReport {
    fn from(error: Error) -> Self {
        let mut report = ErrorReport::new(error.code(), error.to_string(), function_name!());
        if let Some(detail) = error.detail() {
            report = report.set_detail(detail);
        }
        if let Some(hint) = error.hint() {
            report = report.set_hint(hint);
        }
        report
    }
}
