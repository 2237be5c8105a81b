//! What `import` and `require` can name: one file for each module.

mod crypto;
mod jsonwebtoken;
mod url;
mod zlib;

use rquickjs::function::FuncArg;
use rquickjs::object::Property;
use rquickjs::{Ctx, Exception, Function, Object, Result, Value};

/// A module and what makes it when it is first required.
struct Module {
    name: &'static str,
    make: for<'js> fn(&Ctx<'js>) -> Result<Object<'js>>,
}

const MODULES: [Module; 7] = [
    Module { name: "@posthog/plugin-scaffold", make: scaffold },
    Module { name: "buffer", make: buffer },
    Module { name: "crypto", make: crypto::build },
    Module { name: "jsonwebtoken", make: jsonwebtoken::build },
    Module { name: "node-fetch", make: node_fetch },
    Module { name: "url", make: url::build },
    Module { name: "zlib", make: zlib::build },
];

/// Every module a plugin may name. The transpiler refuses others at install.
pub const KNOWN_MODULES: &[&str] = &{
    let mut names = [""; MODULES.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = MODULES[index].name;
        index += 1;
    }
    names
};

/// The global `require`. Literal names were checked at install; here a computed name is.
pub(crate) fn require<'js>(ctx: &Ctx<'js>) -> Result<Function<'js>> {
    let require = Function::new(
        ctx.clone(),
        |ctx: Ctx<'js>, FuncArg(require): FuncArg<Object<'js>>, name: Value<'js>| {
            let name = match name.as_string() {
                Some(name) => name.to_string()?,
                None => String::new(),
            };
            let cache: Object<'js> = require.get("cache")?;
            if let Some(made) = cache.get::<_, Option<Value<'js>>>(name.as_str())? {
                return Ok(made);
            }
            let Some(module) = MODULES.iter().find(|module| module.name == name) else {
                let known = KNOWN_MODULES.join(", ");
                let message = format!("there is no module \"{name}\"; known are: {known}");
                return Err(Exception::throw_message(&ctx, &message));
            };
            let made = (module.make)(&ctx)?.into_value();
            cache.set(name, made.clone())?;
            Ok(made)
        },
    )?
    .with_name("require")?;
    let cache = Object::new(ctx.clone())?;
    cache.set_prototype(None)?;
    require.prop("cache", Property::from(cache))?;
    Ok(require)
}

/// `@posthog/plugin-scaffold`: types, and the error that asks for a retry.
fn scaffold<'js>(ctx: &Ctx<'js>) -> Result<Object<'js>> {
    globals_as_module(ctx, &["RetryError"])
}

/// `buffer`: what Node's has that is not about files.
fn buffer<'js>(ctx: &Ctx<'js>) -> Result<Object<'js>> {
    globals_as_module(ctx, &["Buffer", "atob", "btoa"])
}

/// `node-fetch`: the global `fetch`, as in PostHog. It has the classes as properties.
fn node_fetch<'js>(ctx: &Ctx<'js>) -> Result<Object<'js>> {
    ctx.globals().get("fetch")
}

/// A module that exports globals.
fn globals_as_module<'js>(ctx: &Ctx<'js>, names: &[&str]) -> Result<Object<'js>> {
    let module = Object::new(ctx.clone())?;
    for name in names {
        module.set(*name, ctx.globals().get::<_, Value<'js>>(*name)?)?;
    }
    Ok(module)
}
