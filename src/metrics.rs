//! What plugins measure: joined in memory, and written with the statistics.

use std::cell::RefCell;
use std::collections::HashMap;

use engine::Metric;

thread_local! {
    static VALUES: RefCell<HashMap<(i32, Metric), f64>> = RefCell::default();
}

/// Takes a value of a config's metric.
pub fn measure(config_id: i32, metric: &Metric, value: f64) {
    VALUES.with_borrow_mut(|values| {
        let kind = metric.kind;
        let held = values.entry((config_id, metric.clone())).or_insert_with(|| kind.nothing());
        *held = kind.join(*held, value);
    });
}

/// What was measured since the last [`clear`].
pub fn measured() -> Vec<(i32, Metric, f64)> {
    VALUES.with_borrow(|values| {
        values.iter().map(|((config, metric), value)| (*config, metric.clone(), *value)).collect()
    })
}

/// What was measured is written, or not wanted.
pub fn clear() {
    VALUES.with_borrow_mut(HashMap::clear);
}
