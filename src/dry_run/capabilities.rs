//! What a script exports, found out when it is installed: by running it in an engine of its own,
//! without setting it up.

use std::rc::Rc;

use engine::{Engine, Failure, Program, Verdict};
use jsonb::{Document, Ref};

use super::host::DryHost;
use super::responses::Responses;
use crate::error::Result;
use crate::json::Json;
use crate::settings;

/// Runs behind the script, and finds what PostHog would find.
const SEARCH: &str = include_str!("capabilities.js");

/// An object without members, as jsonb.
const EMPTY: [u8; 4] = 0x2000_0000_u32.to_ne_bytes();

/// `{"methods": [...], "scheduled_tasks": [...], "jobs": [...], "metrics": {...}}`, or why the script
/// does not load.
pub fn capabilities(
    plugin: &str,
    script: &str,
    script_name: String,
) -> Result<std::result::Result<Json, Failure>> {
    let program = Rc::new(Program {
        id: 0,
        plugin: plugin.to_owned(),
        title: plugin.to_owned(),
        team_id: None,
        script_name,
        script: format!("{script}\n{SEARCH}"),
        config: "{}".to_owned(),
        secrets: Vec::new(),
        attachments: Vec::new(),
    });
    let host = Rc::new(DryHost::new(program.clone(), Responses::default()));
    let mut engine = Engine::new(host.clone());
    engine.set_limits(settings::limits());
    let outcome = engine.process_event(&program, &EMPTY);
    host.rethrow();
    if let Some(failure) = outcome.failure {
        return Ok(Err(failure));
    }
    let Verdict::Changed(event) = outcome.verdict else { return Ok(Ok(Json(EMPTY.to_vec()))) };
    let found = match Document::new(&event)?.root() {
        Ref::Object(event) => event.get("found")?.map(Json::of).transpose()?,
        _ => None,
    };
    Ok(Ok(found.unwrap_or_else(|| Json(EMPTY.to_vec()))))
}
