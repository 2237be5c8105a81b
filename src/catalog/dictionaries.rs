//! What rows of the queue were compressed with.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use delivery::{Bundle, Dictionary};
use pgrx::spi::{SpiClient, SpiResult};

use super::plans;

/// Dictionaries that rows are read with, which are few.
pub struct Dictionaries<'c, 'd> {
    client: &'c SpiClient<'d>,
    found: HashMap<u32, Option<Dictionary>>,
}

impl<'c, 'd> Dictionaries<'c, 'd> {
    pub fn new(client: &'c SpiClient<'d>) -> Self {
        Dictionaries { client, found: HashMap::new() }
    }

    /// None if a row is damaged, or its dictionary is gone.
    pub fn unpack(&mut self, stored: &[u8]) -> SpiResult<Option<Bundle>> {
        let dictionary = match Bundle::dictionary_of(stored) {
            Some(id) => self.find(id)?,
            None => None,
        };
        Ok(Bundle::unpack(stored, dictionary).ok())
    }

    fn find(&mut self, id: u32) -> SpiResult<Option<&Dictionary>> {
        let found = match self.found.entry(id) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(unknown) => {
                let query = "SELECT bytes FROM posthog_plugins.queue_dictionary WHERE id = $1";
                let row = plans::select(self.client, query, &[id.cast_signed().into()])?.next();
                let bytes = row.map(|row| row.get::<Vec<u8>>(1)).transpose()?.flatten();
                unknown.insert(bytes.map(|bytes| Dictionary { id, bytes }))
            }
        };
        Ok(found.as_ref())
    }
}
