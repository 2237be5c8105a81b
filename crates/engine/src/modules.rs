//! What `import` and `require` can name.

use rquickjs::{Ctx, Exception, Function, Object, Result, Value};

/// Every module a plugin may name. The transpiler refuses others at install.
pub const KNOWN_MODULES: &[&str] = &["@posthog/plugin-scaffold"];

/// The global `require`. Literal names were checked at install; here a computed name is.
pub(crate) fn require<'js>(ctx: &Ctx<'js>) -> Result<Function<'js>> {
    Function::new(ctx.clone(), |ctx: Ctx<'js>, name: Value<'js>| -> Result<Value<'js>> {
        let name = match name.as_string() {
            Some(name) => name.to_string()?,
            None => String::new(),
        };
        match name.as_str() {
            "@posthog/plugin-scaffold" => scaffold(&ctx),
            _ => Err(Exception::throw_message(
                &ctx,
                &format!("there is no module \"{name}\"; known are: {}", KNOWN_MODULES.join(", ")),
            )),
        }
    })?
    .with_name("require")
}

/// `@posthog/plugin-scaffold`: types, and the error that asks for a retry.
fn scaffold<'js>(ctx: &Ctx<'js>) -> Result<Value<'js>> {
    let module = Object::new(ctx.clone())?;
    let retry_error: Value<'js> = ctx.globals().get("RetryError")?;
    module.set("RetryError", retry_error)?;
    Ok(module.into_value())
}
