//! What events were like lately. The next ones are mostly like them, and stored as what is different.

use lz4_flex::block;

/// Some events, which those that are compressed with it refer to. It never changes: who has one may
/// keep it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dictionary {
    pub id: u32,
    pub bytes: Vec<u8>,
}

impl Dictionary {
    /// An event of each frequent kind, as far as there is room. More would take longer to look through
    /// than is saved.
    pub const MOST_BYTES: usize = 8 << 10;

    /// Chooses among events those that some others are like, and none of each other's kind. The earlier
    /// ones come first. Of an event, the first [`Self::MOST_BYTES`] are enough.
    pub fn choose(events: &[Vec<u8>]) -> Vec<u8> {
        let events: Vec<_> = events.iter().map(|event| Sample::of(event)).collect();
        let mut chosen = Vec::with_capacity(Self::MOST_BYTES);
        for (place, event) in events.iter().enumerate() {
            let room = Self::MOST_BYTES - chosen.len();
            if room == 0 {
                break;
            }
            let mut others = events.iter().enumerate().filter(|(other, _)| *other != place);
            if !event.is_like(&chosen) && others.any(|(_, other)| other.is_like(event.bytes)) {
                chosen.extend(event.bytes.iter().take(room));
            }
        }
        chosen
    }
}

/// An event to be chosen, or as much of it as there is room for.
struct Sample<'e> {
    bytes: &'e [u8],
    /// How many bytes it takes without others.
    alone: usize,
}

impl<'e> Sample<'e> {
    fn of(event: &'e [u8]) -> Self {
        let (bytes, _) = event.split_at(event.len().min(Dictionary::MOST_BYTES));
        Sample { bytes, alone: block::compress(bytes).len() }
    }

    /// Whether it takes less than a third with others of what it takes without them.
    fn is_like(&self, others: &[u8]) -> bool {
        const PART: usize = 3;
        PART * block::compress_with_dict(self.bytes, others).len() < self.alone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events of a name are alike but for some digits.
    fn event(name: &str, number: u32) -> Vec<u8> {
        let properties: String =
            name.chars().cycle().zip(0..20).map(|(c, n)| format!("{c}{}", n * n * n)).collect();
        format!("{name} {properties} {number}").into_bytes()
    }

    #[test]
    fn each_kind_of_event_is_there_once() {
        let kinds = ["view", "click", "buy"];
        let events: Vec<_> =
            kinds.iter().cycle().zip(0..30).map(|(name, n)| event(name, n)).collect();
        let chosen = Dictionary::choose(&events);
        assert_eq!(String::from_utf8(chosen), String::from_utf8(events[..3].concat()));
    }

    #[test]
    fn what_no_other_event_is_like_is_left_out() {
        let events = [event("rare", 1), event("view", 1), event("only once", 1), event("view", 2)];
        assert_eq!(Dictionary::choose(&events), events[1]);
        assert!(Dictionary::choose(&events[2..]).is_empty());
    }

    #[test]
    fn of_what_is_large_there_is_a_part() {
        let long = (0..100).flat_map(|n| event(&format!("part {n}"), n)).collect::<Vec<_>>();
        let chosen = Dictionary::choose(&[event("view", 1), long.clone(), long.clone()]);
        assert!(chosen.len() == Dictionary::MOST_BYTES && long.starts_with(&chosen));
    }
}
