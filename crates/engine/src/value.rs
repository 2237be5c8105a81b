//! JSON values on both sides of the border: jsonb into JavaScript, JavaScript into jsonb, and
//! texts for logs and errors.

mod lazy;
mod raw;
mod text;
mod write;

use rquickjs::Value;

pub(crate) use lazy::{Lent, Views};
pub(crate) use text::{console_text, shorten, text_of_error, text_of_string};
pub(crate) use write::{Returned, Unrepresentable, write_event};

/// Whether JavaScript takes the value for false.
pub(crate) fn is_falsy(value: &Value<'_>) -> bool {
    value.is_undefined()
        || value.is_null()
        || value.as_bool() == Some(false)
        || value.as_big_int().is_some_and(|number| matches!(number.clone().to_i64(), Ok(0)))
        || value.as_number().is_some_and(|number| number == 0.0 || number.is_nan())
        || value.as_string().is_some_and(|text| text.to_string().is_ok_and(|text| text.is_empty()))
}
