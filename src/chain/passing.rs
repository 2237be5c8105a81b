//! An event on its way through the chain: as one jsonb, or in another form that the chain need not
//! know.

use std::borrow::Cow;
use std::rc::Rc;

use engine::{Given, Verdict};

use super::{open, team_of};
use crate::backend::Link;
use crate::error::Result;
use crate::marks::Marks;

pub trait Passing {
    /// For a plugin.
    fn given(&self) -> Given<'_>;

    /// Whether it is a session recording.
    fn is_snapshot(&self) -> Result<bool>;

    fn team(&self) -> Option<i32>;

    /// As jsonb, for whoever is to look into a failure.
    fn payload(&self) -> Result<Cow<'_, [u8]>>;

    /// Becomes what the link has made of it.
    fn change(&mut self, link: Rc<Link>, verdict: Verdict) -> Result<()>;

    /// Notes in the event what the plugins did.
    fn mark(&mut self, marks: &Marks) -> Result<()>;

    /// What went wrong behind JavaScript's back since the last time.
    fn check(&self) -> Result<()>;
}

/// An event as one jsonb.
pub struct Whole<'e> {
    pub payload: Cow<'e, [u8]>,
    /// The last link that changed anything.
    pub author: Option<Rc<Link>>,
}

impl<'e> Whole<'e> {
    pub fn new(payload: &'e [u8]) -> Result<Self> {
        open(payload)?;
        Ok(Whole { payload: Cow::Borrowed(payload), author: None })
    }
}

impl Passing for Whole<'_> {
    fn given(&self) -> Given<'_> {
        Given::Whole(&self.payload)
    }

    fn is_snapshot(&self) -> Result<bool> {
        Ok(super::is_snapshot(&open(&self.payload)?))
    }

    fn team(&self) -> Option<i32> {
        open(&self.payload).ok().and_then(|fields| team_of(&fields))
    }

    fn payload(&self) -> Result<Cow<'_, [u8]>> {
        Ok(Cow::Borrowed(&self.payload))
    }

    fn change(&mut self, link: Rc<Link>, verdict: Verdict) -> Result<()> {
        if let Verdict::Changed(changed) = verdict {
            self.payload = Cow::Owned(changed);
            self.author = Some(link);
        }
        Ok(())
    }

    fn mark(&mut self, marks: &Marks) -> Result<()> {
        if let Some(marked) = marks.apply(&self.payload) {
            self.payload = Cow::Owned(marked);
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        Ok(())
    }
}
