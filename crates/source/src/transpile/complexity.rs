//! How much stack and time a source may cost. The parser and everything after it recurse with the
//! source's nesting, and an overflow would kill the process, not the call.
//!
//! Three measures. `stack_bytes` is an upper bound and what safety rests on: no production opens
//! without a byte of its own, so bytes bound depth whatever the text means; the reserved pages are
//! touched only as deep as the source nests. `check_text` refuses absurd nesting before the parser
//! sees it, by a reader that may misjudge a regular expression: it saves time and memory, not the
//! process. `check_tree` is exact and bounds what is worse than linear in the depth of the tree.

use oxc::ast::AstKind;
use oxc::ast::ast::Program;
use oxc::ast_visit::Visit;
use oxc::span::GetSpan;

use super::error::{Origin, SourceError};

mod reader;

/// Stack per byte that can open a nested production. Measured over about 120 nesting patterns, the
/// dearest take 1,825 bytes in an optimized build (`{a:`) and 4,407 in a debug build (a tuple
/// type's `[`); twice that is reserved.
const STACK_PER_OPENER: usize = if cfg!(debug_assertions) { 9_216 } else { 4_096 };

/// Stack per byte of any kind, for nesting made of words. The dearest, `new `, takes 97 bytes of
/// stack per byte in an optimized build and 340 in a debug build.
const STACK_PER_BYTE: usize = if cfg!(debug_assertions) { 768 } else { 256 };

/// For what does not depend on the source.
const STACK_BASE: usize = 1 << 20;

/// Levels of the syntax tree: twice a string of 5,000 pieces, the longest chain that is promised to
/// work. Scopes and labels cost the square of their depth.
const TREE_LEVELS: usize = 10_000;

/// Stack that is enough for every phase over any source of these bytes.
pub(super) fn stack_bytes(source: &str) -> usize {
    let opens = |byte: &&u8| b"([{<=?:!~+-*/%&|^@#`".contains(byte);
    let openers = source.as_bytes().iter().filter(opens).count();
    STACK_BASE + openers * STACK_PER_OPENER + source.len() * STACK_PER_BYTE
}

/// Refuses nesting that no author writes.
pub(super) fn check_text(origin: &Origin<'_>) -> Result<(), SourceError> {
    match reader::Reader::new(origin.source).first_excess() {
        Some(offset) => Err(SourceError::TooComplex { place: origin.place(offset) }),
        None => Ok(()),
    }
}

/// Refuses a tree deeper than [`TREE_LEVELS`].
pub(super) fn check_tree(program: &Program<'_>, origin: &Origin<'_>) -> Result<(), SourceError> {
    let mut depth = Depth { level: 0, excess: None };
    depth.visit_program(program);
    match depth.excess {
        Some(offset) => Err(SourceError::TooComplex { place: origin.place(offset) }),
        None => Ok(()),
    }
}

struct Depth {
    level: usize,
    excess: Option<usize>,
}

impl<'a> Visit<'a> for Depth {
    fn enter_node(&mut self, kind: AstKind<'a>) {
        self.level += 1;
        if self.level > TREE_LEVELS {
            self.excess.get_or_insert(kind.span().start as usize);
        }
    }

    fn leave_node(&mut self, _: AstKind<'a>) {
        self.level -= 1;
    }
}
