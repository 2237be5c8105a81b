//! However transactions overlap, and however a batch is read in pieces: nothing is skipped, nothing
//! comes twice.

use std::collections::BTreeSet;

use delivery::{Cursor, Place, Snapshot};
use proptest::prelude::*;

/// What happens in a database, in the order in which it does.
#[derive(Debug, Clone)]
enum Step {
    Begin,
    /// One of the running transactions stores an event; one is chosen by this number.
    Store(usize),
    Commit(usize),
    Abort(usize),
    /// The consumer takes so many events.
    Read(usize),
    /// The same, and forgets it.
    ReadInVain(usize),
}

/// Events as the queue has them, and the transactions that are not over.
#[derive(Default)]
struct Database {
    next: u64,
    running: Vec<(u64, i64)>,
    stored: Vec<Place>,
    committed: BTreeSet<u64>,
}

impl Database {
    fn snapshot(&self) -> Snapshot {
        // PostgreSQL's ends after the last transaction that is over, not after the last that began.
        let running: Vec<u64> = self.running.iter().map(|(transaction, _)| *transaction).collect();
        let over = (3..self.next).rev().find(|transaction| !running.contains(transaction));
        let end = over.map_or(3, |last| last + 1);
        let running: Vec<u64> = running.into_iter().filter(|running| *running < end).collect();
        let begin = running.first().copied().unwrap_or(end);
        let list: Vec<String> = running.iter().map(u64::to_string).collect();
        format!("{begin}:{end}:{}", list.join(",")).parse().expect("a snapshot")
    }

    /// What the server does for a span: the index in order, and what is visible.
    fn read(&self, cursor: &Cursor, most: usize) -> Vec<Place> {
        let until = &cursor.batch.as_ref().expect("a batch").until;
        let mut found = Vec::new();
        for span in cursor.spans() {
            let mut places: Vec<Place> = self
                .stored
                .iter()
                .copied()
                .filter(|place| (span.first..=span.last).contains(&place.transaction))
                .filter(|place| span.after.is_none_or(|after| *place > after))
                .filter(|place| until.sees(place.transaction))
                .filter(|place| self.committed.contains(&place.transaction))
                .collect();
            places.sort();
            found.extend(places);
        }
        found.truncate(most);
        found
    }
}

fn read(database: &Database, cursor: &Cursor, most: usize) -> (Vec<Place>, Cursor) {
    let cursor = cursor.in_batch(database.snapshot());
    let found = database.read(&cursor, most);
    let next = match found.last() {
        Some(last) if found.len() == most => cursor.after(*last),
        _ => cursor.past_batch(),
    };
    (found, next)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => Just(Step::Begin),
        6 => (0..100_usize).prop_map(Step::Store),
        2 => (0..100_usize).prop_map(Step::Commit),
        1 => (0..100_usize).prop_map(Step::Abort),
        3 => (1..5_usize).prop_map(Step::Read),
        1 => (1..5_usize).prop_map(Step::ReadInVain),
    ];
    prop::collection::vec(step, 0..120)
}

proptest! {
    #[test]
    fn nothing_is_skipped_and_nothing_comes_twice(steps in steps()) {
        let mut database = Database { next: 3, ..Database::default() };
        let mut cursor = Cursor::at(database.snapshot());
        let mut delivered = Vec::new();
        for step in steps {
            let choose = |of: &Database, by: usize| by.checked_rem(of.running.len());
            match step {
                Step::Begin => {
                    database.running.push((database.next, 0));
                    database.next += 1;
                }
                Step::Store(by) => if let Some(index) = choose(&database, by) {
                    let (transaction, number) = &mut database.running[index];
                    *number += 1;
                    let place = Place { transaction: *transaction, number: *number };
                    database.stored.push(place);
                },
                Step::Commit(by) => if let Some(index) = choose(&database, by) {
                    let (transaction, _) = database.running.remove(index);
                    database.committed.insert(transaction);
                },
                Step::Abort(by) => if let Some(index) = choose(&database, by) {
                    database.running.remove(index);
                },
                Step::Read(most) => {
                    let (found, next) = read(&database, &cursor, most);
                    delivered.extend(found);
                    cursor = next;
                }
                Step::ReadInVain(most) => drop(read(&database, &cursor, most)),
            }
        }
        // To the end of the batch, and one more.
        while cursor.batch.is_some() {
            let (found, next) = read(&database, &cursor, 3);
            delivered.extend(found);
            cursor = next;
        }
        delivered.extend(read(&database, &cursor, usize::MAX).0);
        let mut expected: Vec<Place> = database
            .stored
            .iter()
            .copied()
            .filter(|place| database.committed.contains(&place.transaction))
            .collect();
        expected.sort();
        delivered.sort();
        prop_assert_eq!(delivered, expected);
    }

    #[test]
    fn what_is_not_done_is_in_the_rest(steps in steps()) {
        let mut database = Database { next: 3, ..Database::default() };
        let cursor = Cursor::at(database.snapshot());
        for step in steps {
            if let Step::Begin = step {
                database.running.push((database.next, 0));
                database.next += 1;
            }
        }
        let rest = cursor.rest();
        for transaction in 3..database.next {
            let is_in = rest.iter().any(|span| (span.first..=span.last).contains(&transaction));
            prop_assert_eq!(is_in, !cursor.since.sees(transaction));
        }
    }
}
