//! The keys of an object as the engine's atoms. Real traffic has a handful of sets of keys, so that
//! the sets are kept: a lookup is then one step in a hash table of numbers, and a miss is definitive.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

use jsonb::Object;
use rquickjs::qjs;

use super::convert;

/// The keys of all objects that have the same.
pub(in crate::value) struct KeySet {
    runtime: *mut qjs::JSRuntime,
    /// In the order of the object's pairs.
    atoms: Vec<qjs::JSAtom>,
    /// The pairs in JavaScript's order, where that is another one.
    order: Option<Vec<u32>>,
    /// Open addressing: a pair's number plus one, or 0; never more than half full.
    table: Box<[u32]>,
    /// The pair with the key `team_id`.
    team: Option<usize>,
    /// What an object has to say of its keys to have these.
    entries: Box<[u8]>,
    text: Box<[u8]>,
}

impl KeySet {
    /// Makes the atoms; `None` with an exception pending.
    fn new(ctx: *mut qjs::JSContext, object: &Object<'_>, of: KeyBytes<'_>) -> Option<Self> {
        let count = object.len();
        // SAFETY: the context is alive.
        let runtime = unsafe { qjs::JS_GetRuntime(ctx) };
        let mut set = KeySet {
            runtime,
            atoms: Vec::with_capacity(count),
            order: None,
            table: vec![0; (2 * count).next_power_of_two()].into(),
            team: None,
            entries: of.entries.into(),
            text: of.text.into(),
        };
        let mut numeric = Vec::new();
        for key in object.keys() {
            let Ok(key) = key else {
                convert::malformed(ctx);
                return None;
            };
            let atom = convert::atom(ctx, key);
            if atom == qjs::JS_ATOM_NULL {
                return None;
            }
            if key == "team_id" {
                set.team = Some(set.atoms.len());
            }
            if let Some(number) = array_index(key) {
                numeric.push((number, set.atoms.len()));
            }
            set.insert(atom);
        }
        if !numeric.is_empty() {
            let mut is_name = vec![true; count];
            numeric.iter().for_each(|(_, pair)| is_name[*pair] = false);
            numeric.sort_unstable();
            let names = (0..count).filter(|pair| is_name[*pair]);
            let order = numeric.iter().map(|(_, pair)| *pair).chain(names);
            set.order = Some(order.map(|pair| pair as u32).collect());
        }
        Some(set)
    }

    fn insert(&mut self, atom: qjs::JSAtom) {
        self.atoms.push(atom);
        let mut place = self.bucket(atom);
        while self.table[place] != 0 {
            place = (place + 1) % self.table.len();
        }
        self.table[place] = self.atoms.len() as u32;
    }

    fn bucket(&self, atom: qjs::JSAtom) -> usize {
        // Fibonacci hashing: atoms made one after the other have neighbouring numbers.
        (u64::from(atom).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize
            & (self.table.len() - 1)
    }

    /// The pair with that key.
    pub(in crate::value) fn find(&self, atom: qjs::JSAtom) -> Option<usize> {
        let mut place = self.bucket(atom);
        loop {
            let pair = (*self.table.get(place)? as usize).checked_sub(1)?;
            if self.atoms.get(pair) == Some(&atom) {
                return Some(pair);
            }
            place = (place + 1) & (self.table.len() - 1);
        }
    }

    /// The keys in the order of the pairs. Alive as long as the set.
    pub(in crate::value) fn atoms(&self) -> &[qjs::JSAtom] {
        &self.atoms
    }

    /// The pairs in the order in which JavaScript lists them.
    pub(in crate::value) fn order(&self) -> impl Iterator<Item = usize> {
        (0..self.atoms.len()).map_while(|place| self.pair(place))
    }

    /// The pair that comes at that place in JavaScript's order.
    pub(in crate::value) fn pair(&self, place: usize) -> Option<usize> {
        match &self.order {
            Some(order) => order.get(place).map(|pair| *pair as usize),
            None => (place < self.atoms.len()).then_some(place),
        }
    }

    /// Whether JavaScript's order is that of the pairs.
    pub(in crate::value) fn are_in_order(&self) -> bool {
        self.order.is_none()
    }

    pub(in crate::value) fn team(&self) -> Option<usize> {
        self.team
    }

    fn is_of(&self, bytes: KeyBytes<'_>) -> bool {
        *self.entries == *bytes.entries && *self.text == *bytes.text
    }

    /// About what the set takes, its atoms included.
    fn weight(&self) -> usize {
        256 + 2 * (self.entries.len() + self.text.len()) + 4 * self.table.len()
    }
}

impl Drop for KeySet {
    fn drop(&mut self) {
        for atom in &self.atoms {
            // SAFETY: made in this runtime, which outlives all sets of its keys; freed once.
            unsafe { qjs::JS_FreeAtomRT(self.runtime, *atom) };
        }
    }
}

/// The number that a key is to JavaScript, which lists such keys first.
fn array_index(key: &str) -> Option<u32> {
    let digits = key.len() <= 10 && key.bytes().all(|c| c.is_ascii_digit());
    let canonical = digits && (key == "0" || !key.starts_with('0'));
    canonical.then(|| key.parse().ok()).flatten().filter(|number| *number < u32::MAX)
}

/// What an object's bytes say of its keys.
#[derive(Clone, Copy)]
struct KeyBytes<'a> {
    entries: &'a [u8],
    text: &'a [u8],
}

impl KeyBytes<'_> {
    /// Looks at the entries, which hold the keys' lengths, and at the ends of the text: what is
    /// equal in all that is compared byte for byte anyway.
    fn hash(&self) -> u64 {
        let mut hash = self.text.len() as u64;
        let mut mix = |bytes: &[u8; 8]| {
            hash = (hash.rotate_left(5) ^ u64::from_ne_bytes(*bytes))
                .wrapping_mul(0x517C_C1B7_2722_0A95);
        };
        self.entries.as_chunks().0.iter().for_each(&mut mix);
        self.entries.last_chunk().into_iter().for_each(&mut mix);
        self.text.first_chunk().into_iter().for_each(&mut mix);
        self.text.last_chunk().into_iter().for_each(&mut mix);
        if let Some(middle) = self.text.get(self.text.len() / 2..) {
            middle.first_chunk().into_iter().for_each(&mut mix);
        }
        hash
    }
}

/// The sets that are kept, by the hash of their bytes. Of two with the same hash one is kept.
#[derive(Default)]
pub(super) struct KeySets {
    sets: HashMap<u64, Rc<KeySet>, BuildHasherDefault<Hashed>>,
    weight: usize,
}

/// What all kept sets may take: some hundred sets of everyday events.
const MOST_WEIGHT: usize = 512 << 10;

/// A set that takes more is not kept.
const HEAVIEST: usize = MOST_WEIGHT / 8;

impl KeySets {
    /// The set that is kept for the object, if there is one, and the name for one that is not.
    pub(super) fn find(&self, object: &Object<'_>) -> jsonb::Result<Lookup> {
        let (entries, text) = object.key_bytes()?;
        let hash = KeyBytes { entries, text }.hash();
        let kept = self.sets.get(&hash).filter(|set| set.is_of(KeyBytes { entries, text }));
        Ok(kept.map_or(Lookup::Unknown(hash), |set| Lookup::Known(set.clone())))
    }

    /// Keeps a set. Gives back what had to go, to be dropped where nothing is borrowed.
    #[must_use]
    pub(super) fn keep(&mut self, hash: u64, set: &Rc<KeySet>) -> KeySets {
        let weight = set.weight();
        if weight > HEAVIEST {
            return KeySets::default();
        }
        // Whoever has more sets than fit gains little by keeping any.
        let full = self.weight + weight > MOST_WEIGHT;
        let mut gone = if full { std::mem::take(self) } else { KeySets::default() };
        self.weight += weight;
        if let Some(other) = self.sets.insert(hash, set.clone()) {
            self.weight -= other.weight();
            gone.sets.insert(hash, other);
        }
        gone
    }
}

pub(super) enum Lookup {
    Known(Rc<KeySet>),
    Unknown(u64),
}

/// Makes the set of an object's keys; `None` with an exception pending.
pub(super) fn make(ctx: *mut qjs::JSContext, object: &Object<'_>) -> Option<Rc<KeySet>> {
    let Ok((entries, text)) = object.key_bytes() else {
        convert::malformed(ctx);
        return None;
    };
    KeySet::new(ctx, object, KeyBytes { entries, text }).map(Rc::new)
}

/// The keys of the table are hashes already.
#[derive(Default)]
pub(super) struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
