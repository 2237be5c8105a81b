//! A row becomes an event.

use std::ffi::{CStr, c_char};

use jsonb::{Document, Record};
use pgrx::pg_sys;

use super::call::Call;
use super::column::{Column, Read};
use super::target::{Fields, Form, Target};
use crate::error::{Error, Result};
use crate::event::{Event, TEAM};

/// The team in a row's columns, if that can be told without converting one.
pub fn team(fields: &Fields) -> Option<Option<i32>> {
    let column = fields.position(TEAM).and_then(|index| fields.columns.get(index));
    let Some(column) = column else { return Some(None) };
    let Some(value) = fields.value(column) else { return Some(None) };
    match column.read {
        Read::Int2 => Some(Some((value.value() as i16).into())),
        Read::Int4 => Some(Some(value.value() as i32)),
        Read::Int8 => Some(i32::try_from(value.value() as i64).ok()),
        _ => None,
    }
}

/// The event that a stored row is; `None` if its column is NULL.
///
/// # Safety
/// The slot holds a row of the target's table, which stays there as long as the event is used.
pub unsafe fn stored<'e>(
    slot: *mut pg_sys::TupleTableSlot,
    target: &mut Target,
    record: &'e mut Record,
) -> Result<Option<Event<'e>>> {
    match &mut target.form {
        Form::EventColumn { index, .. } => {
            // SAFETY: by contract; the slot has that many columns once they are taken out.
            unsafe {
                pg_sys::slot_getsomeattrs(slot, *index as i32 + 1);
                let is_null = *(*slot).tts_isnull.add(*index);
                Ok((!is_null).then(|| Event::of_datum(*(*slot).tts_values.add(*index))))
            }
        }
        Form::Fields(fields) => {
            // SAFETY: by contract; both have a place for every column.
            unsafe {
                pg_sys::slot_getallattrs(slot);
                let columns = fields.values.len().min((*slot).tts_nvalid as usize);
                std::ptr::copy_nonoverlapping(
                    (*slot).tts_values,
                    fields.values.as_mut_ptr(),
                    columns,
                );
                std::ptr::copy_nonoverlapping(
                    (*slot).tts_isnull,
                    fields.nulls.as_mut_ptr(),
                    columns,
                );
            }
            event_of_fields(fields, record).map(|event| Some(Event::of_payload(event)))
        }
    }
}

/// The event in the row's column; `None` if that is NULL.
pub fn event_in_column(call: &Call, index: usize) -> Option<Event<'_>> {
    let number = index as i32 + 1;
    let mut is_null = false;
    // SAFETY: the column is one of the relation's, and a jsonb; what it is detoasted to lives as long
    // as the call.
    unsafe {
        let datum = pg_sys::heap_getattr(call.row(), number, call.descriptor(), &mut is_null);
        (!is_null).then(|| Event::of_datum(datum))
    }
}

impl Fields {
    /// Takes the row apart.
    pub fn take(&mut self, call: &Call) {
        // SAFETY: there is room for every column of the relation.
        unsafe {
            let (values, nulls) = (self.values.as_mut_ptr(), self.nulls.as_mut_ptr());
            pg_sys::heap_deform_tuple(call.row(), call.descriptor(), values, nulls);
        }
    }

    /// The row's value; `None` is NULL.
    pub fn value(&self, column: &Column) -> Option<pg_sys::Datum> {
        let is_there = self.nulls.get(column.index) == Some(&false);
        self.values.get(column.index).copied().filter(|_| is_there)
    }

    /// Which of the columns has that name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.binary_search_by(|column| column.compare_key(name)).ok()
    }
}

fn event_of_fields<'e>(fields: &Fields, record: &'e mut Record) -> Result<&'e [u8]> {
    record.begin();
    for column in &fields.columns {
        match fields.value(column) {
            // SAFETY: the value is one of this column.
            Some(value) => unsafe { write(record, &column.read, value)? },
            None => record.null()?,
        }
    }
    Ok(record.finish()?)
}

/// Whether a value can be read without PostgreSQL's help.
pub fn is_at_hand(read: &Read, value: pg_sys::Datum) -> bool {
    match read {
        Read::Bool | Read::Int2 | Read::Int4 | Read::Int8 | Read::Uuid => true,
        // SAFETY: a varlena, as values of these types are.
        Read::Text | Read::Jsonb => unsafe { is_in_place(value) },
        _ => false,
    }
}

/// # Safety
/// `value` is not null, and of the type that `read` is for.
pub unsafe fn write(record: &mut Record, read: &Read, value: pg_sys::Datum) -> Result<()> {
    match read {
        Read::Bool => record.bool(value.value() as u8 != 0)?,
        Read::Int2 => record.number_i64((value.value() as i16).into())?,
        Read::Int4 => record.number_i64((value.value() as i32).into())?,
        Read::Int8 => record.number_i64(value.value() as i64)?,
        Read::Text => {
            // SAFETY: by contract a varlena.
            record.string(unsafe { text_of(value)? })?;
        }
        Read::Uuid => {
            // SAFETY: by contract a uuid, which is 16 bytes.
            let bytes = unsafe { *value.cast_mut_ptr::<[u8; 16]>() };
            let mut buffer = [b'-'; UUID_LENGTH];
            record.string(uuid_text(bytes, &mut buffer))?;
        }
        Read::DateTime(type_id) => {
            let mut buffer: [c_char; pg_sys::MAXDATELEN as usize + 1] =
                [0; pg_sys::MAXDATELEN as usize + 1];
            // SAFETY: by contract a value of that type; the buffer is as long as every date needs.
            let text = unsafe {
                let zone = std::ptr::null();
                pg_sys::JsonEncodeDateTime(buffer.as_mut_ptr(), value, *type_id, zone);
                CStr::from_ptr(buffer.as_ptr())
            };
            record.string(text.to_str().map_err(|_| Error::NotUtf8)?)?;
        }
        Read::Jsonb => {
            // SAFETY: by contract a jsonb.
            let bytes = unsafe { bytes_of(value) };
            record.splice(Document::new(bytes)?.root())?;
        }
        Read::Numeric(to_jsonb) => {
            // SAFETY: by contract a numeric.
            match record.numeric(unsafe { bytes_of(value) }) {
                // SAFETY: by contract the function is for this type.
                Err(jsonb::Error::NotFinite) => unsafe { to_jsonb_of(record, *to_jsonb, value)? },
                written => written?,
            }
        }
        Read::Float8(to_jsonb) => {
            let number = f64::from_bits(value.value() as u64);
            // SAFETY: a setting of the session, which alone reads and writes it.
            let is_shortest = unsafe { pg_sys::extra_float_digits } > 0;
            if number.is_finite() && is_shortest {
                record.number_f64(number)?;
            } else {
                // SAFETY: by contract the function is for this type.
                unsafe { to_jsonb_of(record, *to_jsonb, value)? };
            }
        }
        Read::Output(function) => {
            // SAFETY: the type's output function, which gives a text that ends with a NUL.
            let text = unsafe { CStr::from_ptr(pg_sys::OutputFunctionCall(*function, value)) };
            record.string(text.to_str().map_err(|_| Error::NotUtf8)?)?;
        }
        // SAFETY: by contract the function is for this type.
        Read::ToJsonb(to_jsonb) => unsafe { to_jsonb_of(record, *to_jsonb, value)? },
    }
    Ok(())
}

/// # Safety
/// `to_jsonb` was prepared for the type of `value`.
unsafe fn to_jsonb_of(
    record: &mut Record,
    to_jsonb: *mut pg_sys::FmgrInfo,
    value: pg_sys::Datum,
) -> Result<()> {
    // SAFETY: by contract; it gives a jsonb.
    let bytes = unsafe { bytes_of(pg_sys::FunctionCall1Coll(to_jsonb, pg_sys::InvalidOid, value)) };
    Ok(record.splice(Document::new(bytes)?.root())?)
}

/// The content of a varlena, in place where it is not toasted.
///
/// # Safety
/// `value` is a varlena that is not null. What is returned lives as long as the call.
pub unsafe fn bytes_of<'a>(value: pg_sys::Datum) -> &'a [u8] {
    // SAFETY: by contract. What is compressed or stored elsewhere is fetched first; all else has a
    // header of one or four bytes before its content.
    unsafe {
        let mut varlena = value.cast_mut_ptr::<pg_sys::varlena>();
        if !is_in_place(value) {
            varlena = pg_sys::pg_detoast_datum_packed(varlena);
        }
        let content = pgrx::vardata_any(varlena).cast();
        std::slice::from_raw_parts(content, pgrx::varsize_any_exhdr(varlena))
    }
}

/// The same of a text.
///
/// # Safety
/// As above.
pub unsafe fn text_of<'a>(value: pg_sys::Datum) -> Result<&'a str> {
    // SAFETY: by contract.
    std::str::from_utf8(unsafe { bytes_of(value) }).map_err(|_| Error::NotUtf8)
}

/// Whether the content of a varlena is neither compressed nor stored elsewhere.
///
/// # Safety
/// As above.
unsafe fn is_in_place(value: pg_sys::Datum) -> bool {
    let varlena = value.cast_mut_ptr::<pg_sys::varlena>();
    // SAFETY: by contract.
    unsafe { !pgrx::varatt_is_1b_e(varlena) && !pgrx::varatt_is_4b_c(varlena) }
}

const UUID_LENGTH: usize = 36;

/// A uuid as PostgreSQL spells it, into hyphens.
fn uuid_text(bytes: [u8; 16], buffer: &mut [u8; UUID_LENGTH]) -> &str {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    /// Where the digits of each byte stand, between hyphens.
    const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
    for (byte, place) in bytes.into_iter().zip(PLACES) {
        buffer[place] = DIGITS[usize::from(byte >> 4)];
        buffer[place + 1] = DIGITS[usize::from(byte & 15)];
    }
    std::str::from_utf8(buffer).unwrap_or_default()
}
