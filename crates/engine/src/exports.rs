//! What a script exports, and where PostHog looks for it: `exports`, `exports.default`,
//! `module.exports`; the global object only if none of them exports anything.

use std::collections::BTreeMap;

use rquickjs::{Atom, Ctx, Function, Object, Persistent, Result, Value};

use crate::globals::with_utf8;
use crate::value::is_falsy;

/// A function that is kept between calls.
pub(crate) type Kept = Persistent<Function<'static>>;

/// More jobs or schedules would be a mistake; what is beyond is not found.
const MOST_TASKS: usize = 1000;

/// As long as the name of a job can be where one is left for later.
const LONGEST_NAME: usize = 1024;

/// The objects that are searched, in order.
pub(crate) struct Exports<'js>(Vec<Object<'js>>);

impl<'js> Exports<'js> {
    /// `found` holds what the script's `exports` and `module.exports` have become.
    pub(crate) fn of(ctx: &Ctx<'js>, found: Value<'js>) -> Result<Self> {
        let found = found.into_object().ok_or(rquickjs::Error::Unknown)?;
        let exports: Value<'js> = found.get("exports")?;
        let default: Value<'js> = match exports.as_object() {
            Some(exports) => exports.get("default")?,
            None => Value::new_undefined(ctx.clone()),
        };
        let module: Value<'js> = found.get("module")?;
        let mut places: Vec<Object<'js>> = [exports, default, module]
            .into_iter()
            .filter(|place| place.is_object() && !place.is_function())
            .filter_map(|place| place.into_object())
            .collect();
        if places.iter().all(|place| place.keys::<String>().next().is_none()) {
            places.push(ctx.globals());
        }
        Ok(Exports(places))
    }

    /// The first truthy property of that name, if it is an object.
    pub(crate) fn object(&self, name: &str) -> Result<Option<Object<'js>>> {
        for place in &self.0 {
            let found: Value<'js> = place.get(name)?;
            if !is_falsy(&found) {
                return Ok(found.into_object());
            }
        }
        Ok(None)
    }

    /// The first truthy property of that name, if it is a function.
    pub(crate) fn function(&self, name: &str) -> Result<Option<Kept>> {
        let found = self.object(name)?;
        Ok(found.and_then(|found| found.into_value().into_function()).map(keep))
    }

    /// The members of every `jobs`.
    pub(crate) fn jobs(&self) -> Result<BTreeMap<String, Kept>> {
        let mut jobs = BTreeMap::new();
        for place in &self.0 {
            let found: Value<'js> = place.get("jobs")?;
            if let Some(found) = found.into_object() {
                gather(&mut jobs, &found, |_| true)?;
            }
        }
        Ok(jobs)
    }

    /// Everything that is called `runEvery…`.
    pub(crate) fn schedules(&self) -> Result<BTreeMap<String, Kept>> {
        let mut schedules = BTreeMap::new();
        for place in &self.0 {
            gather(&mut schedules, place, |name| name.starts_with("runEvery"))?;
        }
        Ok(schedules)
    }
}

/// Adds the functions with such names, but for those that an earlier place has.
fn gather<'js>(
    found: &mut BTreeMap<String, Kept>,
    place: &Object<'js>,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<()> {
    for name in place.keys::<Atom<'js>>() {
        let name = with_utf8(name?.to_js_string()?, str::to_owned)?;
        let is_storable = name.len() <= LONGEST_NAME && !name.contains('\0');
        if !is_storable || !is_wanted(&name) || found.contains_key(&name) {
            continue;
        }
        if found.len() >= MOST_TASKS {
            break;
        }
        let member: Value<'js> = place.get(name.as_str())?;
        if let Some(function) = member.into_function() {
            found.insert(name, keep(function));
        }
    }
    Ok(())
}

fn keep(function: Function<'_>) -> Kept {
    let ctx = function.ctx().clone();
    Persistent::save(&ctx, function)
}
