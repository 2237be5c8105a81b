//! `$plugins_succeeded`, `$plugins_failed`, `$plugins_deferred`: the lists PostHog leaves in an
//! event's properties. Lists that the client sent are replaced: they are not evidence.

use engine::Outcome;
use jsonb::{Document, Object, Ref, Writer};

#[derive(Default)]
pub struct Marks {
    succeeded: Vec<String>,
    failed: Vec<String>,
    deferred: Vec<String>,
}

const SUCCEEDED: &str = "$plugins_succeeded";
const FAILED: &str = "$plugins_failed";
const DEFERRED: &str = "$plugins_deferred";

impl Marks {
    pub fn note(&mut self, title: &str, outcome: &Outcome) {
        if outcome.failure.is_some() {
            self.failed.push(title.to_owned());
        } else if outcome.ran {
            self.succeeded.push(title.to_owned());
        }
        if outcome.deferred {
            self.deferred.push(title.to_owned());
        }
    }

    /// The event with the lists in its properties; `None` if there is nothing to note, or no place
    /// for it.
    pub fn apply(&self, event: &[u8]) -> Option<Vec<u8>> {
        if self.succeeded.is_empty() && self.failed.is_empty() && self.deferred.is_empty() {
            return None;
        }
        let Ok(Ref::Object(fields)) = Document::new(event).map(|event| event.root()) else {
            return None;
        };
        match fields.get("properties") {
            Ok(None | Some(Ref::Object(_))) => self.write(fields).ok(),
            _ => None,
        }
    }

    fn write(&self, fields: Object<'_>) -> jsonb::Result<Vec<u8>> {
        let mut out = Writer::new();
        out.begin_object()?;
        let mut properties = None;
        {
            for field in fields.iter() {
                match field? {
                    ("properties", Ref::Object(object)) => properties = Some(object),
                    (key, value) => {
                        out.key(key)?;
                        out.splice(value)?;
                    }
                }
            }
        }
        out.key("properties")?;
        out.begin_object()?;
        if let Some(properties) = properties {
            for property in properties.iter() {
                let (key, value) = property?;
                out.key(key)?;
                out.splice(value)?;
            }
        }
        let lists =
            [(SUCCEEDED, &self.succeeded), (FAILED, &self.failed), (DEFERRED, &self.deferred)];
        for (key, names) in lists {
            out.key(key)?;
            out.begin_array()?;
            names.iter().try_for_each(|name| out.string(name))?;
            out.end()?;
        }
        out.end()?;
        out.end()?;
        Ok(out.finish()?.to_vec())
    }
}
