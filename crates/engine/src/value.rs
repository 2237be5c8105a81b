//! JSON values on both sides of the border: jsonb into JavaScript, JavaScript into jsonb, and
//! texts for logs and errors.

mod lazy;
mod raw;
mod text;
mod write;

pub(crate) use lazy::{Lent, Views};
pub(crate) use text::{console_text, shorten, text_of_error, text_of_string};
pub(crate) use write::{Returned, Unrepresentable, write_event};
