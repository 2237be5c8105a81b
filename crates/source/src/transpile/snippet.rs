//! Generated code, written as text and parsed into the author's tree: shorter to write and to read
//! than the same nodes built by hand. Every node gets the place of the author's code it stands
//! for, so that stacks point there.

use oxc::allocator::{Allocator, ArenaVec};
use oxc::ast::ast::Statement;
use oxc::ast_visit::VisitMut;
use oxc::parser::Parser;
use oxc::span::{SourceType, Span};

use super::error::{Origin, SourceError};

pub(super) fn statements<'a>(
    text: &str,
    span: Span,
    allocator: &'a Allocator,
    origin: &Origin<'_>,
) -> Result<ArenaVec<'a, Statement<'a>>, SourceError> {
    let text = allocator.alloc_str(text);
    let mut program = Parser::new(allocator, text, SourceType::script()).parse();
    if program.panicked || !program.diagnostics.is_empty() {
        let what = format!("generated code does not parse: {text}");
        return Err(SourceError::Internal { file_name: origin.file_name.to_owned(), what });
    }
    Place { span }.visit_statements(&mut program.program.body);
    Ok(program.program.body)
}

struct Place {
    span: Span,
}

impl VisitMut<'_> for Place {
    fn visit_span(&mut self, span: &mut Span) {
        *span = self.span;
    }
}

/// `text` as a string literal.
pub(super) fn quoted(text: &str) -> String {
    // A JSON string is a JavaScript string.
    serde_json::Value::from(text).to_string()
}
