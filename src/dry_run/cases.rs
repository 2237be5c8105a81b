//! Cases: events in and events out, as a plugin's `cases.json` promises them. Each runs by itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::Attachment;
use jsonb::{Object, Ref};
use serde_json::{Map, Value};
use source::manifest::FieldType;

use super::method::Method;
use super::responses::Responses;
use super::trial::Trial;
use super::{Run, changes, listed, rehearsal};
use crate::catalog::configs::Target;
use crate::catalog::trials::{self, Version};
use crate::error::{Error, Result};
use crate::json::{Json, to_value};

/// What became of one case.
#[derive(Default)]
pub struct Verdict {
    pub number: i32,
    pub name: Option<String>,
    /// Why the case has not passed.
    pub problem: Option<String>,
    pub expected: Option<Json>,
    pub got: Option<Json>,
    /// From what was expected to what came.
    pub changes: Option<Json>,
}

/// What is wrong with a case is its verdict, and no error of the call.
type Found<T> = std::result::Result<T, String>;

/// Runs the given cases, or those that the version came with.
pub fn run(plugin: &str, version: Option<i32>, given: Option<Json>) -> Result<Vec<Verdict>> {
    let version = trials::version(plugin, version)?;
    let cases = match given {
        Some(cases) => cases,
        None => version.cases.clone().ok_or_else(|| Error::NoCases(plugin.to_owned()))?,
    };
    let Ref::Array(list) = cases.root()? else { return Err(Error::CasesAreNotAList) };
    let mut verdicts = Vec::new();
    for (case, number) in list.iter().zip(1..) {
        let mut verdict = Verdict { number, ..Verdict::default() };
        verdict.problem = match case? {
            Ref::Object(fields) => judge(plugin, &version, fields, &mut verdict).err(),
            _ => Some("a case must be an object".to_owned()),
        };
        verdicts.push(verdict);
    }
    Ok(verdicts)
}

fn judge(plugin: &str, version: &Version, fields: Object<'_>, verdict: &mut Verdict) -> Found<()> {
    let case = Case::parse(fields)?;
    verdict.name = case.name.clone();
    verdict.expected = case.expected.clone();
    if let Some(part) = &case.setup_error {
        return case.is_refused(plugin, version, part);
    }
    let event = case.event.as_ref().ok_or("the case has neither event nor setup_error")?;
    let run = case.run(plugin, version, event)?;
    verdict.got = run.result.clone();
    match (&case.outcome, &run.failure) {
        (Some(outcome), _) if outcome == run.effect.name() => {}
        (None, None) => {}
        (Some(_), None) => return Err(format!("the outcome is {}", run.effect.name())),
        (_, Some(failure)) => return Err(format!("the plugin failed: {failure}")),
    }
    // What is asked of others is nothing, unless the case says so.
    let nothing = Json::parse("{}")?;
    let is_processed = case.method == Method::ProcessEvent;
    let expected = case.expected.as_ref().or((!is_processed).then_some(&nothing));
    match (expected, &run.result) {
        (Some(_), None) => return Err("the event was dropped".to_owned()),
        (None, Some(_)) => return Err("the event was not dropped".to_owned()),
        (None, None) => {}
        (Some(expected), Some(got)) => {
            let differences = changes(&expected.0, &got.0).map_err(described)?;
            if !differences.is_empty() {
                verdict.changes = Some(listed(&differences).map_err(described)?);
                let paths: Vec<&str> = differences.iter().map(|one| one.path.as_str()).collect();
                return Err(format!("not as expected: {}", paths.join(", ")));
            }
        }
    }
    let logs: Vec<String> = run.lines.into_iter().map(|line| line.message).collect();
    if logs == case.logs {
        Ok(())
    } else {
        Err(format!("expected the logs {:?}, got {logs:?}", case.logs))
    }
}

struct Case {
    name: Option<String>,
    /// The function that it is about.
    method: Method,
    /// As the column `outcome` names it; unless given, anything but a failure.
    outcome: Option<String>,
    config: Map<String, Value>,
    attachments: Map<String, Value>,
    /// Events that come before, of which only what the plugin keeps of them counts.
    before: Vec<Json>,
    event: Option<Json>,
    expected: Option<Json>,
    logs: Vec<String>,
    /// A part of the message with which the configuration is refused.
    setup_error: Option<String>,
    responses: Option<Value>,
}

/// For a case that is only about the configuration.
const EVENT: &str = r#"{"event": "e", "distinct_id": "d", "properties": {}}"#;

impl Case {
    fn parse(fields: Object<'_>) -> Found<Self> {
        let mut case = Case {
            name: None,
            method: Method::ProcessEvent,
            outcome: None,
            config: Map::new(),
            attachments: Map::new(),
            before: Vec::new(),
            event: None,
            expected: None,
            logs: Vec::new(),
            setup_error: None,
            responses: None,
        };
        for field in fields.iter() {
            let (key, value) = field.map_err(|error| error.to_string())?;
            let json = || Json::of(value).map(Some).map_err(|error| error.to_string());
            let given = || to_value(value).map_err(|error| error.to_string());
            match (key, value) {
                (_, Ref::Null) => {}
                ("name", Ref::String(name)) => case.name = Some(name.to_owned()),
                ("method", Ref::String(name)) => {
                    case.method = Method::parse(name).map_err(described)?;
                }
                ("outcome", Ref::String(outcome)) => case.outcome = Some(outcome.to_owned()),
                ("config", Ref::Object(_)) => case.config = object(given()?),
                ("attachments", Ref::Object(_)) => case.attachments = object(given()?),
                ("before", Ref::Array(events)) => {
                    let copied: jsonb::Result<_> =
                        events.iter().map(|one| Json::of(one?)).collect();
                    case.before = copied.map_err(|error| error.to_string())?;
                }
                ("event", _) => case.event = json()?,
                ("expect", _) => case.expected = json()?,
                ("logs", Ref::Array(_)) => {
                    case.logs = serde_json::from_value(given()?)
                        .map_err(|_| "\"logs\" must be a list of texts".to_owned())?;
                }
                ("setup_error", Ref::String(part)) => case.setup_error = Some(part.to_owned()),
                ("responses", _) => case.responses = Some(given()?),
                _ => return Err(format!("\"{key}\" is no part of a case, or not as it has to be")),
            }
        }
        Ok(case)
    }

    /// Whether the manifest or the plugin's setup refuses the configuration, in the words promised.
    fn is_refused(&self, plugin: &str, version: &Version, part: &str) -> Found<()> {
        let event = Json::parse(EVENT)?;
        let message = match self.run(plugin, version, &event) {
            Err(refusal) => refusal,
            Ok(Run { failure: Some(failure), .. }) => failure.message,
            Ok(_) => return Err("the configuration was not refused".to_owned()),
        };
        if message.contains(part) {
            Ok(())
        } else {
            Err(format!("refused, but in other words: {message}"))
        }
    }

    /// The event, and those before it, in an engine of their own.
    fn run(&self, plugin: &str, version: &Version, event: &Json) -> Found<Run> {
        let files = self.files(version)?;
        let target = Target { plugin, team_id: None, label: "" };
        Trial::given(target, version, self.config.clone(), Some(files))
            .and_then(|trial| {
                let responses = Responses::parse(self.responses.clone())?;
                let mut rehearsal = rehearsal(trial, responses, self.method.clone());
                for event in &self.before {
                    rehearsal.run(&event.0)?;
                }
                let run = rehearsal.run(&event.0)?;
                // What teardown says is not what a case is about.
                rehearsal.end();
                Ok(run)
            })
            .map_err(described)
    }

    fn files(&self, version: &Version) -> Found<Vec<Attachment>> {
        let file = |(key, file): (&String, &Value)| {
            let field = version.manifest.field(key);
            if !field.is_some_and(|field| field.kind == FieldType::Attachment) {
                return Err(format!("the plugin has no attachment \"{key}\""));
            }
            let part = |name: &str| {
                let text = file.get(name).and_then(Value::as_str).map(str::to_owned);
                text.ok_or_else(|| format!("attachment \"{key}\" lacks \"{name}\""))
            };
            let contents = match file.get("base64").and_then(Value::as_str) {
                Some(text) => STANDARD
                    .decode(text)
                    .map_err(|error| format!("attachment \"{key}\" is no base64: {error}"))?,
                None => part("text")?.into_bytes(),
            };
            Ok(Attachment {
                key: key.clone(),
                file_name: part("file_name")?,
                content_type: part("content_type")?,
                contents,
            })
        };
        self.attachments.iter().map(file).collect()
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn described(error: Error) -> String {
    match error.detail() {
        Some(detail) => format!("{error}. {detail}"),
        None => error.to_string(),
    }
}
