//! A bulk load: staged rows pass the plugins before they are stored, all of them by one INSERT of the
//! caller's, and the trigger then lets them by.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CString;

use pgrx::pg_sys;
use pgrx::prelude::*;

use super::call::Call;
use super::{event_column, process};
use crate::catalog::staging::{self, Load};
use crate::error::{Error, Result};

/// What became of the staged rows.
pub struct Ingested {
    pub stored: i64,
    /// By plugins.
    pub discarded: i64,
}

/// As many rows are in memory at a time.
const FETCHED: i64 = 1000;

/// Stores the rows of the staging table, as the plugins leave them.
pub fn ingest(events_table: pg_sys::Oid, staging: pg_sys::Oid) -> Result<Ingested> {
    // Made under a search_path of its own; what it says then runs under the caller's, as its
    // triggers and defaults expect it.
    let load = staging::plan(events_table, staging)?;
    Spi::connect_mut(|_| {
        let events = Events::open(events_table)?;
        let rows = Rows::new();
        let discarded = events.process(&load, &rows)?;
        let stored = events.store(&load, &rows)?;
        Ok(Ingested { stored, discarded })
    })
}

/// The events table, open and locked as for an INSERT, and the trigger that it is attached by.
pub struct Events {
    relation: pg_sys::Relation,
    trigger: *mut pg_sys::Trigger,
}

impl Events {
    pub fn open(id: pg_sys::Oid) -> Result<Self> {
        // SAFETY: the caller may insert into the table. The copy outlives what may become of the
        // cached triggers meanwhile.
        unsafe {
            let relation = pg_sys::table_open(id, pg_sys::RowExclusiveLock as i32);
            let triggers = pg_sys::CopyTriggerDesc((*relation).trigdesc);
            let mut events = Events { relation, trigger: std::ptr::null_mut() };
            let all = match triggers.as_ref() {
                Some(all) => std::slice::from_raw_parts_mut(all.triggers, all.numtriggers as usize),
                None => &mut [],
            };
            let mut ours = all.iter_mut().filter(|trigger| runs_plugins(trigger));
            let name = || events.call(std::ptr::null_mut(), Call::relation_name);
            events.trigger = match (ours.next(), ours.next()) {
                (Some(trigger), None) => trigger,
                (Some(_), Some(_)) => return Err(Error::AttachedTwice(name())),
                (None, _) => return Err(Error::NotAttached(name())),
            };
            events.call(std::ptr::null_mut(), |call| {
                let is_attachs = (*events.trigger).tgqual.is_null()
                    || call.argument()?.is_some() && event_column::is_tested(call);
                if is_attachs { Ok(()) } else { Err(Error::HasCondition(call.trigger_name())) }
            })?;
            Ok(events)
        }
    }

    /// What the trigger is called with for a row.
    pub fn call<T>(&self, row: pg_sys::HeapTuple, work: impl FnOnce(&Call) -> T) -> T {
        let mut data = pg_sys::TriggerData {
            type_: pg_sys::NodeTag::T_TriggerData,
            tg_event: pg_sys::TRIGGER_EVENT_INSERT
                | pg_sys::TRIGGER_EVENT_BEFORE
                | pg_sys::TRIGGER_EVENT_ROW,
            tg_relation: self.relation,
            tg_trigtuple: row,
            tg_trigger: self.trigger,
            ..Default::default()
        };
        work(&Call::of(&mut data))
    }

    /// Passes the staged rows through the chain. Returns how many were discarded.
    fn process(&self, load: &Load, rows: &Rows) -> Result<i64> {
        let query = CString::new(load.read.as_str()).map_err(|_| Error::NotUtf8)?;
        let mut discarded = 0;
        // SAFETY: SPI is connected; the query has no parameters.
        unsafe {
            let portal = pg_sys::SPI_cursor_open_with_args(
                std::ptr::null(),
                query.as_ptr(),
                0,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                std::ptr::null(),
                false,
                pg_sys::CURSOR_OPT_NO_SCROLL as i32,
            );
            loop {
                pg_sys::SPI_cursor_fetch(portal, true, FETCHED);
                let (fetched, count) = (pg_sys::SPI_tuptable, pg_sys::SPI_processed as usize);
                if count == 0 {
                    break;
                }
                for &staged in std::slice::from_raw_parts((*fetched).vals, count) {
                    pgrx::check_for_interrupts!();
                    discarded +=
                        i64::from(!self.process_one(load, rows, staged, (*fetched).tupdesc)?);
                }
                pg_sys::SPI_freetuptable(fetched);
            }
            pg_sys::SPI_cursor_close(portal);
        }
        Ok(discarded)
    }

    /// Whether the row is to be stored.
    ///
    /// # Safety
    /// `staged` has the columns of `descriptor`, which are the values that `load` names.
    unsafe fn process_one(
        &self,
        load: &Load,
        rows: &Rows,
        staged: pg_sys::HeapTuple,
        descriptor: pg_sys::TupleDesc,
    ) -> Result<bool> {
        // SAFETY: the table is open; there is room for all columns of either side. What is made on
        // the way goes with the context.
        unsafe {
            let columns = (*(*self.relation).rd_att).natts as usize;
            let (mut values, mut nulls) =
                (vec![pg_sys::Datum::null(); columns], vec![true; columns]);
            let before = pg_sys::MemoryContextSwitchTo(rows.memory);
            for (&place, number) in load.places.iter().zip(1..) {
                let mut is_null = true;
                let value = pg_sys::heap_getattr(staged, number, descriptor, &mut is_null);
                if let (Some(to), Some(null)) = (values.get_mut(place), nulls.get_mut(place)) {
                    (*to, *null) = (value, is_null);
                }
            }
            let (values, nulls) = (values.as_mut_ptr(), nulls.as_mut_ptr());
            let row = pg_sys::heap_form_tuple((*self.relation).rd_att, values, nulls);
            let stored = self.call(row, process).map(|row| {
                let is_stored = !row.is_null();
                if is_stored {
                    pg_sys::tuplestore_puttuple(rows.store, row);
                }
                is_stored
            });
            // Also on the way to an error: the context ends before that is told.
            pg_sys::MemoryContextSwitchTo(before);
            pg_sys::MemoryContextReset(rows.memory);
            stored
        }
    }

    /// Inserts the rows as the caller would. Returns how many were stored.
    fn store(&self, load: &Load, rows: &Rows) -> Result<i64> {
        let statement = CString::new(load.store.as_str()).map_err(|_| Error::NotUtf8)?;
        let name = CString::new(staging::ROWS).map_err(|_| Error::NotUtf8)?;
        // SAFETY: SPI is connected, and forgets the relation when it ends; all that it is made of
        // lives as long. It has the columns of the events table.
        unsafe {
            let mut relation = pg_sys::EphemeralNamedRelationData {
                md: pg_sys::EphemeralNamedRelationMetadataData {
                    name: name.as_ptr().cast_mut(),
                    reliddesc: (*self.relation).rd_id,
                    enrtype: pg_sys::EphemeralNameRelationType::ENR_NAMED_TUPLESTORE,
                    enrtuples: pg_sys::tuplestore_tuple_count(rows.store) as f64,
                    ..Default::default()
                },
                reldata: rows.store.cast(),
            };
            pg_sys::SPI_register_relation(&mut relation);
            let passing = Passing::begin((*self.relation).rd_id);
            pg_sys::SPI_execute(statement.as_ptr(), false, 0);
            drop(passing);
            let stored = pg_sys::SPI_processed as i64;
            pg_sys::SPI_unregister_relation(name.as_ptr());
            Ok(stored)
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        // The end of a transaction that fails does that itself.
        if !std::thread::panicking() {
            // SAFETY: opened by `open`. The lock stays until the end of the transaction.
            unsafe { pg_sys::table_close(self.relation, pg_sys::NoLock as i32) };
        }
    }
}

/// The rows that are to be stored, on disk where they are many, and memory for one at a time. Both
/// end with SPI's own memory.
struct Rows {
    store: *mut pg_sys::Tuplestorestate,
    memory: pg_sys::MemoryContext,
}

impl Rows {
    fn new() -> Self {
        // SAFETY: plain calls; the name is a constant.
        unsafe {
            Rows {
                store: pg_sys::tuplestore_begin_heap(false, false, pg_sys::work_mem),
                memory: pg_sys::AllocSetContextCreateInternal(
                    pg_sys::CurrentMemoryContext,
                    c"posthog_plugins staged row".as_ptr(),
                    pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
                    pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
                    pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
                ),
            }
        }
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: made by `new`, and used by no query any more.
            unsafe {
                pg_sys::tuplestore_end(self.store);
                pg_sys::MemoryContextDelete(self.memory);
            }
        }
    }
}

/// Whether it is one that the rows of an insert here pass.
pub fn runs_plugins(trigger: &pg_sys::Trigger) -> bool {
    let is_for_rows = u32::try_from(trigger.tgtype).is_ok_and(|kind| {
        kind & pg_sys::TRIGGER_TYPE_INSERT != 0 && kind & pg_sys::TRIGGER_TYPE_ROW != 0
    });
    // What fires on a subscriber alone does not fire here, nor does what is disabled.
    let fires = matches!(trigger.tgenabled as u8, pg_sys::TRIGGER_FIRES_ON_ORIGIN | b'A');
    // SAFETY: looks at the catalogs; the function exists, as a trigger has it.
    let is_ours = || unsafe {
        let schema = pg_sys::get_namespace_oid(c"posthog_plugins".as_ptr(), true);
        let name = pg_sys::get_func_name(trigger.tgfoid);
        pg_sys::get_func_namespace(trigger.tgfoid) == schema
            && !name.is_null()
            && std::ffi::CStr::from_ptr(name) == c"process_row"
    };
    is_for_rows && fires && is_ours()
}

/// That processed rows are being stored.
struct Storing {
    table: pg_sys::Oid,
    /// How many triggers the statement is inside of.
    depth: i32,
    /// Whether what is inserted into a table at that depth is the statement's.
    tables: HashMap<pg_sys::Oid, bool>,
}

thread_local! {
    static STORING: RefCell<Vec<Storing>> = const { RefCell::new(Vec::new()) };
}

/// From here to its end, also by an error, the trigger lets the rows of one statement by.
struct Passing;

impl Passing {
    fn begin(table: pg_sys::Oid) -> Self {
        let storing = Storing { table, depth: trigger_depth(), tables: HashMap::new() };
        STORING.with_borrow_mut(|all| all.push(storing));
        Passing
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        STORING.with_borrow_mut(|all| all.pop());
    }
}

/// Whether the row has passed the plugins already. One that another trigger inserts has not.
pub fn has_passed(call: &Call) -> bool {
    STORING.with_borrow_mut(|all| {
        let Some(storing) = all.last_mut() else { return false };
        if !call.is_insert() || trigger_depth() != storing.depth + 1 {
            return false;
        }
        let (table, id) = (storing.table, call.relation_id());
        *storing.tables.entry(id).or_insert_with(|| id == table || is_part_of(id, table))
    })
}

unsafe extern "C-unwind" {
    /// The tables that a partition is part of.
    fn get_partition_ancestors(relation: pg_sys::Oid) -> *mut pg_sys::List;
}

fn is_part_of(partition: pg_sys::Oid, table: pg_sys::Oid) -> bool {
    // SAFETY: a look at the catalogs.
    unsafe {
        let ancestors = pg_sys::ffi::pg_guard_ffi_boundary(|| get_partition_ancestors(partition));
        pg_sys::list_member_oid(ancestors, table)
    }
}

fn trigger_depth() -> i32 {
    // SAFETY: it takes no arguments, and looks at none.
    unsafe { pg_sys::pg_trigger_depth(std::ptr::null_mut()).value() as i32 }
}
