//! A JSON value becomes the value of a column, through the type's own input.

use std::ffi::{CStr, CString};
use std::panic::AssertUnwindSafe;

use jsonb::{Ref, Writer};
use pgrx::pg_sys;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;

use super::call::Call;
use super::column::{Column, Input, Write};
use super::target::Fields;
use crate::error::Result;
use crate::event::to_datum;

/// A type's word against a value.
pub struct Refusal {
    pub code: PgSqlErrorCode,
    pub reason: String,
}

/// Runs conversions; what a type says against a value comes back instead of ending the statement.
/// The caller has to end it: the transaction is not to go on after that.
pub fn attempt<T>(convert: impl FnOnce() -> Result<T>) -> std::result::Result<Result<T>, Refusal> {
    PgTryBuilder::new(AssertUnwindSafe(|| Ok(convert())))
        .catch_others(|caught| Err(refusal(caught)))
        .execute()
}

fn refusal(caught: CaughtError) -> Refusal {
    use PgSqlErrorCode as Code;
    let report = match &caught {
        CaughtError::PostgresError(report) | CaughtError::ErrorReport(report) => report,
        CaughtError::RustPanic { .. } => caught.rethrow(),
    };
    let code = report.sql_error_code();
    let is_about_the_value = !matches!(
        code,
        Code::ERRCODE_QUERY_CANCELED
            | Code::ERRCODE_OUT_OF_MEMORY
            | Code::ERRCODE_STATEMENT_TOO_COMPLEX
            | Code::ERRCODE_INTERNAL_ERROR
    );
    if !is_about_the_value {
        caught.rethrow();
    }
    let reason = match report.detail() {
        Some(detail) => format!("{}\n{detail}", report.message()),
        None => report.message().to_owned(),
    };
    Refusal { code, reason }
}

/// The value for the column; `None` is NULL. Raises PostgreSQL's error if it does not fit.
pub fn datum(
    call: &Call,
    fields: &Fields,
    column: &Column,
    value: Option<Ref<'_>>,
) -> Result<Option<pg_sys::Datum>> {
    let value = value.filter(|value| !matches!(value, Ref::Null));
    let Some(value) = value else { return null(call, fields, column) };
    Ok(match (&column.write, value) {
        (Write::Jsonb, value) => Some(jsonb(value)?),
        (Write::Text, value) => Some(text_datum(&text_of(value))),
        (Write::Json(input), value) => Some(input.datum(Some(json_text(value)))),
        (Write::Scalar(input), Ref::Number(number)) if input.is_integer => {
            let text = number.to_i64().map_or_else(|| number.to_string(), |n| n.to_string());
            Some(input.datum(Some(text)))
        }
        (Write::Scalar(input), value) => Some(input.datum(Some(text_of(value)))),
        (Write::Populate { .. }, value) => populated(call, fields, column, value)?,
    })
}

fn null(call: &Call, fields: &Fields, column: &Column) -> Result<Option<pg_sys::Datum>> {
    match &column.write {
        Write::Scalar(input) if input.is_domain => {
            input.datum(None);
            Ok(None)
        }
        Write::Populate { is_domain: true } => populated(call, fields, column, Ref::Null),
        _ => Ok(None),
    }
}

impl Input {
    /// `None` stands for NULL, which only domains are asked about.
    fn datum(&self, text: Option<String>) -> pg_sys::Datum {
        // Text that was in a jsonb has no NUL in it.
        let text = text.map(|text| CString::new(text).unwrap_or_default());
        let text = text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr());
        // SAFETY: an input function with what it takes; the text outlives the call.
        unsafe {
            pg_sys::InputFunctionCall(self.function, text.cast_mut(), self.io_param, self.typmod)
        }
    }
}

/// Through `jsonb_populate_record`, with the row as it is and the one field.
fn populated(
    call: &Call,
    fields: &Fields,
    column: &Column,
    value: Ref<'_>,
) -> Result<Option<pg_sys::Datum>> {
    let mut writer = Writer::new();
    writer.begin_object()?;
    writer.key(&column.name)?;
    writer.splice(value)?;
    writer.end()?;
    let field = to_datum(writer.finish()?);
    let mut is_null = false;
    // SAFETY: the function was prepared for rows of this table, and gives one.
    unsafe {
        let row = pg_sys::heap_copy_tuple_as_datum(call.row(), call.descriptor());
        let row = pg_sys::FunctionCall2Coll(fields.populate, pg_sys::InvalidOid, row, field);
        let number = column.index as i16 + 1;
        let row = pg_sys::pg_detoast_datum(row.cast_mut_ptr()).cast();
        let datum = pg_sys::GetAttributeByNum(row, number, &mut is_null);
        Ok((!is_null).then_some(datum))
    }
}

/// Raises PostgreSQL's error if the domain does not take the value.
pub fn check_domain(value: pg_sys::Datum, domain: pg_sys::Oid) -> Result<()> {
    let (cache, context) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: a value of the domain's base type; nothing is cached.
    unsafe { pg_sys::domain_check(value, false, domain, cache, context) };
    Ok(())
}

fn jsonb(value: Ref<'_>) -> Result<pg_sys::Datum> {
    Ok(match value {
        Ref::Object(object) => to_datum(object.as_bytes()),
        Ref::Array(array) => to_datum(array.as_bytes()),
        scalar => {
            let mut writer = Writer::new();
            writer.splice(scalar)?;
            to_datum(writer.finish()?)
        }
    })
}

fn text_datum(text: &str) -> pg_sys::Datum {
    // SAFETY: the text is copied.
    unsafe {
        let length = text.len() as i32;
        pg_sys::Datum::from(pg_sys::cstring_to_text_with_len(text.as_ptr().cast(), length))
    }
}

/// A string's characters; the JSON of everything else.
pub fn text_of(value: Ref<'_>) -> String {
    match value {
        Ref::String(text) => text.to_owned(),
        Ref::Bool(value) => value.to_string(),
        Ref::Number(number) => number.to_string(),
        value => json_text(value),
    }
}

/// JSON in PostgreSQL's spelling.
fn json_text(value: Ref<'_>) -> String {
    // Only values that would be too long for jsonb, where these come from, cannot be written.
    let Ok(datum) = jsonb(value) else { return String::new() };
    // SAFETY: the datum is a jsonb; the text ends with a NUL.
    unsafe {
        let varlena = datum.cast_mut_ptr::<pg_sys::varlena>();
        let length = pgrx::varsize_any_exhdr(varlena) as i32;
        let root = pgrx::vardata_any(varlena).cast_mut().cast();
        let text = pg_sys::JsonbToCString(std::ptr::null_mut(), root, length);
        CStr::from_ptr(text).to_string_lossy().into_owned()
    }
}
