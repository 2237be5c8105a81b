//! What a trigger works on, found out once and kept until the table changes.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use jsonb::Record;
use pgrx::pg_sys;
use pgrx::prelude::*;

use super::call::Call;
use super::column::Column;
use super::{event_column, partition};
use crate::error::Result;

pub struct Target {
    relation: pg_sys::Oid,
    pub form: Form,
    /// Zero-based places of the columns that decide whether a row fits the partition it is in.
    pub partition_key: Vec<usize>,
    /// Writes the events of its rows, if they are made of fields.
    pub record: Record,
    /// How often tables had changed when this was found out.
    changes: u64,
}

/// The two ways in which a row can be an event.
pub enum Form {
    EventColumn { index: usize, domain: Option<pg_sys::Oid> },
    Fields(Fields),
}

/// Columns that are fields.
pub struct Fields {
    /// In the order of jsonb's keys.
    pub columns: Vec<Column>,
    /// `jsonb_populate_record` for this table, where a column needs it.
    pub populate: *mut pg_sys::FmgrInfo,
    /// Writes one value at a time.
    pub one: RefCell<Record>,
    /// The row; kept for its memory.
    pub values: Vec<pg_sys::Datum>,
    pub nulls: Vec<bool>,
    /// Holds what the columns point to.
    _memory: Memory,
}

/// Bigger events give their memory back.
const MOST_KEPT: usize = 1 << 20;

thread_local! {
    /// By trigger; few, so that finding one takes less than hashing. Leaked: at the end of the process the server's memory is gone before this.
    static TARGETS: &'static RefCell<BTreeMap<u32, Target>> =
        Box::leak(Box::new(RefCell::default()));

    static CHANGES: Cell<u64> = const { Cell::new(0) };
}

/// The target of the trigger, from where it is kept or made anew.
pub fn take(call: &Call) -> Result<Target> {
    let kept = TARGETS.with(|targets| targets.borrow_mut().remove(&call.trigger().tgoid.to_u32()));
    match kept {
        Some(target) if target.relation == call.relation_id() => Ok(target),
        _ => Target::new(call),
    }
}

/// Keeps the target, unless something has changed since it was made.
pub fn put_back(call: &Call, mut target: Target) {
    if target.changes != CHANGES.get() {
        return;
    }
    target.record.shrink_to(MOST_KEPT);
    if let Form::Fields(fields) = &mut target.form {
        fields.one.get_mut().shrink_to(MOST_KEPT);
    }
    TARGETS.with(|targets| targets.borrow_mut().insert(call.trigger().tgoid.to_u32(), target));
}

impl Target {
    /// Whether it remembers what composite types look like, each of which is a relation of its own.
    fn keeps_composites(&self) -> bool {
        matches!(&self.form, Form::Fields(fields) if !fields.populate.is_null())
    }

    fn new(call: &Call) -> Result<Self> {
        let changes = CHANGES.get();
        let mut record = Record::default();
        let form = match call.argument()? {
            Some(argument) => {
                let index = event_column::find(call, argument)?;
                let type_id = call.attributes().get(index).map(|column| column.atttypid);
                let domain = type_id.filter(|&type_id| type_id != pg_sys::JSONBOID);
                Form::EventColumn { index, domain }
            }
            None => {
                let fields = Fields::new(call)?;
                record = Record::new(fields.columns.iter().map(|column| column.name.as_str()))?;
                Form::Fields(fields)
            }
        };
        let partition_key = partition::key(call);
        let relation = call.relation_id();
        Ok(Target { relation, form, partition_key, record, changes })
    }
}

impl Fields {
    fn new(call: &Call) -> Result<Self> {
        let memory = Memory::new();
        let descriptor = call.attributes();
        let mut columns = Vec::with_capacity(descriptor.len());
        let within = Within::context(memory.0);
        // SAFETY: looks at the catalogs, and makes what lives as long as the context.
        unsafe {
            for (index, attribute) in descriptor.iter().enumerate() {
                // What a generated column will be is computed after this trigger.
                if !attribute.attisdropped && attribute.attgenerated == 0 {
                    columns.push(Column::new(index, attribute)?);
                }
            }
            let needs_populate = columns.iter().any(Column::is_populated);
            let populate = if needs_populate {
                let row_type = (*(*call.relation()).rd_rel).reltype;
                function_on(pg_sys::F_JSONB_POPULATE_RECORD, row_type)
            } else {
                std::ptr::null_mut()
            };
            drop(within);
            columns.sort_by(|a, b| a.key_order().cmp(&b.key_order()));
            Ok(Fields {
                columns,
                populate,
                one: RefCell::new(Record::new(["value"])?),
                values: vec![pg_sys::Datum::null(); descriptor.len()],
                nulls: vec![true; descriptor.len()],
                _memory: memory,
            })
        }
    }
}

/// A polymorphic function of the server that is called with a value of the type, and with
/// anything else after it. Lives as long as the current memory context.
pub fn function_on(function: u32, type_id: pg_sys::Oid) -> *mut pg_sys::FmgrInfo {
    let function = pg_sys::Oid::from(function);
    // SAFETY: plain calls with a function and a type that exist. The expression is only asked for
    // the type of the first argument.
    unsafe {
        let info = function_info(function);
        let argument = pg_sys::makeNullConst(type_id, -1, pg_sys::InvalidOid);
        let expression = pg_sys::makeFuncExpr(
            function,
            pg_sys::JSONBOID,
            pg_sys::lappend(std::ptr::null_mut(), argument.cast()),
            pg_sys::InvalidOid,
            pg_sys::InvalidOid,
            pg_sys::CoercionForm::COERCE_EXPLICIT_CALL,
        );
        (*info).fn_expr = expression.cast();
        info
    }
}

/// How to call a function. Lives as long as the current memory context.
pub fn function_info(function: pg_sys::Oid) -> *mut pg_sys::FmgrInfo {
    // SAFETY: palloc0 gives zeroed memory of that size, or raises an error.
    unsafe {
        let info = pg_sys::palloc0(size_of::<pg_sys::FmgrInfo>()).cast::<pg_sys::FmgrInfo>();
        pg_sys::fmgr_info_cxt(function, info, pg_sys::CurrentMemoryContext);
        info
    }
}

/// A memory context of one's own.
struct Memory(pg_sys::MemoryContext);

impl Memory {
    fn new() -> Self {
        // SAFETY: the parent lives as long as the process; the name is a constant.
        Memory(unsafe {
            pg_sys::AllocSetContextCreateInternal(
                pg_sys::CacheMemoryContext,
                c"posthog_plugins trigger".as_ptr(),
                pg_sys::ALLOCSET_SMALL_MINSIZE as usize,
                pg_sys::ALLOCSET_SMALL_INITSIZE as usize,
                pg_sys::ALLOCSET_SMALL_MAXSIZE as usize,
            )
        })
    }
}

/// Makes a memory context the current one, until its end: also when an error unwinds, which is not to
/// find a context current that has ended.
struct Within {
    before: pg_sys::MemoryContext,
}

impl Within {
    fn context(context: pg_sys::MemoryContext) -> Self {
        // SAFETY: the context lives longer than this.
        Within { before: unsafe { pg_sys::MemoryContextSwitchTo(context) } }
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        // SAFETY: what was current before is still there.
        unsafe { pg_sys::MemoryContextSwitchTo(self.before) };
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: made by `new`; whoever pointed into it goes along with it.
        unsafe { pg_sys::MemoryContextDelete(self.0) };
    }
}

/// Listens for changes to tables.
pub fn register() {
    // SAFETY: a callback for the life of the process, without an argument.
    unsafe {
        pg_sys::CacheRegisterRelcacheCallback(Some(relation_changed), pg_sys::Datum::from(0));
    }
}

/// `relation` is invalid when PostgreSQL lost track and everything may have changed.
#[pg_guard]
unsafe extern "C-unwind" fn relation_changed(_arg: pg_sys::Datum, relation: pg_sys::Oid) {
    CHANGES.set(CHANGES.get().wrapping_add(1));
    TARGETS.with(|targets| {
        targets.borrow_mut().retain(|_, target| {
            // Those that stay have seen this change.
            target.changes = CHANGES.get();
            relation != pg_sys::InvalidOid
                && target.relation != relation
                && !target.keeps_composites()
        });
    });
}
