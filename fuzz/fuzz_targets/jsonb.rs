//! Any bytes as jsonb: reading never panics, and what could be read whole is written back the same.
#![no_main]

use jsonb::{Document, Ref, Result, Writer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(document) = Document::new(bytes) else { return };
    let mut out = Writer::new();
    if copy(&mut out, document.root(), 0).is_err() {
        return;
    }
    let Ok(written) = out.finish().map(<[u8]>::to_vec) else { return };
    let mut again = Writer::new();
    let read = Document::new(&written).and_then(|document| copy(&mut again, document.root(), 0));
    assert!(read.is_ok());
    assert_eq!(again.finish().map(<[u8]>::to_vec), Ok(written));
});

fn copy(out: &mut Writer, value: Ref<'_>, depth: usize) -> Result<()> {
    match value {
        // Containers in fuzzed bytes can contain themselves.
        Ref::Array(_) | Ref::Object(_) if depth > 64 => out.null(),
        Ref::Array(array) => {
            out.begin_array()?;
            array.iter().try_for_each(|element| copy(out, element?, depth + 1))?;
            out.end()
        }
        Ref::Object(object) => {
            out.begin_object()?;
            for pair in object.iter() {
                let (key, member) = pair?;
                out.key(key)?;
                copy(out, member, depth + 1)?;
            }
            out.end()
        }
        Ref::Number(number) => out.number_f64(number.to_f64()),
        scalar => out.splice(scalar),
    }
}
