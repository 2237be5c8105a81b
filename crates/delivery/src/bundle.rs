//! Events that are stored together. Those of a site are alike, so that many take little more room than a
//! few, and less time to compress than to write as they are.

use std::fmt;

use lz4_flex::block;

/// What a bundle takes at most before it is compressed, unless a single event takes more. Larger ones
/// would hardly be smaller for each event.
const MOST_BYTES: usize = 32 << 10;

/// What is stored of a bundle at most, unless a single event takes more: it is in one page of a table.
const MOST_STORED: usize = 8000;

/// Less is not worth compressing, and a single event is not, unless it would take several pages: it has
/// little in common with itself.
const FEW_BYTES: usize = 1 << 10;

/// Before each event.
const LENGTH: usize = size_of::<u32>();

/// How the bytes that follow are to be read.
const PLAIN: u8 = 0;
/// After the length that they had.
const COMPRESSED: u8 = 1;

/// The payloads of events, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bundle {
    events: usize,
    /// Each after its length.
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
    pub fn has_room(&self, bytes: usize) -> bool {
        self.bytes.len() + bytes <= MOST_BYTES
    }

    /// Adds what comes next.
    pub fn append(&mut self, more: Bundle) {
        self.bytes.extend(more.bytes);
        self.events += more.events;
    }

    /// Adds an event, of less than 4 GB.
    pub fn push(&mut self, payload: &[u8]) {
        self.bytes.extend((payload.len() as u32).to_le_bytes());
        self.bytes.extend(payload);
        self.events += 1;
    }

    /// In one, or in several that fit into pages.
    pub fn pack(self) -> Vec<Packed> {
        let mut packed = Vec::new();
        self.pack_into(&mut packed);
        packed
    }

    fn pack_into(self, packed: &mut Vec<Packed>) {
        let bytes = self.compressed().unwrap_or_else(|| {
            let mut plain = Vec::with_capacity(1 + self.bytes.len());
            plain.push(PLAIN);
            plain.extend(&self.bytes);
            plain
        });
        if bytes.len() > MOST_STORED && self.events > 1 {
            let (first, second) = self.halves();
            first.pack_into(packed);
            second.pack_into(packed);
        } else {
            packed.push(Packed { events: self.events, bytes });
        }
    }

    /// Unless that is not worth it.
    fn compressed(&self) -> Option<Vec<u8>> {
        let few = if self.events == 1 { MOST_STORED } else { FEW_BYTES };
        let length = u32::try_from(self.bytes.len()).ok().filter(|_| self.bytes.len() >= few)?;
        const HEADER: usize = 1 + LENGTH;
        let mut out = vec![0; HEADER + block::get_maximum_output_size(self.bytes.len())];
        let (header, content) = out.split_at_mut(HEADER);
        let (kind, before) = header.split_at_mut(1);
        kind.fill(COMPRESSED);
        before.copy_from_slice(&length.to_le_bytes());
        let written = block::compress_into(&self.bytes, content).ok()?;
        out.truncate(HEADER + written);
        (out.len() < self.bytes.len()).then_some(out)
    }

    fn halves(self) -> (Bundle, Bundle) {
        let (mut first, mut second) = (Bundle::default(), Bundle::default());
        for payload in Payloads(&self.bytes).flatten() {
            let half = if first.events < self.events / 2 { &mut first } else { &mut second };
            half.push(payload);
        }
        (first, second)
    }

    /// Reads what [`Bundle::pack`] has made.
    pub fn unpack(stored: &[u8]) -> Result<Bundle, Damaged> {
        let (kind, content) = stored.split_first().ok_or(Damaged)?;
        let bytes = match *kind {
            PLAIN => content.to_vec(),
            COMPRESSED => {
                let (length, content) = content.split_first_chunk().ok_or(Damaged)?;
                let length = u32::from_le_bytes(*length) as usize;
                // No more than it can have become, whatever is written there.
                if length > content.len().saturating_mul(usize::from(u8::MAX)) {
                    return Err(Damaged);
                }
                block::decompress(content, length).map_err(|_| Damaged)?
            }
            _ => return Err(Damaged),
        };
        let events = Payloads(&bytes).try_fold(0, |events, payload| payload.map(|_| events + 1))?;
        Ok(Bundle { events, bytes })
    }

    pub fn payloads(&self) -> impl Iterator<Item = &[u8]> {
        // Whoever reads a bundle has looked whether it is whole.
        Payloads(&self.bytes).flatten()
    }
}

struct Payloads<'b>(&'b [u8]);

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
        let all = packed.iter().flat_map(|packed| {
            let bundle = Bundle::unpack(&packed.bytes).expect("it is whole");
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
        let packed = bundle(&payloads).pack();
        assert_eq!(packed.len(), 1);
        assert!(packed[0].bytes.len() < 500, "{}", packed[0].bytes.len());
        assert_eq!(unpacked(&packed), payloads);
    }

    #[test]
    fn what_does_not_fit_into_a_page_goes_into_several() {
        let payloads: Vec<_> = (0..8).map(|n| noise(1900, n)).collect();
        let packed = bundle(&payloads).pack();
        assert!(packed.iter().all(|packed| packed.bytes.len() <= MOST_STORED));
        assert_eq!(packed.iter().map(|packed| packed.events).collect::<Vec<_>>(), [4, 4]);
        assert_eq!(unpacked(&packed), payloads);
    }

    #[test]
    fn a_long_event_is_alone() {
        let long = noise(100_000, 1);
        let bundle = bundle(&[long.clone()]);
        assert!(!bundle.has_room(0));
        let packed = bundle.pack();
        assert_eq!(packed.len(), 1);
        assert_eq!(unpacked(&packed), [long]);
    }

    #[test]
    fn damage_is_told() {
        let huge = [[COMPRESSED].as_slice(), &u32::MAX.to_le_bytes(), &[0; 20]].concat();
        let cut = [[PLAIN].as_slice(), &5_u32.to_le_bytes(), b"four"].concat();
        for stored in [&[][..], &[7, 1, 2], &[COMPRESSED, 1], &huge, &cut] {
            assert_eq!(Bundle::unpack(stored), Err(Damaged), "{stored:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(
            payloads in prop::collection::vec(prop::collection::vec(0_u8..4, 0..3000), 1..40)
        ) {
            let mut bundles = vec![Bundle::default()];
            for payload in &payloads {
                let next = bundle(std::slice::from_ref(payload));
                match bundles.last_mut().filter(|last| last.has_room(next.bytes())) {
                    Some(last) => last.append(next),
                    None => bundles.push(next),
                }
            }
            let packed: Vec<_> = bundles.into_iter().flat_map(Bundle::pack).collect();
            prop_assert_eq!(unpacked(&packed), payloads);
        }

        #[test]
        fn any_bytes_are_a_bundle_or_damaged(
            kind in 0_u8..3, stored in prop::collection::vec(any::<u8>(), 0..200)
        ) {
            if let Ok(bundle) = Bundle::unpack(&[&[kind], stored.as_slice()].concat()) {
                prop_assert_eq!(bundle.payloads().count(), bundle.len());
            }
        }
    }
}
