//! A host for transpiled scripts: what a backend declares before it evaluates one, on a plain
//! QuickJS, with three modules that record who asked for them.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a panic is the report")]

use rquickjs::context::EvalOptions;
use rquickjs::{CatchResultExt, Context, Ctx, Runtime};
use source::transpile::{Limits, Script, SourceError, transpile};

pub const KNOWN: [&str; 4] = ["crypto", "node-fetch", "@posthog/plugin-scaffold", "url"];

/// The name that stacks give to the script.
pub const SCRIPT: &str = "plugin/7";

const HOST: &str = r#"
    const module = { exports: {} };
    let exports = {};
    globalThis.asked = [];
    globalThis.modules = {
        crypto: { name: "crypto", randomBytes: (n) => n, default: "not the whole" },
        "node-fetch": Object.assign((url) => "fetched " + url, { Response: class Response {} }),
        "@posthog/plugin-scaffold": { RetryError: class RetryError extends Error {} },
        url: { URL: 1, "odd name": 2 },
    };
    globalThis.require = (name) => { asked.push(name); return modules[name]; };
"#;

pub fn script(source: &str) -> Script {
    transpile(source, "index.ts", &KNOWN, &Limits::default()).unwrap_or_else(|error| {
        panic!("{error}\n{:?}\n{source}", error.detail());
    })
}

pub fn refusal(source: &str) -> SourceError {
    match transpile(source, "index.ts", &KNOWN, &Limits::default()) {
        Ok(script) => panic!("accepted:\n{source}\nas:\n{}", script.text),
        Err(error) => error,
    }
}

/// Runs the script, then what microtasks it left, then returns `question` as JSON.
pub fn answer(source: &str, question: &str) -> String {
    let script = script(source);
    let context = Context::full(&Runtime::new().unwrap()).unwrap();
    context.with(|ctx| {
        for (text, name) in [(HOST, "host"), (&script.text, SCRIPT)] {
            evaluate::<()>(&ctx, text, name)
                .unwrap_or_else(|error| panic!("{error}\nin:\n{}", script.text));
        }
        while ctx.execute_pending_job() {}
        let question = format!("String(JSON.stringify({question}))");
        evaluate(&ctx, &question, "question")
            .unwrap_or_else(|error| panic!("{error}\nin:\n{}", script.text))
    })
}

/// The stack of what `source` throws as it is evaluated.
pub fn thrown_stack(source: &str) -> (Script, String) {
    let script = script(source);
    let context = Context::full(&Runtime::new().unwrap()).unwrap();
    let stack = context.with(|ctx| {
        evaluate::<()>(&ctx, HOST, "host").unwrap();
        let options = options(SCRIPT);
        let thrown = ctx.eval_with_options::<(), _>(script.text.as_str(), options).catch(&ctx);
        match thrown.unwrap_err() {
            rquickjs::CaughtError::Exception(exception) => exception.stack().unwrap(),
            other => panic!("{other}"),
        }
    });
    (script, stack)
}

fn evaluate<'js, T: rquickjs::FromJs<'js>>(
    ctx: &Ctx<'js>,
    text: &str,
    name: &str,
) -> Result<T, String> {
    ctx.eval_with_options(text, options(name)).catch(ctx).map_err(|error| error.to_string())
}

fn options(name: &str) -> EvalOptions {
    let mut options = EvalOptions::default();
    options.strict = false;
    options.filename = Some(name.to_owned());
    options
}
