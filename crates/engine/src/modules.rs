//! What `import` and `require` can name: one file for each module.

mod crypto;
mod jsonwebtoken;
mod stream;
mod url;
mod util;
mod zlib;

use rquickjs::function::FuncArg;
use rquickjs::object::Property;
use rquickjs::{Ctx, Exception, Function, Object, Result, Value};

use crate::globals::run;

/// A module and what makes it when it is first required.
struct Module {
    name: &'static str,
    /// Node's own modules have another name, with `node:`.
    alias: Option<&'static str>,
    make: Make,
}

/// What makes a module; it gets `require`, for the modules that it needs itself.
enum Make {
    Native(for<'js> fn(&Ctx<'js>, &Function<'js>) -> Result<Object<'js>>),
    /// A function of `require` and of the errors as Node makes them.
    Script(&'static str),
}

const fn ours(name: &'static str, make: Make) -> Module {
    Module { name, alias: None, make }
}

macro_rules! node {
    ($name:literal, $make:expr) => {
        Module { name: $name, alias: Some(concat!("node:", $name)), make: $make }
    };
}

macro_rules! script {
    ($path:literal) => {
        Make::Script(include_str!(concat!("modules/", $path)))
    };
}

const MODULES: [Module; 22] = [
    ours("@posthog/plugin-contrib", script!("plugin_contrib.js")),
    ours("@posthog/plugin-scaffold", Make::Native(scaffold)),
    node!("assert", Make::Native(assert)),
    node!("assert/strict", Make::Native(|_, require| member(require, "assert", "strict"))),
    node!("buffer", script!("buffer.js")),
    node!("crypto", Make::Native(|ctx, _| crypto::build(ctx))),
    node!("events", script!("events.js")),
    ours("generic-pool", script!("generic_pool.js")),
    ours("jsonwebtoken", Make::Native(|ctx, _| jsonwebtoken::build(ctx))),
    ours("node-fetch", Make::Native(node_fetch)),
    node!("path", script!("path.js")),
    node!("path/posix", Make::Native(|_, require| require.call(("path",)))),
    node!("querystring", script!("querystring.js")),
    node!("stream", Make::Native(stream::build)),
    node!("stream/promises", Make::Native(|_, require| member(require, "stream", "promises"))),
    node!("string_decoder", script!("string_decoder.js")),
    node!("timers", script!("timers.js")),
    node!("timers/promises", script!("timers_promises.js")),
    node!("url", Make::Native(|ctx, _| url::build(ctx))),
    node!("util", Make::Native(util::build)),
    node!("util/types", Make::Native(|_, require| member(require, "util", "types"))),
    node!("zlib", Make::Native(zlib::build)),
];

/// Every name by which a plugin may name a module. The transpiler refuses others at install.
pub const KNOWN_MODULES: &[&str] = &{
    let mut names = [""; count_names()];
    let mut next = 0;
    let mut index = 0;
    while index < MODULES.len() {
        names[next] = MODULES[index].name;
        next += 1;
        index += 1;
    }
    index = 0;
    while index < MODULES.len() {
        if let Some(alias) = MODULES[index].alias {
            names[next] = alias;
            next += 1;
        }
        index += 1;
    }
    names
};

const fn count_names() -> usize {
    let mut count = MODULES.len();
    let mut index = 0;
    while index < MODULES.len() {
        if MODULES[index].alias.is_some() {
            count += 1;
        }
        index += 1;
    }
    count
}

/// The global `require`. Literal names were checked at install; here a computed name is.
pub(crate) fn require<'js>(ctx: &Ctx<'js>) -> Result<Function<'js>> {
    let require = Function::new(
        ctx.clone(),
        |ctx: Ctx<'js>, FuncArg(require): FuncArg<Function<'js>>, name: Value<'js>| {
            let name = match name.as_string() {
                Some(name) => name.to_string()?,
                None => String::new(),
            };
            let wanted = |module: &&Module| module.name == name || module.alias == Some(&*name);
            let Some(module) = MODULES.iter().find(wanted) else {
                let known = MODULES.map(|module| module.name).join(", ");
                let message = format!("there is no module \"{name}\"; known are: {known}");
                return Err(Exception::throw_message(&ctx, &message));
            };
            let cache: Object<'js> = require.get("cache")?;
            if let Some(made) = cache.get::<_, Option<Value<'js>>>(module.name)? {
                return Ok(made);
            }
            let made = module.make(&ctx, &require)?.into_value();
            cache.set(module.name, made.clone())?;
            Ok(made)
        },
    )?
    .with_name("require")?;
    let cache = Object::new(ctx.clone())?;
    cache.set_prototype(None)?;
    require.prop("cache", Property::from(cache))?;
    Ok(require)
}

impl Module {
    fn make<'js>(&self, ctx: &Ctx<'js>, require: &Function<'js>) -> Result<Object<'js>> {
        match self.make {
            Make::Native(make) => make(ctx, require),
            Make::Script(source) => {
                let make: Function<'js> = run(ctx, source)?;
                make.call((require.clone(), errors(ctx)?))
            }
        }
    }
}

/// What makes errors as Node's own functions throw them.
fn errors<'js>(ctx: &Ctx<'js>) -> Result<Value<'js>> {
    run(ctx, include_str!("globals/node_errors.js"))
}

/// A module that is a member of another.
fn member<'js>(require: &Function<'js>, module: &str, name: &str) -> Result<Object<'js>> {
    require.call::<_, Object<'js>>((module,))?.get(name)
}

/// `@posthog/plugin-scaffold`: types, and the error that asks for a retry.
fn scaffold<'js>(ctx: &Ctx<'js>, _: &Function<'js>) -> Result<Object<'js>> {
    globals_as_module(ctx, &["RetryError"])
}

/// `node-fetch`: the global `fetch`, as in PostHog. It has the classes as properties.
fn node_fetch<'js>(ctx: &Ctx<'js>, _: &Function<'js>) -> Result<Object<'js>> {
    ctx.globals().get("fetch")
}

/// `assert`, which compares as `util` does.
fn assert<'js>(ctx: &Ctx<'js>, require: &Function<'js>) -> Result<Object<'js>> {
    let make: Function<'js> = run(ctx, include_str!("modules/assert.js"))?;
    make.call((require.clone(), errors(ctx)?, util::compare(ctx)?))
}

/// A module that exports globals.
fn globals_as_module<'js>(ctx: &Ctx<'js>, names: &[&str]) -> Result<Object<'js>> {
    let module = Object::new(ctx.clone())?;
    for name in names {
        module.set(*name, ctx.globals().get::<_, Value<'js>>(*name)?)?;
    }
    Ok(module)
}
