//! From what an author wrote (TypeScript or JavaScript, ES module or CommonJS) to the text of one
//! sloppy script that QuickJS evaluates at global level, with a source map back to the author's
//! lines. Done once, at install. The host declares `const module = {exports: {}}` and
//! `let exports = {}` in a script of its own before it evaluates this one.

mod complexity;
mod error;
mod esm;
mod host_modules;
mod snippet;
mod source_map;
mod spread;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use oxc::allocator::Allocator;
use oxc::ast::ast::Program;
use oxc::ast::ast::RegExpLiteral;
use oxc::ast_visit::Visit;
use oxc::codegen::{Codegen, CodegenOptions, CommentOptions};
use oxc::parser::Parser;
use oxc::semantic::{Scoping, SemanticBuilder};
use oxc::span::SourceType;
use oxc::transformer::{TransformOptions, Transformer};

pub use error::{Place, SourceError};
pub use source_map::{Position, SourceMap};

use error::Origin;

/// What a source may cost at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest source, in bytes.
    pub source_bytes: usize,
}

impl Default for Limits {
    /// 1 MiB: room for a bundled client library, and the stack reserved for it (see `complexity`)
    /// still fits a small machine's address space.
    fn default() -> Self {
        Self { source_bytes: 1 << 20 }
    }
}

/// A plugin as a backend loads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// A classic script in sloppy mode.
    pub text: String,
    /// Its source map: JSON, version 3, without the author's text.
    pub source_map: String,
}

/// Turns the author's `source` into a [`Script`]. `known_modules` are the names that `import` and
/// `require` may name; `file_name` is what errors and stacks call the source.
pub fn transpile(
    source: &str,
    file_name: &str,
    known_modules: &[&str],
    limits: &Limits,
) -> Result<Script, SourceError> {
    if source.len() > limits.source_bytes {
        return Err(SourceError::TooLong { bytes: source.len(), limit: limits.source_bytes });
    }
    let origin = Origin { source, file_name };
    complexity::check_text(&origin)?;
    with_room(&origin, || run(&origin, known_modules))
}

/// The regular expressions of a source, as they are written, and their places: for an engine that
/// refused a script to find the one it means. (oxc could judge them, but its parser for them
/// overflows any stack on hostile ones.)
pub fn regular_expressions(source: &str, file_name: &str) -> Vec<(String, Place)> {
    let origin = Origin { source, file_name };
    let collect = || {
        let allocator = Allocator::default();
        let program = parse(SourceType::ts().with_unambiguous(true), &allocator, &origin)?;
        let mut literals = RegularExpressions { origin: &origin, found: Vec::new() };
        literals.visit_program(&program);
        Ok(literals.found)
    };
    with_room(&origin, collect).unwrap_or_default()
}

struct RegularExpressions<'a> {
    origin: &'a Origin<'a>,
    found: Vec<(String, Place)>,
}

impl<'a> Visit<'a> for RegularExpressions<'_> {
    fn visit_reg_exp_literal(&mut self, literal: &RegExpLiteral<'a>) {
        let start = literal.span.start as usize;
        let text = self.origin.source.get(start..literal.span.end as usize);
        self.found.extend(text.map(|text| (text.to_owned(), self.origin.place(start))));
    }
}

/// Runs the parser's recursion on a stack that is large enough for the source.
fn with_room<T>(
    origin: &Origin<'_>,
    work: impl FnOnce() -> Result<T, SourceError>,
) -> Result<T, SourceError> {
    let work = || stacker::grow(complexity::stack_bytes(origin.source), work);
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let file_name = origin.file_name.to_owned();
        Err(SourceError::Internal { file_name, what: panic_text(&*panic) })
    })
}

/// PostHog compiled every plugin as if it were named index.ts: TypeScript, never JSX. The parser
/// refuses a few things in TypeScript that are fine in a sloppy script (`with`), hence JavaScript.
fn run(origin: &Origin<'_>, known_modules: &[&str]) -> Result<Script, SourceError> {
    let typescript = SourceType::ts().with_unambiguous(true);
    let as_typescript = run_as(typescript, origin, known_modules);
    if !matches!(as_typescript, Err(SourceError::Syntax { .. })) {
        return as_typescript;
    }
    match run_as(SourceType::unambiguous(), origin, known_modules) {
        Err(SourceError::Syntax { .. }) => as_typescript,
        as_javascript => as_javascript,
    }
}

fn run_as(
    kind: SourceType,
    origin: &Origin<'_>,
    known_modules: &[&str],
) -> Result<Script, SourceError> {
    let allocator = Allocator::default();
    let mut program = parse(kind, &allocator, origin)?;
    complexity::check_tree(&program, origin)?;
    let scoping = SemanticBuilder::new_compiler()
        .with_build_nodes(true)
        .with_check_syntax_error(true)
        .with_enum_eval(true)
        .build(&program);
    origin.refuse_first(scoping.diagnostics.errors())?;
    let scoping = scoping.semantic.into_scoping();

    let file = Path::new(origin.file_name);
    let erased = Transformer::new(&allocator, file, &TransformOptions::default())
        .build_with_scoping(scoping, &mut program);
    // Its warnings are constructs it leaves out of the result (`export let` in a namespace).
    origin.refuse_first(erased.diagnostics.iter())?;

    // The transformer does not keep scoping in step with the tree.
    let mut scoping = SemanticBuilder::new().build(&program).semantic.into_scoping();
    host_modules::bind(&mut program, &scoping, &allocator, origin, known_modules)?;
    spread::box_texts(&mut program, &scoping, &allocator, origin)?;
    esm::lower(&mut program, &mut scoping, &allocator, origin)?;
    if program.body.is_empty() {
        return Err(SourceError::Empty { file_name: origin.file_name.to_owned() });
    }
    Ok(print(&program, scoping, origin))
}

fn parse<'a>(
    kind: SourceType,
    allocator: &'a Allocator,
    origin: &Origin<'a>,
) -> Result<Program<'a>, SourceError> {
    let parsed = Parser::new(allocator, origin.source, kind).parse();
    origin.refuse_first(parsed.diagnostics.errors())?;
    let mut program = parsed.program;
    program.hashbang = None;
    // PostHog put its own declarations before the author's text, which disarmed this directive.
    program.directives.retain(|directive| !directive.is_use_strict());
    Ok(program)
}

fn print(program: &Program<'_>, scoping: Scoping, origin: &Origin<'_>) -> Script {
    let options = CodegenOptions {
        comments: CommentOptions::disabled(),
        source_map_path: Some(PathBuf::from(origin.file_name)),
        // Indentation would let 8 KB of nested blocks print as 16 MB.
        indent_width: 0,
        ..CodegenOptions::default()
    };
    let printed = Codegen::new().with_options(options).with_scoping(Some(scoping)).build(program);
    let source_map = printed.map.map_or_else(String::new, |mut map| {
        map.set_source_contents(Vec::new());
        map.to_json_string()
    });
    Script { text: printed.code, source_map }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.and_then(|text| text.lines().next()).unwrap_or("a panic without a message").to_owned()
}
