//! A host that remembers what plugins log, and an engine with one plugin.
#![allow(dead_code)] // Each test file uses its own part of this.
#![allow(clippy::unwrap_used)] // A panic here is the report of a test.

pub mod apart;
pub mod sky;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use engine::{Engine, Host, Limits, LogLine, Outcome, Program, Verdict};

#[derive(Default)]
pub struct TestHost {
    pub lines: RefCell<Vec<String>>,
    /// After this many polls the host asks to stop.
    pub polls_left: Cell<Option<u32>>,
}

impl Host for TestHost {
    fn interrupted(&self) -> bool {
        match self.polls_left.get() {
            Some(0) => true,
            Some(left) => {
                self.polls_left.set(Some(left - 1));
                false
            }
            None => false,
        }
    }

    fn log(&self, line: LogLine<'_>) {
        self.lines.borrow_mut().push(format!("{} {}", line.level, line.message));
    }
}

pub struct Bench {
    pub engine: Engine,
    pub host: Rc<TestHost>,
}

impl Bench {
    pub fn new() -> Self {
        Bench::with_limits(Limits::default())
    }

    pub fn with_limits(limits: Limits) -> Self {
        let host = Rc::new(TestHost::default());
        let mut engine = Engine::new(host.clone());
        engine.set_limits(limits);
        Bench { engine, host }
    }

    pub fn run(&mut self, program: &Program, event: &str) -> Outcome {
        self.engine.process_event(&Rc::new(program.clone()), &to_jsonb(event))
    }

    /// The event after the plugin, as JSON; `None` when it is discarded. Panics on failure.
    pub fn process(&mut self, script: &str, event: &str) -> Option<serde_json::Value> {
        let outcome = self.run(&program(1, script), event);
        assert_eq!(outcome.failure, None, "{script}");
        after(&outcome, event)
    }

    pub fn lines(&self) -> Vec<String> {
        self.host.lines.borrow().clone()
    }
}

pub fn program(id: i32, script: &str) -> Program {
    Program {
        id,
        plugin: format!("plugin-{id}"),
        title: format!("Plugin {id}"),
        team_id: None,
        script_name: format!("plugin-{id}/index.js"),
        script: script.to_owned(),
        config: "{}".to_owned(),
        secrets: Vec::new(),
        attachments: Vec::new(),
    }
}

pub fn after(outcome: &Outcome, before: &str) -> Option<serde_json::Value> {
    match &outcome.verdict {
        Verdict::Unchanged => Some(serde_json::from_str(before).unwrap()),
        Verdict::Changed(bytes) => Some(to_json(bytes)),
        Verdict::Patched(_) => panic!("the event was whole"),
        Verdict::Discarded => None,
    }
}

pub fn to_jsonb(json: &str) -> Vec<u8> {
    fn write(out: &mut jsonb::Writer, value: &serde_json::Value) -> jsonb::Result<()> {
        match value {
            serde_json::Value::Null => out.null(),
            serde_json::Value::Bool(value) => out.bool(*value),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(integer) => out.number_i64(integer),
                None => out.number_f64(number.as_f64().unwrap()),
            },
            serde_json::Value::String(text) => out.string(text),
            serde_json::Value::Array(array) => {
                out.begin_array()?;
                array.iter().try_for_each(|element| write(out, element))?;
                out.end()
            }
            serde_json::Value::Object(object) => {
                out.begin_object()?;
                for (key, member) in object {
                    out.key(key)?;
                    write(out, member)?;
                }
                out.end()
            }
        }
    }
    let mut out = jsonb::Writer::new();
    write(&mut out, &serde_json::from_str(json).unwrap()).unwrap();
    out.finish().unwrap().to_vec()
}

pub fn to_json(bytes: &[u8]) -> serde_json::Value {
    fn read(value: jsonb::Ref<'_>) -> serde_json::Value {
        match value {
            jsonb::Ref::Null => serde_json::Value::Null,
            jsonb::Ref::Bool(value) => value.into(),
            jsonb::Ref::Number(number) => match number.to_i64() {
                Some(integer) => integer.into(),
                None => number.to_f64().into(),
            },
            jsonb::Ref::String(text) => text.into(),
            jsonb::Ref::Array(array) => {
                array.iter().map(|element| read(element.unwrap())).collect()
            }
            jsonb::Ref::Object(object) => object
                .iter()
                .map(|pair| pair.map(|(key, value)| (key.to_owned(), read(value))).unwrap())
                .collect(),
        }
    }
    read(jsonb::Document::new(bytes).unwrap().root())
}
