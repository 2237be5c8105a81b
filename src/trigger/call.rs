//! One firing of the trigger, as PostgreSQL describes it.

use std::ffi::CStr;

use pgrx::{PgTupleDesc, pg_sys};

use crate::error::{Error, Result};

/// Valid until the trigger function returns.
pub struct Call {
    data: *mut pg_sys::TriggerData,
}

impl Call {
    /// # Safety
    /// `fcinfo` is what PostgreSQL called a function with that now runs.
    pub unsafe fn new(fcinfo: pg_sys::FunctionCallInfo) -> Result<Self> {
        // SAFETY: by contract.
        let call = unsafe { Call::found(fcinfo) }.ok_or(Error::NotABeforeRowTrigger)?;
        let is_before = call.timing() == pg_sys::TRIGGER_EVENT_BEFORE;
        if !is_before || !call.is_for_each_row() || !(call.is_insert() || call.is_update()) {
            return Err(Error::NotABeforeRowTrigger);
        }
        Ok(call)
    }

    /// The same for what runs after an insert, on a row or on all of a statement.
    ///
    /// # Safety
    /// As above.
    pub unsafe fn after(fcinfo: pg_sys::FunctionCallInfo) -> Result<Self> {
        // SAFETY: by contract.
        let call = unsafe { Call::found(fcinfo) }.ok_or(Error::NotAnAfterInsertTrigger)?;
        let has_rows = call.is_for_each_row() || !call.inserted().is_null();
        if call.timing() != pg_sys::TRIGGER_EVENT_AFTER || !call.is_insert() || !has_rows {
            return Err(Error::NotAnAfterInsertTrigger);
        }
        Ok(call)
    }

    /// # Safety
    /// As above.
    unsafe fn found(fcinfo: pg_sys::FunctionCallInfo) -> Option<Self> {
        // SAFETY: by contract; the context is null or a node, whose tag says which.
        unsafe {
            let context = (*fcinfo).context;
            let is_trigger = pgrx::is_a(context, pg_sys::NodeTag::T_TriggerData);
            is_trigger.then(|| Call { data: context.cast() })
        }
    }

    /// A call as PostgreSQL would make it, to insert a row. Valid as long as what it is made of.
    pub fn of(data: &mut pg_sys::TriggerData) -> Self {
        Call { data }
    }

    pub fn is_insert(&self) -> bool {
        self.operation() == pg_sys::TRIGGER_EVENT_INSERT
    }

    fn is_update(&self) -> bool {
        self.operation() == pg_sys::TRIGGER_EVENT_UPDATE
    }

    pub fn is_for_each_row(&self) -> bool {
        // SAFETY: valid, as the struct says; so in all the functions below.
        unsafe { (*self.data).tg_event & pg_sys::TRIGGER_EVENT_ROW != 0 }
    }

    fn timing(&self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.data).tg_event & pg_sys::TRIGGER_EVENT_TIMINGMASK }
    }

    fn operation(&self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.data).tg_event & pg_sys::TRIGGER_EVENT_OPMASK }
    }

    /// The row that is about to be stored.
    pub fn row(&self) -> pg_sys::HeapTuple {
        // SAFETY: as above.
        unsafe {
            if self.is_update() { (*self.data).tg_newtuple } else { (*self.data).tg_trigtuple }
        }
    }

    /// The slot that has the row, where there is one.
    pub fn slot(&self) -> *mut pg_sys::TupleTableSlot {
        // SAFETY: as above.
        unsafe { (*self.data).tg_trigslot }
    }

    /// All rows that the statement has inserted, if the trigger has asked for them.
    pub fn inserted(&self) -> *mut pg_sys::Tuplestorestate {
        // SAFETY: as above.
        unsafe { (*self.data).tg_newtable }
    }

    pub fn relation(&self) -> pg_sys::Relation {
        // SAFETY: as above.
        unsafe { (*self.data).tg_relation }
    }

    pub fn relation_id(&self) -> pg_sys::Oid {
        // SAFETY: the relation is open and locked.
        unsafe { (*self.relation()).rd_id }
    }

    pub fn relation_name(&self) -> String {
        // SAFETY: the relation is open and locked; its name ends with a NUL.
        let name = unsafe { CStr::from_ptr((*(*self.relation()).rd_rel).relname.data.as_ptr()) };
        name.to_string_lossy().into_owned()
    }

    pub fn descriptor(&self) -> pg_sys::TupleDesc {
        // SAFETY: the relation is open and locked.
        unsafe { (*self.relation()).rd_att }
    }

    /// How many columns there are, dropped ones included.
    pub fn columns(&self) -> usize {
        self.attributes().len()
    }

    pub fn column_name(&self, index: usize) -> String {
        self.attributes().get(index).map(name_of).unwrap_or_default()
    }

    /// Whether there is a column of that name, generated or not.
    pub fn has_column(&self, name: &str) -> bool {
        self.attributes().iter().any(|column| !column.attisdropped && name_of(column) == name)
    }

    pub fn attributes(&self) -> PgTupleDesc<'_> {
        // SAFETY: the relation's own, which is open and locked.
        unsafe { PgTupleDesc::from_pg_unchecked(self.descriptor()) }
    }

    pub fn trigger(&self) -> &pg_sys::Trigger {
        // SAFETY: as above; the executor keeps a copy for itself that nobody writes to.
        unsafe { &*(*self.data).tg_trigger }
    }

    /// The triggers of the table.
    pub fn siblings(&self) -> &[pg_sys::Trigger] {
        // SAFETY: the relation is open and locked, and so has its triggers for as long as nobody makes
        // it look for new ones.
        unsafe {
            match (*self.relation()).trigdesc.as_ref() {
                Some(all) => std::slice::from_raw_parts(all.triggers, all.numtriggers as usize),
                None => &[],
            }
        }
    }

    pub fn trigger_name(&self) -> String {
        // SAFETY: a text of the trigger.
        unsafe { CStr::from_ptr(self.trigger().tgname) }.to_string_lossy().into_owned()
    }

    /// The name of the event column, if the trigger was given one.
    pub fn argument(&self) -> Result<Option<&CStr>> {
        let trigger = self.trigger();
        match trigger.tgnargs {
            0 => Ok(None),
            // SAFETY: there is one argument, and arguments are texts.
            1 => Ok(Some(unsafe { CStr::from_ptr(*trigger.tgargs) })),
            _ => Err(Error::TooManyTriggerArguments(self.trigger_name())),
        }
    }

    /// Which part of a partitioned table the row was routed to, or sent to.
    pub fn is_partition(&self) -> bool {
        // SAFETY: the relation is open and locked.
        unsafe { (*(*self.relation()).rd_rel).relispartition }
    }
}

pub fn name_of(column: &pg_sys::FormData_pg_attribute) -> String {
    // SAFETY: a name ends with a NUL.
    unsafe { CStr::from_ptr(column.attname.data.as_ptr()) }.to_string_lossy().into_owned()
}
