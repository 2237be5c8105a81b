//! How far a consumer has got. Events carry the transaction that stored them; what a later snapshot
//! sees and an earlier one does not is a batch: each event is in exactly one, however transactions
//! overlap. A batch is read in pieces, in the order of transactions and of the events in each.

use crate::snapshot::Snapshot;

/// Where an event stands in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub transaction: u64,
    /// Counts the events of the transaction.
    pub number: i64,
}

impl Place {
    /// Some number from 0 to 1, always the same for an event: two steps of SplitMix64.
    pub fn luck(self) -> f64 {
        let step = |state: u64| {
            let bits = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            bits ^ (bits >> 31)
        };
        // As many bits as a double holds.
        (step(step(self.transaction) ^ self.number.cast_unsigned()) >> 11) as f64
            / (1_u64 << 53) as f64
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// What it sees is done.
    pub since: Snapshot,
    /// What is being done.
    pub batch: Option<Batch>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub until: Snapshot,
    /// What is done of it.
    pub after: Option<Place>,
}

/// A part of a batch that an index has in one place: the events of transactions from `first` to
/// `last`, which the batch's end sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub first: u64,
    pub last: u64,
    /// In it, those after this place.
    pub after: Option<Place>,
}

impl Cursor {
    pub fn at(since: Snapshot) -> Self {
        Cursor { since, batch: None }
    }

    /// The same in the batch that it is in, or else in one that ends now.
    #[must_use]
    pub fn in_batch(&self, now: Snapshot) -> Self {
        match self.batch {
            Some(_) => self.clone(),
            None => {
                let batch = Some(Batch { until: now, after: None });
                Cursor { batch, ..self.clone() }
            }
        }
    }

    /// The same with all done up to a place in the batch.
    #[must_use]
    pub fn after(&self, place: Place) -> Self {
        let batch = self.batch.clone().map(|batch| Batch { after: Some(place), ..batch });
        Cursor { since: self.since.clone(), batch }
    }

    /// The same with the batch done.
    #[must_use]
    pub fn past_batch(&self) -> Self {
        let since = self.batch.as_ref().map_or(&self.since, |batch| &batch.until);
        Cursor::at(since.clone())
    }

    /// Where to look for the rest of the batch, in order. The transactions that were running before
    /// are looked up one by one: between them may be any number of others that are done.
    pub fn spans(&self) -> Vec<Span> {
        let Some(Batch { until, after }) = &self.batch else { return Vec::new() };
        let ended = self.since.running().iter().copied().filter(|running| until.sees(*running));
        let ended = ended.map(|transaction| (transaction, transaction));
        let begun = until.end().checked_sub(1).map(|last| (self.since.end(), last));
        ended
            .chain(begun)
            .filter(|(first, last)| first <= last)
            .filter(|(_, last)| after.is_none_or(|place| *last >= place.transaction))
            .map(|(first, last)| {
                let after = after.filter(|place| place.transaction >= first);
                Span { first, last, after }
            })
            .collect()
    }

    /// Where to look for anything that is not done at all; some of it may be done.
    pub fn rest(&self) -> Vec<Span> {
        let open = |first, last| Span { first, last, after: None };
        let running = self.since.running().iter().map(|running| open(*running, *running));
        running.chain([open(self.since.end(), u64::MAX)]).collect()
    }
}
