//! An event as the server holds it: a jsonb datum, looked at and made without the server's help.

use pgrx::pg_sys;

/// A jsonb argument, detoasted. Lives as long as the memory context of the call.
pub struct EventDatum<'a> {
    payload: &'a [u8],
}

impl<'a> EventDatum<'a> {
    /// # Safety
    /// `datum` is a non-null jsonb.
    pub unsafe fn detoast(datum: pg_sys::Datum) -> Self {
        // SAFETY: by contract the datum points to a varlena; detoasting gives one with a plain
        // four-byte header, which says how many bytes there are.
        unsafe {
            let varlena = pg_sys::pg_detoast_datum(datum.cast_mut_ptr());
            let bytes = pgrx::varsize_4b(varlena) - pg_sys::VARHDRSZ;
            let payload = std::slice::from_raw_parts(pgrx::vardata_4b(varlena).cast(), bytes);
            EventDatum { payload }
        }
    }

    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// A jsonb datum of the payload, in the current memory context.
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
