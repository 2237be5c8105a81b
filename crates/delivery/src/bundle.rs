//! Events that are stored together. Those of a site are alike, so that many take little more room than a
//! few, and less time to compress than to write as they are.

use std::fmt;

use lz4_flex::block;

use crate::Dictionary;

/// What two rows of the queue take at most to be on one page of 8 kB, besides what a row has otherwise.
/// Events that take more are split up, but for a single one.
const MOST_STORED: usize = 4000;

/// Less is not worth compressing, without a dictionary and with one.
const FEW_BYTES: usize = 1 << 10;
const FEW_LIKE_OTHERS: usize = 128;

/// More takes memory and time that nobody can interrupt.
const MANY_BYTES: usize = 1 << 20;

/// Before each event.
const LENGTH: usize = size_of::<u32>();

/// The first byte, which says how to read those that follow.
const PLAIN: u8 = 0;
/// After the length that they had.
const COMPRESSED: u8 = 1;
/// The same, after the number of a dictionary.
const LIKE_OTHERS: u8 = 2;

/// How many bytes of events make a row of the right size, as far as one knows from those before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room(usize);

impl Room {
    /// Before anything is known: events to a quarter of their size.
    pub const FIRST: Room = Room(4 * MOST_STORED);

    /// After a bundle of so many bytes became those.
    #[must_use]
    pub fn after(bytes: usize, packed: &[Packed]) -> Room {
        let stored: usize = packed.iter().map(|packed| packed.bytes.len()).sum();
        // Some less: the next ones may be less alike.
        let fitting = bytes * MOST_STORED / stored.max(1) / 8 * 7;
        Room(fitting.clamp(MOST_STORED, 8 * MOST_STORED))
    }
}

/// The payloads of events, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bundle {
    events: usize,
    /// As it is stored plain, unless it is empty: each event after its length.
    bytes: Vec<u8>,
}

/// A bundle as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    pub events: usize,
    pub bytes: Vec<u8>,
}

/// Stored bytes that are no bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damaged;

impl fmt::Display for Damaged {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("stored events are damaged")
    }
}

impl std::error::Error for Damaged {}

impl Bundle {
    /// How many events it has.
    pub fn len(&self) -> usize {
        self.events
    }

    pub fn is_empty(&self) -> bool {
        self.events == 0
    }

    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Whether so many bytes more still go into it.
    pub fn has_room(&self, bytes: usize, Room(room): Room) -> bool {
        self.bytes.len() + bytes <= room
    }

    /// Adds what comes next.
    pub fn append(&mut self, more: Bundle) {
        if self.is_empty() {
            *self = more;
        } else if let Some((_, bytes)) = more.bytes.split_first() {
            self.bytes.extend(bytes);
            self.events += more.events;
        }
    }

    /// Adds an event, of less than 4 GB.
    pub fn push(&mut self, payload: &[u8]) {
        self.bytes.reserve(1 + LENGTH + payload.len());
        if self.is_empty() {
            self.bytes.push(PLAIN);
        }
        self.bytes.extend((payload.len() as u32).to_le_bytes());
        self.bytes.extend(payload);
        self.events += 1;
    }

    /// In one, or in several that fit into pages. To be read with the same dictionary.
    pub fn pack(self, dictionary: Option<&Dictionary>) -> Vec<Packed> {
        let mut packed = Vec::new();
        self.pack_into(&mut packed, dictionary);
        packed
    }

    fn pack_into(self, packed: &mut Vec<Packed>, dictionary: Option<&Dictionary>) {
        let compressed = self.compressed(dictionary);
        let stored = compressed.as_ref().unwrap_or(&self.bytes).len();
        if stored > MOST_STORED && self.events > 1 {
            let (first, second) = self.halves();
            first.pack_into(packed, dictionary);
            second.pack_into(packed, dictionary);
        } else {
            let bytes = compressed.unwrap_or(self.bytes);
            packed.push(Packed { events: self.events, bytes });
        }
    }

    /// Unless that is not worth it.
    fn compressed(&self, dictionary: Option<&Dictionary>) -> Option<Vec<u8>> {
        let few = if dictionary.is_some() { FEW_LIKE_OTHERS } else { FEW_BYTES };
        if !(few..=MANY_BYTES).contains(&self.bytes.len()) {
            return None;
        }
        let (_, bytes) = self.bytes.split_first()?;
        let most = block::get_maximum_output_size(bytes.len());
        let mut out = Vec::with_capacity(1 + 2 * LENGTH + most);
        match dictionary {
            Some(dictionary) => {
                out.push(LIKE_OTHERS);
                out.extend(dictionary.id.to_le_bytes());
            }
            None => out.push(COMPRESSED),
        }
        out.extend((bytes.len() as u32).to_le_bytes());
        let header = out.len();
        out.resize(header + most, 0);
        let (_, content) = out.split_at_mut(header);
        let written = match dictionary {
            Some(dictionary) => block::compress_into_with_dict(bytes, content, &dictionary.bytes),
            None => block::compress_into(bytes, content),
        };
        out.truncate(header + written.ok()?);
        (out.len() < self.bytes.len()).then_some(out)
    }

    fn halves(self) -> (Bundle, Bundle) {
        let (mut first, mut second) = (Bundle::default(), Bundle::default());
        for payload in self.payloads() {
            let half = if first.events < self.events / 2 { &mut first } else { &mut second };
            half.push(payload);
        }
        (first, second)
    }

    /// The number of the dictionary that a stored bundle has to be read with.
    pub fn dictionary_of(stored: &[u8]) -> Option<u32> {
        let (kind, content) = stored.split_first()?;
        let (id, _) = content.split_first_chunk()?;
        (*kind == LIKE_OTHERS).then(|| u32::from_le_bytes(*id))
    }

    /// Reads what [`Bundle::pack`] has made, with the dictionary that it names.
    pub fn unpack(stored: &[u8], dictionary: Option<&Dictionary>) -> Result<Bundle, Damaged> {
        let (kind, content) = stored.split_first().ok_or(Damaged)?;
        let bytes = match *kind {
            PLAIN => stored.to_vec(),
            COMPRESSED => decompressed(content, None)?,
            LIKE_OTHERS => {
                let (id, content) = content.split_first_chunk().ok_or(Damaged)?;
                let id = u32::from_le_bytes(*id);
                let dictionary = dictionary.filter(|given| given.id == id).ok_or(Damaged)?;
                decompressed(content, Some(dictionary))?
            }
            _ => return Err(Damaged),
        };
        let events =
            Payloads::of(&bytes).try_fold(0, |count, payload| payload.map(|_| count + 1))?;
        Ok(Bundle { events, bytes })
    }

    pub fn payloads(&self) -> impl Iterator<Item = &[u8]> {
        // Whoever reads a bundle has looked whether it is whole.
        Payloads::of(&self.bytes).flatten()
    }
}

/// As it would be stored plain.
fn decompressed(content: &[u8], dictionary: Option<&Dictionary>) -> Result<Vec<u8>, Damaged> {
    let (length, content) = content.split_first_chunk().ok_or(Damaged)?;
    let length = u32::from_le_bytes(*length) as usize;
    if length >= MANY_BYTES {
        return Err(Damaged);
    }
    let mut bytes = vec![PLAIN; 1 + length];
    let (_, plain) = bytes.split_at_mut(1);
    let written = match dictionary {
        Some(dictionary) => block::decompress_into_with_dict(content, plain, &dictionary.bytes),
        None => block::decompress_into(content, plain),
    };
    match written {
        Ok(written) if written == length => Ok(bytes),
        _ => Err(Damaged),
    }
}

struct Payloads<'b>(&'b [u8]);

impl<'b> Payloads<'b> {
    fn of(bytes: &'b [u8]) -> Self {
        Payloads(bytes.get(1..).unwrap_or_default())
    }
}

impl<'b> Iterator for Payloads<'b> {
    type Item = Result<&'b [u8], Damaged>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let payload = self
            .0
            .split_first_chunk::<LENGTH>()
            .and_then(|(length, rest)| rest.split_at_checked(u32::from_le_bytes(*length) as usize));
        let (payload, rest) = payload.map_or((Err(Damaged), &[][..]), |(it, rest)| (Ok(it), rest));
        self.0 = rest;
        Some(payload)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bundle(payloads: &[Vec<u8>]) -> Bundle {
        let mut bundle = Bundle::default();
        payloads.iter().for_each(|payload| bundle.push(payload));
        bundle
    }

    fn unpacked(packed: &[Packed]) -> Vec<Vec<u8>> {
        unpacked_with(packed, None)
    }

    fn unpacked_with(packed: &[Packed], dictionary: Option<&Dictionary>) -> Vec<Vec<u8>> {
        let all = packed.iter().flat_map(|packed| {
            let bundle = Bundle::unpack(&packed.bytes, dictionary).expect("it is whole");
            assert_eq!(bundle.len(), packed.events);
            bundle.payloads().map(<[u8]>::to_vec).collect::<Vec<_>>()
        });
        all.collect()
    }

    /// As compressible as chance is.
    fn noise(length: usize, mut state: u64) -> Vec<u8> {
        let step = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        std::iter::repeat_with(step).take(length).collect()
    }

    #[test]
    fn alike_events_take_little_room() {
        let payloads: Vec<_> =
            (0..8).map(|n| format!("{}{n}", "https://example.com/".repeat(90)).into()).collect();
        let packed = bundle(&payloads).pack(None);
        assert_eq!(packed.len(), 1);
        assert!(packed[0].bytes.len() < 500, "{}", packed[0].bytes.len());
        assert_eq!(unpacked(&packed), payloads);
    }

    #[test]
    fn an_event_alone_takes_as_much_as_is_new_in_it() {
        let before = noise(2000, 1);
        let dictionary = Dictionary { id: 7, bytes: before.clone() };
        let event = [&before[..900], b"what is new", &before[900..]].concat();
        let packed = bundle(std::slice::from_ref(&event)).pack(Some(&dictionary));
        assert!(packed[0].bytes.len() < 50, "{}", packed[0].bytes.len());
        assert_eq!(Bundle::dictionary_of(&packed[0].bytes), Some(7));
        assert_eq!(unpacked_with(&packed, Some(&dictionary)), [event]);
        let other = Dictionary { id: 8, ..dictionary };
        for given in [None, Some(&other)] {
            assert_eq!(Bundle::unpack(&packed[0].bytes, given), Err(Damaged));
        }
    }

    #[test]
    fn what_does_not_fit_into_a_page_goes_into_several() {
        let payloads: Vec<_> = (0..8).map(|n| noise(1900, n)).collect();
        assert!(payloads.concat().len() > 3 * MOST_STORED);
        let packed = bundle(&payloads).pack(None);
        assert!(packed.iter().all(|packed| packed.bytes.len() <= MOST_STORED));
        assert_eq!(packed.iter().map(|packed| packed.events).collect::<Vec<_>>(), [2; 4]);
        assert_eq!(unpacked(&packed), payloads);
    }

    #[test]
    fn a_long_event_is_alone() {
        let long = noise(100_000, 1);
        let bundle = bundle(std::slice::from_ref(&long));
        assert!(!bundle.has_room(0, Room::FIRST));
        let packed = bundle.pack(None);
        assert_eq!(packed.len(), 1);
        assert_eq!(unpacked(&packed), [long]);
    }

    #[test]
    fn the_next_bundle_is_of_a_size_that_fits() {
        let words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"];
        let mut room = Room::FIRST;
        let sizes = (0..6_u64).map(|bundle| {
            let mut events = Bundle::default();
            for number in 0.. {
                let chance = noise(300, bundle * 1000 + number);
                let text: Vec<_> = chance.iter().map(|byte| words[usize::from(byte & 7)]).collect();
                let payload = text.join(" ").into_bytes();
                if !events.has_room(payload.len(), room) {
                    break;
                }
                events.push(&payload);
            }
            let bytes = events.bytes();
            let packed = events.pack(None);
            room = Room::after(bytes, &packed);
            packed.len() as f64 * 1e6 + packed[0].bytes.len() as f64
        });
        // One row, and most of what it may have.
        assert!(sizes.skip(2).all(|size| (1_003_000.0..1_004_001.0).contains(&size)));
    }

    #[test]
    fn damage_is_told() {
        let huge = [[COMPRESSED].as_slice(), &u32::MAX.to_le_bytes(), &[0; 20]].concat();
        let cut = [[PLAIN].as_slice(), &5_u32.to_le_bytes(), b"four"].concat();
        let dictionary = Dictionary { id: 1, bytes: b"four".to_vec() };
        for stored in
            [&[][..], &[7, 1, 2], &[COMPRESSED, 1], &[LIKE_OTHERS, 1, 0, 0, 0], &huge, &cut]
        {
            assert_eq!(Bundle::unpack(stored, Some(&dictionary)), Err(Damaged), "{stored:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(
            payloads in prop::collection::vec(prop::collection::vec(0_u8..4, 0..3000), 1..40),
            before in prop::option::of(prop::collection::vec(0_u8..4, 0..3000)),
        ) {
            let dictionary = before.map(|bytes| Dictionary { id: 1, bytes });
            let dictionary = dictionary.as_ref();
            let mut bundles = vec![Bundle::default()];
            for payload in &payloads {
                let next = bundle(std::slice::from_ref(payload));
                match bundles.last_mut().filter(|last| last.has_room(next.bytes(), Room::FIRST)) {
                    Some(last) => last.append(next),
                    None => bundles.push(next),
                }
            }
            let packed: Vec<_> = bundles.into_iter().flat_map(|bundle| bundle.pack(dictionary)).collect();
            prop_assert_eq!(unpacked_with(&packed, dictionary), payloads);
        }

        #[test]
        fn any_bytes_are_a_bundle_or_damaged(
            kind in 0_u8..4, stored in prop::collection::vec(any::<u8>(), 0..200)
        ) {
            let stored = [&[kind], stored.as_slice()].concat();
            let id = Bundle::dictionary_of(&stored).unwrap_or_default();
            let dictionary = Dictionary { id, bytes: (0..=255).collect() };
            if let Ok(bundle) = Bundle::unpack(&stored, Some(&dictionary)) {
                prop_assert_eq!(bundle.payloads().count(), bundle.len());
            }
        }
    }
}
