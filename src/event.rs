//! An event as the server holds it: a jsonb datum, looked at and made without the server's help.

use std::cell::OnceCell;

use jsonb::{Document, Object, Ref};
use pgrx::pg_sys;

use crate::json::Json;

/// An event that is fetched and decompressed when somebody looks into it. Lives as long as the
/// memory context of the call.
pub struct Event<'a> {
    payload: OnceCell<&'a [u8]>,
    datum: pg_sys::Datum,
}

/// What is decompressed to find the team: an event's short keys come first, their values before the
/// long ones', and `properties` behind them. A fifth of what decompressing 2 KB takes.
const BEGINNING: usize = 512;

/// A container's header, which says that it is an object.
const HEADER: usize = 4;

impl<'a> Event<'a> {
    /// # Safety
    /// `datum` is a non-null jsonb.
    pub unsafe fn of_datum(datum: pg_sys::Datum) -> Self {
        Event { payload: OnceCell::new(), datum }
    }

    /// An event that is at hand.
    pub fn of_payload(payload: &'a [u8]) -> Self {
        Event { payload: OnceCell::from(payload), datum: pg_sys::Datum::null() }
    }

    /// All of it.
    pub fn payload(&self) -> &'a [u8] {
        self.payload.get_or_init(|| {
            // SAFETY: by contract a varlena; detoasting gives one with a plain four-byte header,
            // which says how many bytes there are.
            unsafe {
                let varlena = pg_sys::pg_detoast_datum(self.datum.cast_mut_ptr());
                let bytes = pgrx::varsize_4b(varlena) - pg_sys::VARHDRSZ;
                std::slice::from_raw_parts(pgrx::vardata_4b(varlena).cast(), bytes)
            }
        })
    }

    pub fn is_object(&self) -> bool {
        let header = self.beginning(HEADER).first_chunk().copied().map(u32::from_ne_bytes);
        header.is_some_and(|header| header & pg_sys::JB_FOBJECT != 0)
    }

    /// What the event is called.
    pub fn name(&self) -> Option<String> {
        self.text("event")
    }

    /// Whether it is called one of these, as `->>` has it.
    pub fn is_one_of(&self, names: &[String]) -> bool {
        let root = Document::new(self.payload()).map(|document| document.root());
        let Ok(Ref::Object(fields)) = root else { return false };
        let is = |text: &str| names.iter().any(|name| name == text);
        match fields.get("event") {
            Ok(Some(Ref::String(name))) => is(name),
            Ok(Some(Ref::Number(number))) => is(&number.to_string()),
            Ok(Some(Ref::Bool(value))) => is(if value { "true" } else { "false" }),
            _ => false,
        }
    }

    /// Whose it is.
    pub fn distinct_id(&self) -> Option<String> {
        self.text("distinct_id")
    }

    /// Whether its properties contain these.
    pub fn has_properties(&self, wanted: &Json) -> jsonb::Result<bool> {
        let Ref::Object(fields) = Document::new(self.payload())?.root() else { return Ok(false) };
        let Some(properties) = fields.get("properties")? else { return Ok(false) };
        properties.contains(&wanted.root()?)
    }

    fn text(&self, key: &str) -> Option<String> {
        let root = Document::new(self.payload()).ok()?.root();
        let Ref::Object(fields) = root else { return None };
        match fields.get(key).ok()?? {
            Ref::String(text) => Some(text.to_owned()),
            _ => None,
        }
    }

    pub fn team(&self) -> Option<i32> {
        let team = |payload| match Document::new(payload)?.root() {
            Ref::Object(fields) => team_of(&fields),
            _ => Ok(None),
        };
        // What the beginning does not have whole is an error there.
        team(self.beginning(BEGINNING)).or_else(|_| team(self.payload())).unwrap_or_default()
    }

    /// At least so many bytes, if there are.
    fn beginning(&self, bytes: usize) -> &'a [u8] {
        // SAFETY: by contract a varlena, where there is no payload yet; what is in place has a header
        // of one or four bytes.
        unsafe {
            let varlena = self.datum.cast_mut_ptr::<pg_sys::varlena>();
            if self.payload.get().is_some() || pgrx::varatt_is_4b_u(varlena) {
                return self.payload();
            }
            let slice = pg_sys::pg_detoast_datum_slice(varlena, 0, bytes as i32);
            let content = pgrx::vardata_any(slice).cast();
            std::slice::from_raw_parts(content, pgrx::varsize_any_exhdr(slice))
        }
    }
}

/// The team that the fields of an event name.
pub fn team_of(fields: &Object<'_>) -> jsonb::Result<Option<i32>> {
    fields.get(TEAM).map(team_from)
}

/// The field that names an event's team.
pub const TEAM: &str = "team_id";

/// The team that the value of that field stands for.
pub fn team_from(value: Option<Ref<'_>>) -> Option<i32> {
    match value {
        Some(Ref::Number(team)) => team.to_i64().and_then(|team| team.try_into().ok()),
        _ => None,
    }
}

/// A varlena with the payload, such as a jsonb, in the current memory context.
pub fn to_datum(payload: &[u8]) -> pg_sys::Datum {
    let size = payload.len() + pg_sys::VARHDRSZ;
    // SAFETY: palloc gives `size` bytes or raises an error; all of them are written.
    unsafe {
        let varlena = pg_sys::palloc(size).cast::<pg_sys::varlena>();
        pgrx::set_varsize_4b(varlena, size as i32);
        let data = varlena.cast::<u8>().add(pg_sys::VARHDRSZ);
        std::ptr::copy_nonoverlapping(payload.as_ptr(), data, payload.len());
        pg_sys::Datum::from(varlena)
    }
}
