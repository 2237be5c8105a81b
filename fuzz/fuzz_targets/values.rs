//! Any JSON through JavaScript and back: what a plugin does not touch comes back byte for byte.
#![no_main]

use std::cell::RefCell;
use std::rc::Rc;

use engine::{Engine, Host, LogLine, Program, Verdict};
use jsonb::{Result, Writer};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

struct Quiet;

impl Host for Quiet {
    fn interrupted(&self) -> bool {
        false
    }

    fn log(&self, _: LogLine<'_>) {}
}

thread_local! {
    static ENGINE: RefCell<Engine> = RefCell::new(Engine::new(Rc::new(Quiet)));
}

fuzz_target!(|event: &str| {
    let Ok(event) = serde_json::from_str::<Map<String, Value>>(event) else { return };
    let mut out = Writer::new();
    if write(&mut out, &Value::Object(event)).is_err() {
        return;
    }
    let Ok(event) = out.finish() else { return };
    let program = Rc::new(Program {
        id: 1,
        plugin: "copy".into(),
        title: String::new(),
        team_id: None,
        script_name: "copy/index.js".into(),
        script: "exports.processEvent = async event => ({ ...event })".into(),
        config: "{}".into(),
        secrets: Vec::new(),
        attachments: Vec::new(),
    });
    let outcome = ENGINE.with_borrow_mut(|engine| engine.process_event(&program, event));
    assert!(outcome.failure.is_some() || outcome.verdict == Verdict::Unchanged);
});

fn write(out: &mut Writer, value: &Value) -> Result<()> {
    match value {
        Value::Null => out.null(),
        Value::Bool(value) => out.bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => out.number_i64(integer),
            None => out.number_f64(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => out.string(text),
        Value::Array(elements) => {
            out.begin_array()?;
            elements.iter().try_for_each(|element| write(out, element))?;
            out.end()
        }
        Value::Object(members) => {
            out.begin_object()?;
            for (key, member) in members {
                out.key(key)?;
                write(out, member)?;
            }
            out.end()
        }
    }
}
