//! Objects on their way out: views, of which only what was touched is looked at, and all others.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::ops::Range;
use std::ptr::addr_eq;

use jsonb::{Pairs, Ref};
use rquickjs::qjs;

use super::{Before, ENTRY_BYTES, Unrepresentable, Writing, Written};
use crate::value::lazy::{Members, Slot, View};
use crate::value::raw::{Key, Raw};
use crate::value::text::storable;

impl<'a, 'js> Writing<'a, 'js> {
    pub(super) fn object(
        &mut self,
        object: &Raw<'a, 'js>,
        before: Option<&Before<'a, 'js, '_>>,
    ) -> Written {
        let (members, seen) = match before {
            Some(Before { value: Ref::Object(members), view }) => {
                let members = match self.is_at_event() {
                    true => self.original.members()?,
                    false => Members::Together(*members),
                };
                (Some(members), view.as_ref())
            }
            _ => (None, None),
        };
        let mut team = if self.is_at_event() { Team::Of(members) } else { Team::None };
        self.out.begin_object()?;
        match object.view(self.views) {
            Some(view) if view.holds_its_properties() => self.view(object, view, &mut team)?,
            Some(view) => {
                let source = view.source().clone();
                self.seen(object, view.members(&source)?, view, &mut team)?;
            }
            None => match (members, seen.and_then(|seen| seen.view(self.views))) {
                (Some(members), Some(view)) => self.seen(object, members, view, &mut team)?,
                (members, _) => self.unseen(object, members, &mut team)?,
            },
        }
        if let Some(before) = team.take()? {
            self.team(&Raw::undefined(self.ctx), before)?;
        }
        self.out.end()?;
        Ok(())
    }

    /// Writes a view's properties, those that nobody touched as bytes. JavaScript may run on the
    /// way; what is written is what there was at first, as it is in its turn.
    fn view(&mut self, object: &Raw<'a, 'js>, view: &View, team: &mut Team<'_>) -> Written {
        let (source, keys) = (view.source().clone(), view.keys().clone());
        let members = view.members(&source)?;
        let levels_left = self.limits.depth - (self.ancestors.len() - 1);
        let can_be_copied = self.prototypes.is_some() && !members.are_deeper_than(levels_left)?;
        let is_given = view.is_all_of(self.original);
        let deleted: Vec<usize> = view.deleted().collect();
        let mut added = self.added(view, members)?.into_iter().peekable();
        let mut place = 0;
        while let Some(pair) = keys.pair(place) {
            while let Some((_, key)) = added.next_if(|(before, _)| *before <= pair) {
                self.stranger(object, &key, None, team)?;
            }
            let mut end = pair;
            if can_be_copied && view.holds_its_properties() {
                let next = added.peek().map_or(usize::MAX, |(before, _)| *before);
                end = view.untouched_from(pair).min(next);
            }
            let team_pair = keys.team().filter(|_| team.is_due());
            if let Some(own) = team_pair.filter(|own| (pair..end).contains(own)) {
                match is_given {
                    true => *team = Team::None,
                    false => end = own,
                }
            }
            if end > pair {
                self.copy(members, pair..end)?;
                place += end - pair;
                continue;
            }
            place += 1;
            if deleted.binary_search(&pair).is_ok() {
                continue;
            }
            // SAFETY: the set of keys keeps the atom alive.
            let key = unsafe { Key::again(self.ctx, keys.atoms()[pair]) };
            let member = object.member(&key)?;
            let before_team = if team_pair == Some(pair) { team.take()? } else { None };
            match before_team {
                Some(before) => self.team(&member, before)?,
                None => self.member(&members, view, pair, member)?,
            }
        }
        for (_, key) in added {
            self.stranger(object, &key, None, team)?;
        }
        Ok(())
    }

    /// The keys that the event does not have, each with the pair before which it is written. That
    /// is at the end, in JavaScript's order; but where nobody can tell the order, jsonb's saves
    /// sorting all keys.
    fn added(
        &self,
        view: &View,
        members: Members<'_>,
    ) -> std::result::Result<Vec<(usize, Key<'a, 'js>)>, Unrepresentable> {
        let members = members.keys();
        let keys = view.added_keys(self.ctx.as_raw().as_ptr()).into_iter();
        // SAFETY: the references are new, and ours.
        let mut added: Vec<_> =
            keys.map(|atom| (members.len(), unsafe { Key::own(self.ctx, atom) })).collect();
        if view.is_flat() && view.keys().are_in_order() {
            for (before, key) in &mut added {
                let name = key.text()?;
                *before = members.find(&storable(name.bytes()))?.unwrap_or_else(|place| place);
            }
            added.sort_by_key(|(before, _)| *before);
        }
        Ok(added)
    }

    /// Writes the properties of an object that the plugin made from nothing it was given.
    fn unseen(
        &mut self,
        object: &Raw<'a, 'js>,
        members: Option<Members<'_>>,
        team: &mut Team<'_>,
    ) -> Written {
        let mut originals = members.map(Originals::of);
        for key in object.keys()?.iter() {
            self.stranger(object, &key, originals.as_mut(), team)?;
        }
        Ok(())
    }

    /// Writes the properties of an object that stands where the plugin was given a view. What is
    /// still the value that the view had for it is copied as bytes.
    fn seen(
        &mut self,
        object: &Raw<'a, 'js>,
        members: Members<'_>,
        view: &View,
        team: &mut Team<'_>,
    ) -> Written {
        let known = view.keys().clone();
        let mut run = Run::of(members);
        for key in object.keys()?.iter() {
            let Some(pair) = known.find(key.atom()) else {
                self.flush(&mut run)?;
                self.stranger(object, &key, None, team)?;
                continue;
            };
            let member = object.member(&key)?;
            let before_team = match known.team() == Some(pair) {
                true => team.take()?,
                false => None,
            };
            match (before_team, view.slots()[pair].get()) {
                (None, Slot::Read(value)) if member.is_primitive(value) => {
                    self.gather(&mut run, pair)?
                }
                (None, _) => {
                    self.flush(&mut run)?;
                    self.member(&members, view, pair, member)?;
                }
                (Some(before), _) => {
                    self.flush(&mut run)?;
                    self.team(&member, before)?;
                }
            }
        }
        self.flush(&mut run)
    }

    /// Writes the property that a pair of the original has become.
    fn member(
        &mut self,
        members: &Members<'_>,
        view: &View,
        pair: usize,
        member: Raw<'a, 'js>,
    ) -> Written {
        let name = members.key(pair)?;
        let original = members.original(pair)?;
        if self.keeps(*members) && self.is_original(&member, original) {
            return self.copy(*members, pair..pair + 1);
        }
        // SAFETY: the view holds the value.
        let seen = view.seen(pair).map(|seen| unsafe { Raw::again(self.ctx, seen) });
        let before = Before { value: original, view: seen };
        self.property(name, member, Some(&before))
    }

    /// Writes a property under its own name.
    fn stranger(
        &mut self,
        object: &Raw<'a, 'js>,
        key: &Key<'a, 'js>,
        originals: Option<&mut Originals<'_>>,
        team: &mut Team<'_>,
    ) -> Written {
        let member = object.member(key)?;
        let name = key.text()?;
        let name = storable(name.bytes());
        if name == "team_id"
            && let Some(before) = team.take()?
        {
            return self.team(&member, before);
        }
        let before = originals.map_or(Ok(None), |originals| originals.find(&name))?;
        self.property(&name, member, before.map(Before::only).as_ref())
    }

    fn property(
        &mut self,
        name: &str,
        mut member: Raw<'a, 'js>,
        before: Option<&Before<'a, 'js, '_>>,
    ) -> Written {
        if member.is_object() {
            let key = |writing: &mut Self| {
                writing.account(name.len())?;
                Ok(writing.out.key(name)?)
            };
            if self.untouched(&member, key)? {
                return Ok(());
            }
            member = self.resolve(member, name)?;
        } else if member.is_big_int() {
            member = self.resolve(member, name)?;
        }
        let absent = matches!(member.tag(), qjs::JS_TAG_UNDEFINED | qjs::JS_TAG_SYMBOL);
        if absent || member.is_function() {
            return Ok(());
        }
        self.account(name.len())?;
        self.out.key(name)?;
        self.value(&member, before)
    }

    /// The event's team is not the plugin's to change: the original stays, a change is reported.
    fn team(&mut self, now: &Raw<'a, 'js>, before: Option<Ref<'_>>) -> Written {
        let kept = match before {
            None => now.tag() == qjs::JS_TAG_UNDEFINED,
            Some(Ref::Number(number)) => now.as_number() == Some(number.to_f64()),
            Some(Ref::Null) => now.tag() == qjs::JS_TAG_NULL,
            Some(Ref::Bool(flag)) => now.as_bool() == Some(flag),
            Some(Ref::String(text)) => now.is_string() && now.text()?.bytes() == text.as_bytes(),
            Some(Ref::Array(_) | Ref::Object(_)) => now.is_object(),
        };
        self.team_changed |= !kept;
        match (before, &mut self.kept) {
            (None, _) => {}
            (Some(_), Some(kept)) => {
                if let Ok(field) = self.original.members()?.keys().find("team_id")? {
                    kept[field] = true;
                }
            }
            (Some(team), None) => {
                self.out.key("team_id")?;
                self.out.splice(team)?;
            }
        }
        Ok(())
    }

    /// Whether what is being written is the event itself.
    fn is_at_event(&self) -> bool {
        self.ancestors.len() == 1
    }

    /// Whether these members need not be written to stay what they are.
    fn keeps(&self, members: Members<'_>) -> bool {
        let is_given = |fields| self.original.fields().is_some_and(|own| addr_eq(own, fields));
        self.is_at_event() && matches!(members, Members::Apart(fields) if is_given(fields))
    }

    /// Whether a member is the view of that object of the event, and nobody touched it.
    fn is_original(&self, member: &Raw<'a, 'js>, object: Ref<'_>) -> bool {
        match (self.prototypes, member.view(self.views), object) {
            (Some(prototypes), Some(view), Ref::Object(object)) => {
                view.is_of(self.original, &object) && member.is_untouched(view, prototypes)
            }
            _ => false,
        }
    }

    /// Has a pair copied, together with its neighbours.
    fn gather(&mut self, run: &mut Run<'_>, pair: usize) -> Written {
        if run.pairs.end != pair {
            self.flush(run)?;
            run.pairs = pair..pair;
        }
        run.pairs.end += 1;
        Ok(())
    }

    fn flush(&mut self, run: &mut Run<'_>) -> Written {
        match std::mem::take(&mut run.pairs) {
            pairs if pairs.is_empty() => Ok(()),
            pairs => self.copy(run.members, pairs),
        }
    }

    fn copy(&mut self, members: Members<'_>, pairs: Range<usize>) -> Written {
        let is_kept = self.keeps(members);
        if let Some(kept) = self.kept.as_mut().filter(|_| is_kept) {
            kept[pairs].fill(true);
            return Ok(());
        }
        let entries = pairs.len() * ENTRY_BYTES;
        let bytes = match members {
            Members::Together(object) => self.out.splice_pairs(object, pairs)?,
            Members::Apart(_) => {
                for pair in pairs {
                    self.out.key(members.key(pair)?)?;
                    self.out.splice(members.original(pair)?)?;
                }
                0
            }
        };
        self.account(entries + bytes)
    }
}

/// Neighbouring pairs of an original that are to be copied.
struct Run<'o> {
    members: Members<'o>,
    pairs: Range<usize>,
}

impl<'o> Run<'o> {
    fn of(members: Members<'o>) -> Self {
        Run { members, pairs: 0..0 }
    }
}

/// The `team_id` of the original event, until it is written.
enum Team<'o> {
    None,
    Of(Option<Members<'o>>),
}

impl<'o> Team<'o> {
    fn is_due(&self) -> bool {
        matches!(self, Team::Of(_))
    }

    fn take(&mut self) -> jsonb::Result<Option<Option<Ref<'o>>>> {
        match std::mem::replace(self, Team::None) {
            Team::None => Ok(None),
            Team::Of(None) => Ok(Some(None)),
            Team::Of(Some(event)) => event.get("team_id").map(Some),
        }
    }
}

/// The members of the object that a JavaScript object was made from. They are asked for mostly in
/// jsonb's order, in which that object got its keys; then one step finds the next.
struct Originals<'a> {
    members: Members<'a>,
    /// Not of members that lie apart: those ahead might never be asked for.
    ahead: Option<Peekable<Pairs<'a>>>,
}

impl<'a> Originals<'a> {
    fn of(members: Members<'a>) -> Self {
        let ahead = match members {
            Members::Together(object) => Some(object.iter().peekable()),
            Members::Apart(_) => None,
        };
        Originals { members, ahead }
    }

    fn find(&mut self, name: &str) -> jsonb::Result<Option<Ref<'a>>> {
        while let Some(ahead) = &mut self.ahead
            && let Some(&Ok((key, value))) = ahead.peek()
        {
            match (key.len(), key).cmp(&(name.len(), name)) {
                Ordering::Less => ahead.next(),
                Ordering::Equal => return Ok(Some(value)),
                // A key of the plugin's own, or one out of order.
                Ordering::Greater => break,
            };
        }
        self.members.get(name)
    }
}
