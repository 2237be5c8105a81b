//! A column that is a field of the event: how its values become JSON and come back.

use std::cmp::Ordering;
use std::ffi::CStr;

use pgrx::pg_sys;

use super::target::{function_info, function_on};
use crate::error::{Error, Result};

pub struct Column {
    /// Its zero-based place in the table.
    pub index: usize,
    pub name: String,
    pub is_not_null: bool,
    pub read: Read,
    pub write: Write,
}

/// How a value becomes JSON: as `to_jsonb` does it. The types that events have most are read here.
pub enum Read {
    Bool,
    Int2,
    Int4,
    Int8,
    Text,
    Uuid,
    /// One of the types that `to_jsonb` writes in ISO 8601.
    DateTime(pg_sys::Oid),
    Jsonb,
    /// With `to_jsonb` for what is not finite.
    Numeric(*mut pg_sys::FmgrInfo),
    /// Likewise.
    Float8(*mut pg_sys::FmgrInfo),
    /// Its text, by the type's output function.
    Output(*mut pg_sys::FmgrInfo),
    /// `to_jsonb` itself.
    ToJsonb(*mut pg_sys::FmgrInfo),
}

/// How JSON becomes a value: as `jsonb_populate_record` does it.
pub enum Write {
    Jsonb,
    Text,
    /// The text of the JSON is the type's input.
    Json(Input),
    /// A JSON string's characters, or any other value's text, are the type's input.
    Scalar(Input),
    /// Arrays, composites and domains over such: `jsonb_populate_record` itself.
    Populate {
        is_domain: bool,
    },
}

/// A type's input function.
pub struct Input {
    pub function: *mut pg_sys::FmgrInfo,
    pub io_param: pg_sys::Oid,
    pub typmod: i32,
    /// A domain may refuse NULL.
    pub is_domain: bool,
    /// JSON has one type of numbers: 42.0 is an integer there.
    pub is_integer: bool,
}

impl Column {
    /// What it points to lives as long as the current memory context.
    pub fn new(index: usize, attribute: &pg_sys::FormData_pg_attribute) -> Result<Self> {
        // SAFETY: a name ends with a NUL.
        let name = unsafe { CStr::from_ptr(attribute.attname.data.as_ptr()) };
        let name = name.to_str().map_err(|_| Error::NotUtf8)?.to_owned();
        // SAFETY: a look at the catalogs.
        let base = unsafe { pg_sys::getBaseType(attribute.atttypid) };
        let is_not_null = attribute.attnotnull;
        let (read, write) = (Read::of(base), Write::of(attribute, base));
        Ok(Column { index, name, is_not_null, read, write })
    }

    pub fn is_populated(&self) -> bool {
        matches!(self.write, Write::Populate { .. })
    }

    /// Compares as jsonb's keys do.
    pub fn key_order(&self) -> impl Ord + '_ {
        (self.name.len(), self.name.as_bytes())
    }

    pub fn compare_key(&self, key: &str) -> Ordering {
        (self.name.len(), self.name.as_bytes()).cmp(&(key.len(), key.as_bytes()))
    }
}

impl Read {
    fn of(base: pg_sys::Oid) -> Self {
        match base {
            pg_sys::BOOLOID => Read::Bool,
            pg_sys::INT2OID => Read::Int2,
            pg_sys::INT4OID => Read::Int4,
            pg_sys::INT8OID => Read::Int8,
            pg_sys::TEXTOID | pg_sys::VARCHAROID | pg_sys::BPCHAROID => Read::Text,
            pg_sys::UUIDOID => Read::Uuid,
            pg_sys::DATEOID | pg_sys::TIMESTAMPOID | pg_sys::TIMESTAMPTZOID => Read::DateTime(base),
            pg_sys::JSONBOID => Read::Jsonb,
            pg_sys::NUMERICOID => Read::Numeric(function_on(pg_sys::F_TO_JSONB, base)),
            pg_sys::FLOAT8OID => Read::Float8(function_on(pg_sys::F_TO_JSONB, base)),
            _ if is_text_in_json(base) => Read::Output(output_function(base)),
            _ => Read::ToJsonb(function_on(pg_sys::F_TO_JSONB, base)),
        }
    }
}

/// Whether `to_jsonb` makes a string of the type's output. It asks types that are not the server's own
/// for a cast to json, which may come and go.
fn is_text_in_json(base: pg_sys::Oid) -> bool {
    // SAFETY: looks at the catalogs.
    let is_nested = unsafe {
        pg_sys::get_element_type(base) != pg_sys::InvalidOid || pg_sys::type_is_rowtype(base)
    };
    let is_json_or_number = [pg_sys::JSONOID, pg_sys::FLOAT4OID].contains(&base);
    base.to_u32() < pg_sys::FirstNormalObjectId && !is_nested && !is_json_or_number
}

fn output_function(type_id: pg_sys::Oid) -> *mut pg_sys::FmgrInfo {
    let mut function = pg_sys::InvalidOid;
    let mut is_varlena = false;
    // SAFETY: the type exists, as a column has it.
    unsafe { pg_sys::getTypeOutputInfo(type_id, &mut function, &mut is_varlena) };
    function_info(function)
}

impl Write {
    fn of(attribute: &pg_sys::FormData_pg_attribute, base: pg_sys::Oid) -> Self {
        let type_id = attribute.atttypid;
        let is_domain = type_id != base;
        // SAFETY: a look at the catalogs.
        let is_nested = unsafe {
            pg_sys::get_element_type(base) != pg_sys::InvalidOid || pg_sys::type_is_rowtype(base)
        };
        match base {
            pg_sys::JSONBOID if !is_domain => Write::Jsonb,
            pg_sys::TEXTOID if !is_domain => Write::Text,
            pg_sys::JSONOID if !is_domain => Write::Json(Input::of(attribute, base)),
            pg_sys::JSONBOID | pg_sys::JSONOID => Write::Populate { is_domain },
            _ if is_nested => Write::Populate { is_domain },
            _ => Write::Scalar(Input::of(attribute, base)),
        }
    }
}

impl Input {
    fn of(attribute: &pg_sys::FormData_pg_attribute, base: pg_sys::Oid) -> Self {
        let mut function = pg_sys::InvalidOid;
        let mut io_param = pg_sys::InvalidOid;
        // SAFETY: the type exists, as a column has it.
        unsafe { pg_sys::getTypeInputInfo(attribute.atttypid, &mut function, &mut io_param) };
        Input {
            function: function_info(function),
            io_param,
            typmod: attribute.atttypmod,
            is_domain: attribute.atttypid != base,
            is_integer: [pg_sys::INT2OID, pg_sys::INT4OID, pg_sys::INT8OID].contains(&base),
        }
    }
}
