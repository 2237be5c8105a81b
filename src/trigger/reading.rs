//! A row becomes an event.

use std::ffi::{CStr, c_char};

use jsonb::{Document, Writer};
use pgrx::pg_sys;

use super::call::Call;
use super::column::Read;
use super::target::{Fields, Form, Target};
use crate::error::{Error, Result};
use crate::event::EventDatum;

/// The event that the row is, as jsonb; `None` if its column is NULL.
pub fn event<'e>(
    call: &'e Call,
    target: &mut Target,
    writer: &'e mut Writer,
) -> Result<Option<&'e [u8]>> {
    match &mut target.form {
        Form::EventColumn { index, .. } => Ok(event_in_column(call, *index)),
        Form::Fields(fields) => event_of_fields(call, fields, writer).map(Some),
    }
}

fn event_in_column(call: &Call, index: usize) -> Option<&[u8]> {
    let number = index as i32 + 1;
    let mut is_null = false;
    // SAFETY: the column is one of the relation's, and a jsonb; what it is detoasted to lives as long
    // as the call.
    unsafe {
        let datum = pg_sys::heap_getattr(call.row(), number, call.descriptor(), &mut is_null);
        (!is_null).then(|| EventDatum::detoast(datum).payload())
    }
}

fn event_of_fields<'e>(
    call: &Call,
    fields: &mut Fields,
    writer: &'e mut Writer,
) -> Result<&'e [u8]> {
    let Fields { columns, values, nulls, .. } = fields;
    // SAFETY: there is room for every column of the relation.
    unsafe {
        let (values, nulls) = (values.as_mut_ptr(), nulls.as_mut_ptr());
        pg_sys::heap_deform_tuple(call.row(), call.descriptor(), values, nulls);
    }
    writer.clear();
    writer.begin_object()?;
    for column in columns {
        writer.key(&column.name)?;
        match (values.get(column.index), nulls.get(column.index)) {
            // SAFETY: the value is one of this column.
            (Some(&value), Some(false)) => unsafe { write(writer, &column.read, value)? },
            _ => writer.null()?,
        }
    }
    writer.end()?;
    Ok(writer.finish()?)
}

/// # Safety
/// `value` is not null, and of the type that `read` is for.
unsafe fn write(writer: &mut Writer, read: &Read, value: pg_sys::Datum) -> Result<()> {
    match read {
        Read::Bool => writer.bool(value.value() as u8 != 0)?,
        Read::Int2 => writer.number_i64((value.value() as i16).into())?,
        Read::Int4 => writer.number_i64((value.value() as i32).into())?,
        Read::Int8 => writer.number_i64(value.value() as i64)?,
        Read::Text => {
            // SAFETY: by contract a varlena.
            let bytes = unsafe { bytes_of(value) };
            writer.string(std::str::from_utf8(bytes).map_err(|_| Error::NotUtf8)?)?;
        }
        Read::Uuid => {
            // SAFETY: by contract a uuid, which is 16 bytes.
            let bytes = unsafe { *value.cast_mut_ptr::<[u8; 16]>() };
            let mut buffer = [0; UUID_LENGTH];
            writer.string(uuid_text(bytes, &mut buffer))?;
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
            writer.string(&text.to_string_lossy())?;
        }
        Read::Jsonb => {
            // SAFETY: by contract a jsonb.
            let bytes = unsafe { bytes_of(value) };
            writer.splice(Document::new(bytes)?.root())?;
        }
        Read::ToJsonb(to_jsonb) => {
            // SAFETY: by contract a value of the type that the function was prepared for; it gives a
            // jsonb.
            let bytes = unsafe {
                bytes_of(pg_sys::FunctionCall1Coll(*to_jsonb, pg_sys::InvalidOid, value))
            };
            writer.splice(Document::new(bytes)?.root())?;
        }
    }
    Ok(())
}

/// The content of a varlena, in place where it is not toasted.
///
/// # Safety
/// `value` is a varlena that is not null. What is returned lives as long as the call.
unsafe fn bytes_of<'a>(value: pg_sys::Datum) -> &'a [u8] {
    // SAFETY: by contract. What is compressed or stored elsewhere is fetched first; all else has a
    // header of one or four bytes before its content.
    unsafe {
        let mut varlena = value.cast_mut_ptr::<pg_sys::varlena>();
        if !pgrx::varatt_is_4b_u(varlena) {
            varlena = pg_sys::pg_detoast_datum_packed(varlena);
        }
        let content = pgrx::vardata_any(varlena).cast();
        std::slice::from_raw_parts(content, pgrx::varsize_any_exhdr(varlena))
    }
}

const UUID_LENGTH: usize = 36;

/// A uuid as PostgreSQL spells it.
fn uuid_text(bytes: [u8; 16], buffer: &mut [u8; UUID_LENGTH]) -> &str {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let mut places = buffer.iter_mut();
    let mut put = |character: u8| {
        if let Some(place) = places.next() {
            *place = character;
        }
    };
    for (index, byte) in bytes.into_iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            put(b'-');
        }
        put(DIGITS[usize::from(byte >> 4)]);
        put(DIGITS[usize::from(byte & 15)]);
    }
    std::str::from_utf8(buffer).unwrap_or_default()
}
