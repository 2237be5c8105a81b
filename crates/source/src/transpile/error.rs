//! Why a source is refused, and where: one enum, each variant with a message, detail and hint in
//! Postgres style, and the place in the author's text.

use std::fmt;

use oxc::diagnostics::OxcDiagnostic;
use oxc::span::Span;

/// Characters of a line that an error shows; a minified bundle is one line of a megabyte.
const EXCERPT: usize = 120;

/// A place in the author's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file as the author names it.
    pub file_name: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The line, or what surrounds the column in a long one.
    pub text: String,
}

/// Why a source cannot become a script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Not TypeScript or JavaScript.
    #[error("{} ({place})", self.message())]
    Syntax { place: Place, problem: String, help: Option<String> },
    /// An import or require of something the host does not have.
    #[error("{} ({place})", self.message())]
    UnknownModule { place: Place, name: String, known: Vec<String> },
    /// Valid in a newer or other dialect, but not in a plugin.
    #[error("{} ({place})", self.message())]
    Unsupported { place: Place, what: &'static str, instead: &'static str },
    /// Nesting that would take the parser too much time or stack.
    #[error("{} ({place})", self.message())]
    TooComplex { place: Place },
    /// More bytes than allowed.
    #[error("{}", self.message())]
    TooLong { bytes: usize, limit: usize },
    /// Nothing left to run once types and comments are gone.
    #[error("{} ({file_name})", self.message())]
    Empty { file_name: String },
    /// The transpiler itself failed.
    #[error("{} ({file_name}): {what}", self.message())]
    Internal { file_name: String, what: String },
}

impl SourceError {
    /// What is wrong: lower case, without a full stop.
    pub fn message(&self) -> String {
        match self {
            Self::Syntax { problem, .. } => problem.clone(),
            Self::UnknownModule { name, .. } => format!("module {name:?} is not available"),
            Self::Unsupported { what, .. } => format!("{what} is not supported"),
            Self::TooComplex { .. } => "source is nested too deeply".to_owned(),
            Self::TooLong { .. } => "source is too long".to_owned(),
            Self::Empty { .. } => "source has no statement to run".to_owned(),
            Self::Internal { .. } => "source cannot be transpiled".to_owned(),
        }
    }

    /// Where it is wrong or how much: full sentences.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::TooLong { bytes, limit } => {
                Some(format!("It has {bytes} bytes; at most {limit} are accepted."))
            }
            Self::Empty { .. } => Some("Types and comments leave no code.".to_owned()),
            Self::Internal { what, .. } => Some(format!("The transpiler stopped: {what}.")),
            _ => self.place().map(|place| {
                let Place { file_name, line, column, text } = place;
                format!("Line {line}, column {column} of {file_name}: {text}")
            }),
        }
    }

    /// What to do about it: full sentences.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Syntax { help, .. } => help.clone(),
            Self::UnknownModule { name, .. } if name.starts_with('.') => {
                Some("A plugin is one file: bundle its modules before installing it.".to_owned())
            }
            Self::UnknownModule { name, .. } if leads_outside(name) => Some(
                "A plugin has no files, sockets and processes. What it wants of the network, it \
                 asks for with fetch."
                    .to_owned(),
            ),
            Self::UnknownModule { known, .. } if known.is_empty() => None,
            Self::UnknownModule { known, .. } => {
                // Those of Node's have two names.
                let known: Vec<&str> = known
                    .iter()
                    .map(String::as_str)
                    .filter(|name| !name.starts_with("node:"))
                    .collect();
                Some(format!(
                    "Bundle it, if it does without files and sockets, or use one of: {}.",
                    known.join(", ")
                ))
            }
            Self::Unsupported { instead, .. } => Some((*instead).to_owned()),
            Self::TooComplex { .. } => Some("Move inner parts into variables.".to_owned()),
            Self::TooLong { .. } => Some("Minify the bundle.".to_owned()),
            Self::Empty { .. } => Some("Export at least one function.".to_owned()),
            Self::Internal { .. } => None,
        }
    }

    /// Where in the source, if it is somewhere.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Syntax { place, .. }
            | Self::UnknownModule { place, .. }
            | Self::Unsupported { place, .. }
            | Self::TooComplex { place } => Some(place),
            Self::TooLong { .. } | Self::Empty { .. } | Self::Internal { .. } => None,
        }
    }
}

/// Modules of Node's that no bundle can bring along.
const OUTSIDE: &str = "child_process cluster dgram dns fs http http2 https inspector module net os \
                       process readline repl tls tty v8 vm worker_threads";

fn leads_outside(module: &str) -> bool {
    let name = module.strip_prefix("node:").unwrap_or(module);
    let name = name.split_once('/').map_or(name, |(name, _)| name);
    OUTSIDE.split(' ').any(|outside| outside == name)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file_name, self.line, self.column)
    }
}

/// The author's text and its name: what turns a byte offset into a [`Place`].
pub(super) struct Origin<'s> {
    pub source: &'s str,
    pub file_name: &'s str,
}

impl Origin<'_> {
    pub fn place(&self, offset: usize) -> Place {
        let offset = self.source.floor_char_boundary(offset);
        let (before, after) = self.source.split_at(offset);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let end = after.find('\n').map_or(self.source.len(), |newline| offset + newline);
        let left = self.source.get(start..offset).unwrap_or_default();
        let text = self.source.get(start..end).unwrap_or_default();
        let column = left.chars().count();
        Place {
            file_name: self.file_name.to_owned(),
            line: before.matches('\n').count() + 1,
            column: column + 1,
            text: excerpt(text, column),
        }
    }

    /// The first of a parser's complaints, if any.
    pub fn refuse_first<'d>(
        &self,
        mut diagnostics: impl Iterator<Item = &'d OxcDiagnostic>,
    ) -> Result<(), SourceError> {
        let Some(first) = diagnostics.next() else { return Ok(()) };
        let offset = first.labels.first().map_or(0, |label| label.offset());
        let mut help = first.help.as_deref().map(str::to_owned);
        if let Some(help) = help.as_mut().filter(|help| !help.ends_with(['.', '?', '!'])) {
            help.push('.');
        }
        Err(self.syntax(offset as usize, &first.message, help))
    }

    pub fn syntax(&self, offset: usize, problem: &str, help: Option<String>) -> SourceError {
        let problem = in_postgres_style(problem);
        SourceError::Syntax { place: self.place(offset), problem, help }
    }

    pub fn unsupported(
        &self,
        span: Span,
        what: &'static str,
        instead: &'static str,
    ) -> SourceError {
        SourceError::Unsupported { place: self.place(span.start as usize), what, instead }
    }
}

/// Lower-cases a sentence's first letter (unless it begins a name like `TS` or `JSX`) and drops
/// its full stop.
fn in_postgres_style(sentence: &str) -> String {
    let sentence = sentence.trim_end_matches('.');
    let mut letters = sentence.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => sentence.to_owned(),
    }
}

fn excerpt(line: &str, column: usize) -> String {
    let line = line.trim_end();
    let length = line.chars().count();
    if length <= EXCERPT {
        return line.trim_start().to_owned();
    }
    let start = column.saturating_sub(EXCERPT / 2).min(length - EXCERPT);
    let middle: String = line.chars().skip(start).take(EXCERPT).collect();
    let head = if start > 0 { "…" } else { "" };
    let tail = if start + EXCERPT < length { "…" } else { "" };
    format!("{head}{middle}{tail}")
}
