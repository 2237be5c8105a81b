//! JSON values on both sides of the border: jsonb into JavaScript, JavaScript into jsonb, and
//! texts for logs and errors.

mod raw;
mod read;
mod text;
mod write;

pub(crate) use read::to_js;
pub(crate) use text::{console_text, shorten, text_of_error, text_of_string};
pub(crate) use write::{Unrepresentable, write_event};
