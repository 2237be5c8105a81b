//! Events that were read from the queue and are not recorded yet: which of them are still under way,
//! and how far the consumer has got because of that.

use std::collections::VecDeque;

use crate::cursor::Cursor;

/// What was read, piece by piece. A piece is recorded when all of it has ended, and not before the
/// pieces that were read earlier; later ones may be under way meanwhile.
pub struct Progress<E, O, C = Cursor> {
    pieces: VecDeque<Piece<E, O, C>>,
    /// The number of the first of them.
    first: u64,
    events: usize,
    bytes: usize,
}

struct Piece<E, O, C> {
    /// Where the consumer is when the piece is done.
    cursor: C,
    entries: Vec<Entry<E, O>>,
    bytes: usize,
    open: usize,
}

struct Entry<E, O> {
    event: E,
    /// What may still change the outcome.
    holds: u32,
    outcome: O,
}

/// Names an event from when it is read until it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Item {
    piece: u64,
    index: usize,
}

/// How an event can end, the best first.
pub trait Outcome: Default + Ord {}

impl<E, O, C> Default for Progress<E, O, C> {
    fn default() -> Self {
        Progress { pieces: VecDeque::new(), first: 0, events: 0, bytes: 0 }
    }
}

impl<E, O: Outcome, C> Progress<E, O, C> {
    /// Takes a piece that was read, and how large it is. Each of its events is held once, until it is
    /// let go.
    pub fn add(&mut self, cursor: C, events: Vec<E>, bytes: usize) -> Vec<Item> {
        let piece = self.first + self.pieces.len() as u64;
        let items = (0..events.len()).map(|index| Item { piece, index }).collect();
        self.events += events.len();
        self.bytes += bytes;
        let open = events.len();
        let entry = |event| Entry { event, holds: 1, outcome: O::default() };
        let entries = events.into_iter().map(entry).collect();
        self.pieces.push_back(Piece { cursor, entries, bytes, open });
        items
    }

    /// How many events were read and not recorded.
    pub fn len(&self) -> usize {
        self.events
    }

    /// How large they are.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub fn event(&self, item: Item) -> Option<&E> {
        self.entry(item).map(|entry| &entry.event)
    }

    /// All events.
    pub fn events(&self) -> impl Iterator<Item = &E> {
        self.pieces.iter().flat_map(|piece| &piece.entries).map(|entry| &entry.event)
    }

    /// One thing more that the event waits for.
    pub fn hold(&mut self, item: Item) {
        let piece = self.piece(item);
        if let Some(entry) = piece.and_then(|piece| piece.entries.get_mut(item.index)) {
            entry.holds += 1;
        }
    }

    /// One thing less. The worst outcome is the event's, which is returned when that was the last.
    pub fn let_go(&mut self, item: Item, outcome: O) -> Option<&O> {
        let piece = self.piece(item)?;
        let entry = piece.entries.get_mut(item.index).filter(|entry| entry.holds > 0)?;
        entry.holds -= 1;
        if outcome > entry.outcome {
            entry.outcome = outcome;
        }
        if entry.holds > 0 {
            return None;
        }
        piece.open -= 1;
        Some(&entry.outcome)
    }

    /// The first piece, if all of it has ended.
    pub fn take_done(&mut self) -> Option<(C, Vec<(E, O)>)> {
        let piece = self.pieces.pop_front_if(|piece| piece.open == 0)?;
        let Piece { cursor, entries, bytes, .. } = piece;
        self.first += 1;
        self.bytes -= bytes;
        self.events -= entries.len();
        let ended = entries.into_iter().map(|entry| (entry.event, entry.outcome)).collect();
        Some((cursor, ended))
    }

    fn entry(&self, item: Item) -> Option<&Entry<E, O>> {
        let place = usize::try_from(item.piece.checked_sub(self.first)?).ok()?;
        self.pieces.get(place)?.entries.get(item.index)
    }

    fn piece(&mut self, item: Item) -> Option<&mut Piece<E, O, C>> {
        let place = usize::try_from(item.piece.checked_sub(self.first)?).ok()?;
        self.pieces.get_mut(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Snapshot;

    impl Outcome for u8 {}

    fn cursor(end: u64) -> Cursor {
        Cursor::at(Snapshot::oldest().before(end))
    }

    #[test]
    fn pieces_are_done_in_their_order() {
        let mut progress = Progress::<&str, u8>::default();
        let first = progress.add(cursor(1), vec!["a", "b"], 20);
        let second = progress.add(cursor(2), vec!["c"], 10);
        assert_eq!((progress.len(), progress.bytes()), (3, 30));
        progress.let_go(second[0], 0);
        assert!(progress.take_done().is_none());
        progress.let_go(first[1], 0);
        progress.let_go(first[0], 2);
        assert_eq!(progress.take_done().unwrap().1, [("a", 2), ("b", 0)]);
        assert_eq!((progress.len(), progress.bytes()), (1, 10));
        assert_eq!(progress.take_done().unwrap().1, [("c", 0)]);
        assert!(progress.take_done().is_none() && progress.is_empty());
    }

    #[test]
    fn an_event_ends_with_all_that_it_waits_for_and_the_worst_of_it() {
        let mut progress = Progress::<&str, u8>::default();
        let items = progress.add(cursor(1), vec!["a"], 10);
        progress.hold(items[0]);
        assert_eq!(progress.let_go(items[0], 3), None);
        assert!(progress.take_done().is_none());
        assert_eq!(progress.let_go(items[0], 1), Some(&3));
        assert_eq!(progress.take_done().unwrap().1, [("a", 3)]);
        // Whoever comes too late changes nothing.
        progress.let_go(items[0], 9);
        assert_eq!(progress.event(items[0]), None);
    }

    #[test]
    fn an_empty_piece_is_done_at_once() {
        let mut progress = Progress::<&str, u8>::default();
        assert_eq!(progress.add(cursor(1), vec![], 0), []);
        assert_eq!(progress.take_done().unwrap().1, []);
    }
}
