//! Where the events of a consumer come from: the queue, or a table whose stored rows it is to be given.

use std::time::{Duration, Instant};

use delivery::Cursor;

use crate::catalog::backfills::{Backfill, Place};
use crate::error::Result;
use crate::queue::backfill::{self, Reading};
use crate::queue::consumer::{self, Batch, Consumer, Outcome, Queued, Room};

pub enum Source {
    /// How far was read.
    Queue(Cursor),
    Backfill(Stored),
}

pub struct Stored {
    backfill: Backfill,
    /// How far was read, and how far that is written down.
    read: Option<Place>,
    recorded: Option<Place>,
    /// Reading is not to take all of the worker's time.
    not_before: Option<Instant>,
    /// Rows that are read at once.
    at_once: usize,
    /// Somebody has stopped it.
    is_stopped: bool,
    /// There are no more rows, or it is written down why they cannot be read.
    is_at_end: bool,
}

/// How far a consumer has got when a piece of what was read is done.
pub enum Mark {
    Queue(Cursor),
    Backfill { place: Option<Place>, rows: usize, is_end: bool },
}

/// What was read.
pub struct Read {
    pub events: Vec<Queued>,
    /// Events on which the consumer's condition failed, and how.
    pub refused: Vec<(Queued, String)>,
    /// `None`: it has got no further.
    pub mark: Option<Mark>,
    /// There may be more.
    pub is_full: bool,
}

/// A read that takes longer is one that goes through the whole table, of which each row is then worth
/// more rows.
const LONG: Duration = Duration::from_millis(100);
const AT_ONCE_WHEN_LONG: usize = 5000;

/// So much of the time reading takes at most is one in so many parts of the worker's.
const PARTS: u32 = 4;

impl Source {
    pub fn queue(consumer: &Consumer) -> Self {
        Source::Queue(consumer.cursor.clone())
    }

    pub fn stored(backfill: Backfill) -> Self {
        let place = backfill.place.clone();
        Source::Backfill(Stored {
            backfill,
            read: place.clone(),
            recorded: place,
            not_before: None,
            at_once: 0,
            is_stopped: false,
            is_at_end: false,
        })
    }

    pub fn backfill(&self) -> Option<i64> {
        match self {
            Source::Queue(_) => None,
            Source::Backfill(stored) => Some(stored.backfill.id),
        }
    }

    /// Events in a second that were asked for here.
    pub fn rate(&self) -> Option<f64> {
        match self {
            Source::Queue(_) => None,
            Source::Backfill(stored) => stored.backfill.events_per_second,
        }
    }

    pub fn not_before(&self) -> Option<Instant> {
        match self {
            Source::Queue(_) => None,
            Source::Backfill(stored) => stored.not_before,
        }
    }

    pub fn stop(&mut self) {
        if let Source::Backfill(stored) = self {
            stored.is_stopped = true;
        }
    }

    /// Whether there may be more to read now that nobody stops it any more.
    pub fn go_on(&mut self) -> bool {
        match self {
            Source::Queue(_) => false,
            Source::Backfill(stored) => std::mem::take(&mut stored.is_stopped) && !stored.is_at_end,
        }
    }

    /// Reads what comes next, in a transaction.
    pub fn read(
        &mut self,
        consumer: &Consumer,
        room: Room,
        is_limited: bool,
        retries: &[i64],
    ) -> Result<Read> {
        match self {
            Source::Queue(read) => {
                let batch = consumer::next_batch(consumer, read, room, retries)?;
                let Batch { events, refused, cursor, is_full } = batch;
                let is_nothing = events.is_empty() && refused.is_empty() && cursor == *read;
                let mark = (!is_nothing).then_some(Mark::Queue(cursor));
                Ok(Read { events, refused, mark, is_full })
            }
            Source::Backfill(stored) => stored.read(consumer, room.events, is_limited),
        }
    }

    /// What was read up to there is taken.
    pub fn advance(&mut self, mark: &Mark) {
        match (self, mark) {
            (Source::Queue(read), Mark::Queue(cursor)) => *read = cursor.clone(),
            (Source::Backfill(stored), Mark::Backfill { place, .. }) => {
                stored.read.clone_from(place);
            }
            _ => {}
        }
    }

    /// Writes down what became of a piece. False: there is nothing to write it to, or it has been put
    /// elsewhere.
    pub fn record(
        &self,
        consumer: &Consumer,
        mark: &Mark,
        outcomes: &[(Queued, Outcome)],
    ) -> Result<bool> {
        match (self, mark) {
            (Source::Queue(_), Mark::Queue(cursor)) => consumer::record(consumer, cursor, outcomes),
            (Source::Backfill(stored), Mark::Backfill { place, rows, is_end }) => {
                let (backfill, place) = (&stored.backfill, place.as_ref());
                backfill::record(backfill, consumer, place, *rows, *is_end, outcomes)
            }
            _ => Ok(false),
        }
    }

    /// It is written down that it has got so far.
    pub fn recorded(&mut self, consumer: &mut Consumer, mark: Mark) {
        match (self, mark) {
            (Source::Queue(_), Mark::Queue(cursor)) => consumer.cursor = cursor,
            (Source::Backfill(stored), Mark::Backfill { place, .. }) => stored.recorded = place,
            _ => {}
        }
    }

    /// Goes back to where it is written down that it is. False: somebody has stopped it.
    pub fn start_anew(&mut self, consumer: &Consumer) -> bool {
        match self {
            Source::Queue(read) => {
                read.clone_from(&consumer.cursor);
                true
            }
            Source::Backfill(stored) => {
                stored.read.clone_from(&stored.recorded);
                stored.is_at_end = false;
                !stored.is_stopped
            }
        }
    }
}

impl Stored {
    fn read(&mut self, consumer: &Consumer, most: usize, is_limited: bool) -> Result<Read> {
        let nothing = Read { events: vec![], refused: vec![], mark: None, is_full: false };
        if self.is_stopped || self.is_at_end {
            return Ok(nothing);
        }
        let begin = Instant::now();
        let most = if is_limited { most } else { most.max(self.at_once) };
        let reading = backfill::read(&self.backfill, consumer, self.read.as_ref(), most)?;
        let took = begin.elapsed();
        self.not_before = Some(Instant::now() + took * (PARTS - 1));
        if took > LONG {
            self.at_once = AT_ONCE_WHEN_LONG;
        }
        Ok(match reading {
            Reading::Rows { events, refused, rows, place, is_end } => {
                self.is_at_end = is_end;
                let mark = Some(Mark::Backfill { place, rows, is_end });
                Read { events, refused, mark, is_full: !is_end }
            }
            Reading::Later => Read { is_full: true, ..nothing },
            Reading::Over => {
                self.is_at_end = true;
                nothing
            }
        })
    }
}
