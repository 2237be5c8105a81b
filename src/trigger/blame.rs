//! The errors of values that do not fit: which plugin, which column, which value.

use jsonb::Ref;
use pgrx::PgSqlErrorCode;

use super::convert::{self, Refusal};
use crate::backend::Link;
use crate::error::Error;

/// Characters of a value in an error: enough to recognise it.
const MOST_SHOWN: usize = 100;

/// Who set a field. If it was no plugin, it was the marks.
pub fn name(author: Option<&Link>) -> String {
    match author {
        Some(link) => format!("plugin \"{}\"", link.program.plugin),
        None => "posthog_plugins.mark_events".to_owned(),
    }
}

pub fn misfit(
    author: Option<&Link>,
    column: String,
    value: Option<Ref<'_>>,
    refusal: Refusal,
) -> Error {
    let value = match value {
        None | Some(Ref::Null) => "NULL".to_owned(),
        Some(value) => shown(author, convert::text_of(value)),
    };
    let Refusal { code, reason } = refusal;
    // It quotes the value.
    let reason = match author {
        Some(link) => link.program.redact(reason),
        None => reason,
    };
    Error::DoesNotFit { author: name(author), column, value, code, reason }
}

pub fn is_null(author: Option<&Link>, column: String) -> Error {
    Error::DoesNotFit {
        author: name(author),
        column,
        value: "NULL".to_owned(),
        code: PgSqlErrorCode::ERRCODE_NOT_NULL_VIOLATION,
        reason: "The column is NOT NULL.".to_owned(),
    }
}

fn shown(author: Option<&Link>, text: String) -> String {
    // The plugin may have put one of its secrets there.
    let text = match author {
        Some(link) => link.program.redact(text),
        None => text,
    };
    match text.char_indices().nth(MOST_SHOWN) {
        Some((end, _)) => format!("\"{}...\"", &text[..end]),
        None => format!("\"{text}\""),
    }
}
