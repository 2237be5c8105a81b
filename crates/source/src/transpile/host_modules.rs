//! What the author asks of the host: every literal `require`, `import` and `import()` is checked
//! against the known modules, `import()` becomes a promise of `require`, and syntax that has no
//! meaning in a plugin's script is refused.

use oxc::allocator::{Allocator, TakeIn};
use oxc::ast::ast::*;
use oxc::ast_visit::{VisitMut, walk_mut};
use oxc::semantic::Scoping;
use oxc::span::{GetSpan, Span};
use oxc::syntax::scope::ScopeFlags;

use super::error::{Origin, SourceError};
use super::snippet;

/// Resolves like Babel's wildcard import: the module's properties, and the whole as `default`.
/// Global lookup, because a bundle's own `require` parameter may be in scope here.
const DYNAMIC_IMPORT: &str = "(async (name) => { const whole = globalThis.require(`${name}`); \
     return { ...whole, default: whole }; })(0)";

pub(super) fn bind<'a>(
    program: &mut Program<'a>,
    scoping: &Scoping,
    allocator: &'a Allocator,
    origin: &Origin<'_>,
    known: &[&str],
) -> Result<(), SourceError> {
    let mut binder = Binder { scoping, allocator, origin, known, functions: 0, refused: None };
    binder.visit_program(program);
    binder.refused.map_or(Ok(()), Err)
}

struct Binder<'s, 'a> {
    scoping: &'s Scoping,
    allocator: &'a Allocator,
    origin: &'s Origin<'s>,
    known: &'s [&'s str],
    /// How many functions enclose the visited node.
    functions: usize,
    refused: Option<SourceError>,
}

impl<'a> Binder<'_, 'a> {
    fn refuse(&mut self, error: SourceError) {
        self.refused.get_or_insert(error);
    }

    fn refuse_syntax(&mut self, span: Span, what: &'static str, instead: &'static str) {
        self.refuse(self.origin.unsupported(span, what, instead));
    }

    fn refuse_top_level_await(&mut self, span: Span) {
        if self.functions == 0 {
            let instead = "Await inside setupPlugin or another function.";
            self.refuse_syntax(span, "top-level await", instead);
        }
    }

    fn check(&mut self, name: &str, span: Span) {
        if !self.known.contains(&name) {
            self.refuse(SourceError::UnknownModule {
                place: self.origin.place(span.start as usize),
                name: name.to_owned(),
                known: self.known.iter().map(|&known| known.to_owned()).collect(),
            });
        }
    }

    /// Whether nothing in the source binds this name here.
    fn is_global(&self, identifier: &IdentifierReference<'_>) -> bool {
        identifier
            .reference_id
            .get()
            .is_some_and(|id| self.scoping.get_reference(id).symbol_id().is_none())
    }

    fn promise_of(&self, specifier: Expression<'a>, span: Span) -> Option<Expression<'a>> {
        let code = snippet::statements(DYNAMIC_IMPORT, span, self.allocator, self.origin).ok()?;
        let statement = code.into_iter().next()?;
        let Statement::ExpressionStatement(mut statement) = statement else { return None };
        let Expression::CallExpression(call) = &mut statement.expression else { return None };
        *call.arguments.first_mut()? = Argument::from(specifier);
        Some(statement.expression.take_in(&self.allocator))
    }
}

impl<'a> VisitMut<'a> for Binder<'_, 'a> {
    fn visit_expression(&mut self, expression: &mut Expression<'a>) {
        walk_mut::walk_expression(self, expression);
        let Expression::ImportExpression(import) = expression else { return };
        if let Some((name, span)) = literal(&import.source) {
            self.check(name, span);
        }
        let span = import.span;
        let specifier = import.source.take_in(&self.allocator);
        if let Some(promise) = self.promise_of(specifier, span) {
            *expression = promise;
        }
    }

    fn visit_call_expression(&mut self, call: &mut CallExpression<'a>) {
        if let Expression::Identifier(callee) = &call.callee
            && callee.name == "require"
            && self.is_global(callee)
            && let Some(argument) = call.arguments.first().and_then(Argument::as_expression)
            && let Some((name, span)) = literal(argument)
        {
            self.check(name, span);
        }
        walk_mut::walk_call_expression(self, call);
    }

    fn visit_import_declaration(&mut self, import: &mut ImportDeclaration<'a>) {
        if import.phase.is_some() {
            self.refuse_syntax(import.span, "a phase of an import", "Import the module itself.");
        }
        self.check(import.source.value.as_str(), import.source.span);
    }

    fn visit_export_from_declaration(&mut self, export: &mut ExportFromDeclaration<'a>) {
        self.check(export.source.value.as_str(), export.source.span);
    }

    fn visit_export_all_declaration(&mut self, export: &mut ExportAllDeclaration<'a>) {
        self.check(export.source.value.as_str(), export.source.span);
    }

    fn visit_function(&mut self, function: &mut Function<'a>, flags: ScopeFlags) {
        self.functions += 1;
        walk_mut::walk_function(self, function, flags);
        self.functions -= 1;
    }

    fn visit_arrow_function_expression(&mut self, arrow: &mut ArrowFunctionExpression<'a>) {
        self.functions += 1;
        walk_mut::walk_arrow_function_expression(self, arrow);
        self.functions -= 1;
    }

    fn visit_await_expression(&mut self, it: &mut AwaitExpression<'a>) {
        self.refuse_top_level_await(it.span);
        walk_mut::walk_await_expression(self, it);
    }

    fn visit_for_of_statement(&mut self, it: &mut ForOfStatement<'a>) {
        if it.r#await {
            self.refuse_top_level_await(it.span);
        }
        walk_mut::walk_for_of_statement(self, it);
    }

    fn visit_variable_declaration(&mut self, it: &mut VariableDeclaration<'a>) {
        if it.kind.is_using() {
            self.refuse_syntax(it.span, "using", "Use const, and try … finally to clean up.");
        }
        walk_mut::walk_variable_declaration(self, it);
    }

    fn visit_import_meta(&mut self, it: &mut ImportMeta) {
        self.refuse_syntax(it.span, "import.meta", "A plugin is a script without a URL.");
    }

    fn visit_decorator(&mut self, it: &mut Decorator<'a>) {
        self.refuse_syntax(it.span, "a decorator", "Call the function that decorates instead.");
    }

    fn visit_accessor_property(&mut self, it: &mut AccessorProperty<'a>) {
        self.refuse_syntax(it.span, "an accessor field", "Write a getter and a setter.");
    }
}

/// The text of a string, or of a template without substitutions.
fn literal<'e>(expression: &'e Expression<'_>) -> Option<(&'e str, Span)> {
    match expression {
        Expression::StringLiteral(string) => Some((string.value.as_str(), string.span)),
        Expression::TemplateLiteral(template) if template.expressions.is_empty() => {
            let text = template.quasis.first()?.value.cooked?;
            Some((text.as_str(), template.span()))
        }
        _ => None,
    }
}
