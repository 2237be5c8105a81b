//! `{ ...text }`: QuickJS adds nothing for what is not an object, where the language adds a text's
//! characters. `Object` makes an object of a text, and leaves an object as it is.

use oxc::allocator::{Allocator, TakeIn};
use oxc::ast::ast::*;
use oxc::ast_visit::{VisitMut, walk_mut};
use oxc::semantic::Scoping;
use oxc::span::GetSpan;

use super::error::{Origin, SourceError};
use super::snippet;

pub(super) fn box_texts<'a>(
    program: &mut Program<'a>,
    scoping: &Scoping,
    allocator: &'a Allocator,
    origin: &Origin<'_>,
) -> Result<(), SourceError> {
    // An author's own `Object` is another function.
    if scoping.symbol_ids().any(|symbol| scoping.symbol_name(symbol) == "Object") {
        return Ok(());
    }
    let mut spreads = Spreads { allocator, origin, failed: None };
    spreads.visit_program(program);
    spreads.failed.map_or(Ok(()), Err)
}

struct Spreads<'s, 'a> {
    allocator: &'a Allocator,
    origin: &'s Origin<'s>,
    failed: Option<SourceError>,
}

impl<'a> Spreads<'_, 'a> {
    fn object_of(&self, value: &mut Expression<'a>) -> Result<(), SourceError> {
        let span = value.span();
        let mut code = snippet::statements("Object(0);", span, self.allocator, self.origin)?;
        if let Some(Statement::ExpressionStatement(statement)) = code.first_mut()
            && let Expression::CallExpression(call) = &mut statement.expression
            && let Some(argument) = call.arguments.first_mut()
        {
            *argument = Argument::from(value.take_in(&self.allocator));
            *value = statement.expression.take_in(&self.allocator);
        }
        Ok(())
    }
}

impl<'a> VisitMut<'a> for Spreads<'_, 'a> {
    fn visit_object_expression(&mut self, object: &mut ObjectExpression<'a>) {
        walk_mut::walk_object_expression(self, object);
        for property in &mut object.properties {
            if let ObjectPropertyKind::SpreadProperty(spread) = property
                && !is_no_text(&spread.argument)
                && let Err(error) = self.object_of(&mut spread.argument)
            {
                self.failed.get_or_insert(error);
            }
        }
    }
}

/// Whether the value is seen to be no text, or an empty one.
fn is_no_text(value: &Expression<'_>) -> bool {
    match value.without_parentheses() {
        Expression::ObjectExpression(_) | Expression::ArrayExpression(_) => true,
        Expression::ConditionalExpression(choice) => {
            is_no_text(&choice.consequent) && is_no_text(&choice.alternate)
        }
        Expression::LogicalExpression(choice) => {
            choice.operator == LogicalOperator::And && is_no_text(&choice.right)
        }
        _ => false,
    }
}
