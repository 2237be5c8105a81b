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
        // SAFETY: by contract; the context is null or a node, whose tag says which.
        unsafe {
            let context = (*fcinfo).context;
            if !pgrx::is_a(context, pg_sys::NodeTag::T_TriggerData) {
                return Err(Error::NotABeforeRowTrigger);
            }
            let call = Call { data: context.cast() };
            let event = (*call.data).tg_event;
            let before = event & pg_sys::TRIGGER_EVENT_TIMINGMASK == pg_sys::TRIGGER_EVENT_BEFORE;
            let each_row = event & pg_sys::TRIGGER_EVENT_ROW != 0;
            if !before || !each_row || !(call.is_insert() || call.is_update()) {
                return Err(Error::NotABeforeRowTrigger);
            }
            Ok(call)
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

    fn operation(&self) -> u32 {
        // SAFETY: valid, as the struct says; so in all the functions below.
        unsafe { (*self.data).tg_event & pg_sys::TRIGGER_EVENT_OPMASK }
    }

    /// The row that is about to be stored.
    pub fn row(&self) -> pg_sys::HeapTuple {
        // SAFETY: as above.
        unsafe {
            if self.is_update() { (*self.data).tg_newtuple } else { (*self.data).tg_trigtuple }
        }
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
