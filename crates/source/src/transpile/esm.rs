//! ES modules as a script: imports become constants read from `require`, exports become accessors
//! of one object literal assigned to the host's `exports`. Both stand at the top, in pure syntax:
//! nothing the author declares (`function Object() {}` is hoisted above everything) can reach them.
//!
//! An accessor reads the author's variable, so an export is live without touching the code that
//! assigns it; its setter gives way to a plain property, so `exports.x = …` works beside `export`.

use std::collections::HashSet;
use std::fmt::Write;

use oxc::allocator::{Allocator, ArenaVec, TakeIn};
use oxc::ast::ast::*;
use oxc::semantic::{Scoping, SymbolId};
use oxc::span::Span;
use oxc::str::Ident;
use oxc::syntax::identifier::is_identifier_name;

use super::error::{Origin, SourceError};
use super::snippet::{self, quoted};

/// What the host declares for every plugin. A module's own bindings of these names are renamed.
const HOST_NAMES: [&str; 3] = ["module", "exports", "require"];

pub(super) fn lower<'a>(
    program: &mut Program<'a>,
    scoping: &mut Scoping,
    allocator: &'a Allocator,
    origin: &Origin<'_>,
) -> Result<(), SourceError> {
    if !program.source_type.is_module() {
        return refuse_redeclaration(scoping, origin);
    }
    give_way_to_host(scoping, allocator);
    let mut lowering = Lowering {
        scoping,
        allocator,
        origin,
        imports: ArenaVec::new_in(&allocator),
        exports: Exports::default(),
        rest: ArenaVec::new_in(&allocator),
    };
    for statement in program.body.take_in(&allocator) {
        lowering.statement(statement)?;
    }
    let Lowering { imports: mut body, exports, rest, .. } = lowering;
    if let Some(span) = exports.span {
        let text = format!("exports = {{ {} }};", exports.properties);
        body.extend(snippet::statements(&text, span, allocator, origin)?);
    }
    body.extend(rest);
    program.body = body;
    Ok(())
}

/// A classic script shares the global scope with the host's declarations.
fn refuse_redeclaration(scoping: &Scoping, origin: &Origin<'_>) -> Result<(), SourceError> {
    for name in ["module", "exports"] {
        if let Some(symbol) = root_binding(scoping, name) {
            let span = scoping.symbol_span(symbol);
            let what = "a top-level declaration of module or exports";
            return Err(origin.unsupported(span, what, "Assign to it instead, or rename it."));
        }
    }
    Ok(())
}

fn give_way_to_host(scoping: &mut Scoping, allocator: &Allocator) {
    for name in HOST_NAMES {
        let Some(symbol) = root_binding(scoping, name) else { continue };
        let mut free = format!("_{name}");
        while is_taken(scoping, &free) {
            free.insert(0, '_');
        }
        let root = scoping.root_scope_id();
        scoping.rename_symbol(symbol, root, Ident::from_str_in(&free, &allocator));
    }
}

fn root_binding(scoping: &Scoping, name: &str) -> Option<SymbolId> {
    scoping.find_binding(scoping.root_scope_id(), name.into())
}

fn is_taken(scoping: &Scoping, name: &str) -> bool {
    scoping.symbol_ids().any(|symbol| scoping.symbol_name(symbol) == name)
        || scoping.root_unresolved_references().contains_key(name)
}

/// The properties of the `exports` object, as text.
#[derive(Default)]
struct Exports {
    properties: String,
    names: HashSet<String>,
    /// The first export: what the object literal stands for.
    span: Option<Span>,
}

impl Exports {
    fn add(&mut self, span: Span, property: std::fmt::Arguments<'_>) {
        self.span.get_or_insert(span);
        // Writing to a String cannot fail.
        let _ = write!(self.properties, "{property}, ");
    }

    fn add_live(&mut self, span: Span, name: &str, local: &str) {
        if !self.names.insert(name.to_owned()) {
            // Enums and namespaces of one name merge into one binding.
            return;
        }
        let (key, member) = if is_identifier_name(name) {
            (name.to_owned(), format!("this.{name}"))
        } else {
            (quoted(name), format!("this[{}]", quoted(name)))
        };
        self.add(
            span,
            format_args!(
                "get {key}() {{ return {local}; }}, \
                 set {key}(value) {{ delete {member}; {member} = value; }}"
            ),
        );
    }
}

struct Lowering<'s, 'a> {
    scoping: &'s Scoping,
    allocator: &'a Allocator,
    origin: &'s Origin<'s>,
    imports: ArenaVec<'a, Statement<'a>>,
    exports: Exports,
    rest: ArenaVec<'a, Statement<'a>>,
}

impl<'a> Lowering<'_, 'a> {
    fn statement(&mut self, statement: Statement<'a>) -> Result<(), SourceError> {
        match statement {
            Statement::ImportDeclaration(import) => self.import(&import)?,
            Statement::ExportFromDeclaration(export) => self.export_from(&export),
            Statement::ExportAllDeclaration(export) => self.export_all(&export),
            Statement::ExportNamedDeclaration(export) => self.export_names(&export)?,
            Statement::ExportDeclaration(export) => self.export_declaration(export.unbox()),
            Statement::ExportDefaultDeclaration(export) => self.export_default(export.unbox())?,
            other => self.rest.push(other),
        }
        Ok(())
    }

    /// A default or namespace import is the whole module: there is no `.default` interop.
    fn import(&mut self, import: &ImportDeclaration<'a>) -> Result<(), SourceError> {
        let module = quoted(import.source.value.as_str());
        let mut whole = String::new();
        let mut named = String::new();
        for specifier in import.specifiers.iter().flatten() {
            let local = self.scoping.symbol_name(specifier.local().symbol_id());
            match specifier {
                ImportDeclarationSpecifier::ImportSpecifier(specifier)
                    if specifier.imported.name() != "default" =>
                {
                    let imported = quoted(specifier.imported.name().as_str());
                    named += &format!("{imported}: {local}, ");
                }
                _ => whole += &format!("{local} = require({module}), "),
            }
        }
        if !named.is_empty() {
            whole += &format!("{{ {named} }} = require({module}), ");
        }
        let text = match whole.strip_suffix(", ") {
            Some(bindings) => format!("const {bindings};"),
            None => format!("require({module});"),
        };
        let code = snippet::statements(&text, import.span, self.allocator, self.origin)?;
        self.imports.extend(code);
        Ok(())
    }

    fn export_from(&mut self, export: &ExportFromDeclaration<'a>) {
        let module = quoted(export.source.value.as_str());
        for specifier in &export.specifiers {
            let name = quoted(specifier.exported.name().as_str());
            match specifier.local.name().as_str() {
                "default" => {
                    self.exports.add(export.span, format_args!("[{name}]: require({module})"));
                }
                local => {
                    let local = quoted(local);
                    let property = format_args!("[{name}]: require({module})[{local}]");
                    self.exports.add(export.span, property);
                }
            }
        }
    }

    fn export_all(&mut self, export: &ExportAllDeclaration<'a>) {
        let module = quoted(export.source.value.as_str());
        let Some(name) = &export.exported else {
            // What the module exports itself, named below or above, goes before: a spread must
            // not overwrite it.
            let spread = format!("...(({{ default: _, ...rest }}) => rest)(require({module})), ");
            self.exports.properties.insert_str(0, &spread);
            self.exports.span.get_or_insert(export.span);
            return;
        };
        let name = quoted(name.name().as_str());
        self.exports.add(export.span, format_args!("[{name}]: require({module})"));
    }

    fn export_names(&mut self, export: &ExportNamedDeclaration<'a>) -> Result<(), SourceError> {
        for specifier in &export.specifiers {
            let Some(symbol) = self.symbol_of(&specifier.local) else {
                let problem =
                    format!("export {:?} is not defined", specifier.local.name().as_str());
                let offset = specifier.span.start as usize;
                return Err(self.origin.syntax(offset, &problem, None));
            };
            let name = specifier.exported.name();
            let local = self.scoping.symbol_name(symbol);
            self.exports.add_live(specifier.span, name.as_str(), local);
        }
        Ok(())
    }

    fn symbol_of(&self, local: &ModuleExportName<'a>) -> Option<SymbolId> {
        let ModuleExportName::IdentifierReference(local) = local else { return None };
        self.scoping.get_reference(local.reference_id.get()?).symbol_id()
    }

    fn export_declaration(&mut self, export: ExportDeclaration<'a>) {
        match &export.declaration {
            Declaration::VariableDeclaration(variables) => {
                for variable in &variables.declarations {
                    for identifier in variable.id.get_binding_identifiers() {
                        self.export_binding(identifier);
                    }
                }
            }
            other => other.id().into_iter().for_each(|identifier| self.export_binding(identifier)),
        }
        self.rest.push(Statement::from(export.declaration));
    }

    fn export_binding(&mut self, identifier: &BindingIdentifier<'a>) {
        let local = self.scoping.symbol_name(identifier.symbol_id());
        self.exports.add_live(identifier.span, identifier.name.as_str(), local);
    }

    fn export_default(&mut self, export: ExportDefaultDeclaration<'a>) -> Result<(), SourceError> {
        let span = export.span;
        let value = match export.declaration {
            ExportDefaultDeclarationKind::FunctionDeclaration(mut function) => {
                if let Some(name) = &function.id {
                    let local = self.scoping.symbol_name(name.symbol_id());
                    self.exports.add_live(span, "default", local);
                    self.rest.push(Statement::FunctionDeclaration(function));
                    return Ok(());
                }
                function.r#type = FunctionType::FunctionExpression;
                Expression::FunctionExpression(function)
            }
            ExportDefaultDeclarationKind::ClassDeclaration(mut class) => {
                if let Some(name) = &class.id {
                    let local = self.scoping.symbol_name(name.symbol_id());
                    self.exports.add_live(span, "default", local);
                    self.rest.push(Statement::ClassDeclaration(class));
                    return Ok(());
                }
                class.r#type = ClassType::ClassExpression;
                Expression::ClassExpression(class)
            }
            ExportDefaultDeclarationKind::TSInterfaceDeclaration(_) => return Ok(()),
            mut expression => match expression.as_expression_mut() {
                Some(expression) => expression.take_in(&self.allocator),
                None => return Ok(()),
            },
        };
        let mut code =
            snippet::statements("exports.default = 0;", span, self.allocator, self.origin)?;
        if let Some(Statement::ExpressionStatement(statement)) = code.first_mut()
            && let Expression::AssignmentExpression(assignment) = &mut statement.expression
        {
            assignment.right = value;
        }
        self.rest.extend(code);
        Ok(())
    }
}
