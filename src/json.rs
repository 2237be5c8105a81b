//! A jsonb by its bytes, as SQL gives and takes it. Through pgrx's `JsonB` a number would lose the
//! digits that a double does not have.

use std::ffi::CString;

use jsonb::{Document, Ref, Writer};
use pgrx::callconv::{Arg, ArgAbi, BoxRet, FcInfo};
use pgrx::datum::Datum;
use pgrx::function_name;
use pgrx::nullable::Nullable;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::{CaughtError, ErrorReport};
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::prelude::*;
use serde_json::{Map, Number, Value};

use crate::event::{Event, to_datum};

/// The payload of a jsonb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json(pub Vec<u8>);

impl Json {
    /// Reads JSON text as the server does; or says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = CString::new(text).map_err(|error| error.to_string())?;
        // The server's reader has no effect but its result, so its error can be taken as an answer.
        PgTryBuilder::new(|| {
            // SAFETY: jsonb_in takes a C string and gives a jsonb.
            let datum = unsafe {
                pgrx::direct_function_call_as_datum(pg_sys::jsonb_in, &[Some(text.as_ptr().into())])
            };
            // SAFETY: as above.
            let json = unsafe { Json::from_datum(datum.unwrap_or(0.into()), datum.is_none()) };
            json.ok_or_else(String::new)
        })
        .catch_others(|error| match error {
            CaughtError::PostgresError(report)
            | CaughtError::ErrorReport(report)
            | CaughtError::RustPanic { ereport: report, .. } => Err(report.message().to_owned()),
        })
        .execute()
    }

    /// A value out of another one.
    pub fn of(value: Ref<'_>) -> jsonb::Result<Self> {
        Json::written(|out| out.splice(value))
    }

    /// What `write` writes.
    pub fn written(write: impl FnOnce(&mut Writer) -> jsonb::Result<()>) -> jsonb::Result<Self> {
        let mut out = Writer::new();
        write(&mut out)?;
        Ok(Json(out.finish()?.to_vec()))
    }

    pub fn root(&self) -> jsonb::Result<Ref<'_>> {
        Ok(Document::new(&self.0)?.root())
    }
}

/// A value as `serde_json` has it, numbers as doubles: for settings, which are texts.
pub fn to_value(value: Ref<'_>) -> jsonb::Result<Value> {
    Ok(match value {
        Ref::Null => Value::Null,
        Ref::Bool(value) => value.into(),
        Ref::Number(number) => match number.to_i64() {
            Some(integer) => integer.into(),
            None => Number::from_f64(number.to_f64()).map_or(Value::Null, Value::Number),
        },
        Ref::String(text) => text.into(),
        Ref::Array(array) => array
            .iter()
            .map(|element| to_value(element?))
            .collect::<jsonb::Result<Vec<_>>>()?
            .into(),
        Ref::Object(object) => {
            let pairs = object.iter().map(|pair| {
                let (key, value) = pair?;
                Ok((key.to_owned(), to_value(value)?))
            });
            Value::Object(pairs.collect::<jsonb::Result<Map<_, _>>>()?)
        }
    })
}

impl FromDatum for Json {
    unsafe fn from_polymorphic_datum(
        datum: pg_sys::Datum,
        is_null: bool,
        _: pg_sys::Oid,
    ) -> Option<Self> {
        // SAFETY: by contract a jsonb, unless it is null.
        (!is_null).then(|| Json(unsafe { Event::of_datum(datum) }.payload().to_vec()))
    }
}

impl IntoDatum for Json {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        Some(to_datum(&self.0))
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::JSONBOID
    }
}

// SAFETY: what is unboxed is a jsonb, as the SQL below declares.
unsafe impl<'fcx> ArgAbi<'fcx> for Json {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        let index = arg.index();
        // SAFETY: as above.
        unsafe { arg.unbox_arg_using_from_datum() }.unwrap_or_else(|| {
            let message = format!("argument {} must not be null", index + 1);
            let code = PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED;
            ErrorReport::new(code, message, function_name!()).report(PgLogLevel::ERROR);
            unreachable!("an ERROR does not return")
        })
    }

    unsafe fn unbox_nullable_arg(arg: Arg<'_, 'fcx>) -> Nullable<Self> {
        // SAFETY: as above.
        unsafe { arg.unbox_arg_using_from_datum().into() }
    }
}

// SAFETY: answers with the datum that `into_datum` made.
unsafe impl BoxRet for Json {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        match self.into_datum() {
            // SAFETY: a jsonb, as the SQL below declares.
            Some(datum) => unsafe { fcinfo.return_raw_datum(datum) },
            None => fcinfo.return_null(),
        }
    }
}

// SAFETY: the type that the functions above take and make.
unsafe impl SqlTranslatable for Json {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(Json);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("jsonb"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> =
        Ok(ReturnsRef::One(SqlMappingRef::literal("jsonb")));
}
