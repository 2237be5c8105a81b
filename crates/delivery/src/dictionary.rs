//! What events were like lately. The next ones are mostly like them, and stored as what is different.

use lz4_flex::block;

/// Some events of the most frequent kinds. More would take longer to look through than is saved.
const MOST_BYTES: usize = 6 << 10;

/// Some events, which those that are compressed with it refer to. It never changes: who has one may
/// keep it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dictionary {
    pub id: u32,
    pub bytes: Vec<u8>,
}

impl Dictionary {
    /// Chooses among events those that the others are not like: the earlier, the rather.
    pub fn choose<'e>(events: impl IntoIterator<Item = &'e [u8]>) -> Vec<u8> {
        let mut chosen = Vec::with_capacity(MOST_BYTES);
        for event in events {
            let room = MOST_BYTES - chosen.len();
            if !is_like(event, &chosen) {
                chosen.extend(event.iter().take(room));
            }
        }
        chosen
    }
}

/// Whether an event takes a third with the others of what it takes without them, or less.
fn is_like(event: &[u8], others: &[u8]) -> bool {
    const PART: usize = 3;
    let (event, _) = event.split_at(event.len().min(MOST_BYTES));
    PART * block::compress_with_dict(event, others).len() < block::compress(event).len()
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
        let chosen = Dictionary::choose(events.iter().map(Vec::as_slice));
        assert_eq!(String::from_utf8(chosen), String::from_utf8(events[..3].concat()));
    }

    #[test]
    fn of_what_is_large_there_is_a_part() {
        let long = event("long", 1).repeat(200);
        let chosen = Dictionary::choose([long.as_slice(), &event("view", 1)]);
        assert!(chosen.len() == MOST_BYTES && long.starts_with(&chosen));
        assert!(Dictionary::choose([]).is_empty());
    }
}
