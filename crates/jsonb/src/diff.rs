//! What differs between two documents: the shortest list of paths that leads from one to the other
//! without looking into arrays of different lengths.

use std::fmt::{self, Write};

use crate::{Number, Object, Ref, Result};

/// One difference.
#[derive(Debug, Clone)]
pub struct Change<'a> {
    /// Where.
    pub path: Path,
    /// What is there before; nothing when it is added.
    pub before: Option<Ref<'a>>,
    /// What is there after; nothing when it is removed.
    pub after: Option<Ref<'a>>,
}

/// From the root to a value; empty for the root itself. Written as JavaScript would reach it:
/// `properties.$set.name`, `list[2]`, `properties["a b"]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Path(pub Vec<Step>);

/// One step of a [`Path`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Into an object.
    Key(String),
    /// Into an array.
    Index(usize),
}

/// The differences, in the order of the documents.
///
/// Objects are compared key by key, arrays of the same length element by element, other arrays as a
/// whole. Numbers are equal when PostgreSQL's `=` says so: 1.0 and 1.00 are.
pub fn diff<'a>(before: Ref<'a>, after: Ref<'a>) -> Result<Vec<Change<'a>>> {
    let mut walk = Walk { path: Path::default(), changes: Vec::new() };
    walk.values(before, after)?;
    Ok(walk.changes)
}

struct Walk<'a> {
    path: Path,
    changes: Vec<Change<'a>>,
}

impl<'a> Walk<'a> {
    fn values(&mut self, before: Ref<'a>, after: Ref<'a>) -> Result<()> {
        match (before, after) {
            (Ref::Null, Ref::Null) => {}
            (Ref::Bool(before), Ref::Bool(after)) if before == after => {}
            (Ref::String(before), Ref::String(after)) if before == after => {}
            (Ref::Number(before), Ref::Number(after)) if same_number(&before, &after) => {}
            (Ref::Object(before), Ref::Object(after)) => self.objects(before, after)?,
            (Ref::Array(before), Ref::Array(after)) if before.len() == after.len() => {
                for (index, (before, after)) in before.iter().zip(after.iter()).enumerate() {
                    self.at(Step::Index(index), before?, after?)?;
                }
            }
            _ => self.note(Some(before), Some(after)),
        }
        Ok(())
    }

    fn objects(&mut self, before: Object<'a>, after: Object<'a>) -> Result<()> {
        for pair in before.iter() {
            let (key, value) = pair?;
            let step = Step::Key(key.to_owned());
            match after.get(key)? {
                Some(other) => self.at(step, value, other)?,
                None => self.note_at(step, Some(value), None),
            }
        }
        for pair in after.iter() {
            let (key, value) = pair?;
            if before.get(key)?.is_none() {
                self.note_at(Step::Key(key.to_owned()), None, Some(value));
            }
        }
        Ok(())
    }

    fn at(&mut self, step: Step, before: Ref<'a>, after: Ref<'a>) -> Result<()> {
        self.path.0.push(step);
        let compared = self.values(before, after);
        self.path.0.pop();
        compared
    }

    fn note_at(&mut self, step: Step, before: Option<Ref<'a>>, after: Option<Ref<'a>>) {
        self.path.0.push(step);
        self.note(before, after);
        self.path.0.pop();
    }

    fn note(&mut self, before: Option<Ref<'a>>, after: Option<Ref<'a>>) {
        self.changes.push(Change { path: self.path.clone(), before, after });
    }
}

/// Whether two numbers have the same value, whatever zeros they show behind the point.
fn same_number(one: &Number<'_>, other: &Number<'_>) -> bool {
    fn value(number: &Number<'_>) -> String {
        let mut text = number.to_string();
        if text.contains('.') {
            text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
        }
        text
    }
    one.as_bytes() == other.as_bytes() || value(one) == value(other)
}

impl fmt::Display for Path {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(out, "[{index}]")?,
                Step::Key(key) if is_word(key) => {
                    out.write_str(if depth == 0 { "" } else { "." })?;
                    out.write_str(key)?;
                }
                Step::Key(key) => {
                    out.write_str("[\"")?;
                    key.chars().try_for_each(|letter| match letter {
                        '"' | '\\' => write!(out, "\\{letter}"),
                        _ => out.write_char(letter),
                    })?;
                    out.write_str("\"]")?;
                }
            }
        }
        Ok(())
    }
}

/// Whether a key needs no quotes: no letter in it has a meaning in a path.
fn is_word(key: &str) -> bool {
    let plain = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '$' | '-');
    !key.is_empty() && key.chars().all(plain)
}
