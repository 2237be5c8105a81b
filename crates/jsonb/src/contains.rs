//! Whether a value contains another one, as the operator `@>` has it.

use crate::{Ref, Result};

impl Ref<'_> {
    /// Whether an object has all pairs of another one, and an array all elements, at any depth; or both are
    /// the same scalar. Unlike a whole document for `@>`, an array does not contain a
    /// scalar that stands alone.
    pub fn contains(&self, other: &Ref<'_>) -> Result<bool> {
        match (self, other) {
            (Ref::Object(object), Ref::Object(pairs)) => {
                for pair in pairs.iter() {
                    let (key, wanted) = pair?;
                    let Some(value) = object.get(key)? else { return Ok(false) };
                    if !value.contains(&wanted)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Ref::Array(array), Ref::Array(elements)) => {
                'wanted: for wanted in elements.iter() {
                    let wanted = wanted?;
                    for element in array.iter() {
                        if element?.contains(&wanted)? {
                            continue 'wanted;
                        }
                    }
                    return Ok(false);
                }
                Ok(true)
            }
            // 1.5 and 1.50 are the same number.
            (Ref::Number(a), Ref::Number(b)) => Ok(a.is_equal(b)),
            _ => Ok(self.is_identical(other)),
        }
    }
}
