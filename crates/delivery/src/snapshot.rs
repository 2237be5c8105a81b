//! PostgreSQL's `pg_snapshot`: which transactions were over at a moment.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

/// Transactions below `end` that are not running are over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The first that was not over.
    begin: u64,
    /// The first that had not begun.
    end: u64,
    /// In order.
    running: Vec<u64>,
}

/// A text that is not one of a `pg_snapshot`.
#[derive(Debug, PartialEq, Eq)]
pub struct NotASnapshot;

impl Snapshot {
    /// Before every transaction: 3 is the first that PostgreSQL gives out.
    pub fn oldest() -> Self {
        Snapshot { begin: 3, end: 3, running: Vec::new() }
    }

    /// Whether the transaction was over.
    pub fn sees(&self, transaction: u64) -> bool {
        transaction < self.end && self.running.binary_search(&transaction).is_err()
    }

    /// The same with a transaction that is not over. PostgreSQL leaves the one that asks out of the
    /// list.
    #[must_use]
    pub fn with_running(mut self, transaction: u64) -> Self {
        if transaction < self.end
            && let Err(place) = self.running.binary_search(&transaction)
        {
            self.running.insert(place, transaction);
            self.begin = self.begin.min(transaction);
        }
        self
    }

    /// An earlier one that does not see the transaction, nor any that began later. What is running now
    /// was running then.
    #[must_use]
    pub fn before(mut self, transaction: u64) -> Self {
        self.end = self.end.min(transaction);
        self.running.retain(|running| *running < transaction);
        self.begin = self.begin.min(self.end);
        self
    }

    pub fn end(&self) -> u64 {
        self.end
    }

    pub fn running(&self) -> &[u64] {
        &self.running
    }
}

impl FromStr for Snapshot {
    type Err = NotASnapshot;

    /// `begin:end:running,running`
    fn from_str(text: &str) -> Result<Self, NotASnapshot> {
        let number = |text: &str| text.parse::<u64>().map_err(|_| NotASnapshot);
        let mut parts = text.splitn(3, ':');
        let mut part = || parts.next().ok_or(NotASnapshot);
        let (begin, end, list) = (number(part()?)?, number(part()?)?, part()?);
        let list = list.split(',').filter(|text| !text.is_empty());
        let mut running = list.map(number).collect::<Result<Vec<_>, _>>()?;
        running.sort_unstable();
        Ok(Snapshot { begin, end, running })
    }
}

impl Display for Snapshot {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}:", self.begin, self.end)?;
        for (index, transaction) in self.running.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(formatter, "{comma}{transaction}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(text: &str) -> Snapshot {
        text.parse().unwrap_or_else(|_| panic!("{text}"))
    }

    #[test]
    fn texts_are_postgresqls() {
        for text in ["3:3:", "10:20:10,14,15", "740:740:"] {
            assert_eq!(snapshot(text).to_string(), text);
        }
        for text in ["", "1", "1:2", "a:b:", "1:2:x", "1:-2:"] {
            assert_eq!(text.parse::<Snapshot>(), Err(NotASnapshot), "{text}");
        }
    }

    #[test]
    fn a_snapshot_sees_what_was_over() {
        let seen = |text: &str| -> Vec<u64> {
            (8..22).filter(|transaction| snapshot(text).sees(*transaction)).collect()
        };
        assert_eq!(seen("10:14:10,12"), [8, 9, 11, 13]);
        assert_eq!(seen("12:12:"), [8, 9, 10, 11]);
    }

    #[test]
    fn what_runs_now_was_running_before() {
        let before = |text: &str, transaction| snapshot(text).before(transaction).to_string();
        assert_eq!(before("10:20:10,15", 14), "10:14:10");
        assert_eq!(before("15:20:15", 14), "14:14:");
        assert_eq!(before("10:20:10,15", 30), "10:20:10,15");
    }

    #[test]
    fn who_asks_is_not_over() {
        let with = |text: &str, own| snapshot(text).with_running(own).to_string();
        assert_eq!(with("10:14:10", 12), "10:14:10,12");
        assert_eq!(with("14:14:", 12), "12:14:12");
        assert_eq!(with("10:14:10,12", 12), "10:14:10,12");
        assert_eq!(with("10:14:10", 14), "10:14:10", "has not begun for the snapshot");
    }
}
