//! What the scripts of `meta` call: texts and numbers in, one question to the host, its answer out.

use std::cell::Cell;
use std::rc::Rc;

use rquickjs::function::Opt;
use rquickjs::{
    Array, Ctx, Error, Exception, Function, IntoJs, Object, Result, String as JsString, Value,
};

use crate::globals::{pay, with_utf8};
use crate::host::{Host, Task};
use crate::machine::Course;
use crate::program::Program;
use crate::store::{Action, LARGEST_VALUE, Operation, Place, Refusal, Reply};

/// PostHog's column was that wide.
const LONGEST_STORAGE_KEY: usize = 200;

/// In bytes; an index of PostgreSQL takes 2,700 of them.
const LONGEST_CACHE_KEY: usize = 1024;

/// Deeper JSON would not get past PostgreSQL's own parser in every session.
const DEEPEST_JSON: usize = 512;

/// A number of JavaScript's has 25 characters at most.
const LONGEST_NUMBER: usize = 64;

const TOO_LONG: &str = "54000"; // program_limit_exceeded
const BAD_CHARACTER: &str = "22021"; // character_not_in_repertoire
const BAD_ARGUMENT: &str = "22023"; // invalid_parameter_value

/// A question costs as much as going through that many bytes, whatever the answer: a plugin that does
/// nothing but ask is asked to stop in time.
const BYTES_PER_QUESTION: usize = 1024;

/// `operate(action, key, first, second)`
pub(super) fn operate<'js>(
    ctx: &Ctx<'js>,
    host: &Rc<dyn Host>,
    program: &Rc<Program>,
    place: Place,
) -> Result<Function<'js>> {
    let (host, program) = (host.clone(), program.clone());
    let operate = move |ctx: Ctx<'js>,
                        name: String,
                        key: JsString<'js>,
                        first: Opt<Value<'js>>,
                        second: Opt<Value<'js>>| {
        pay(&ctx, BYTES_PER_QUESTION)?;
        let key = plain(key)?;
        check_key(place, &key).map_err(|refusal| throw(&ctx, refusal))?;
        let operation = Operation { place, key, action: action(&ctx, &name, first.0, second.0)? };
        match host.store(&program, operation) {
            Ok(reply) => answer(&ctx, reply),
            Err(refusal) => Err(throw(&ctx, refusal)),
        }
    };
    Function::new(ctx.clone(), operate)
}

/// The arguments are what our own scripts made of the plugin's.
fn action<'js>(
    ctx: &Ctx<'js>,
    name: &str,
    first: Option<Value<'js>>,
    second: Option<Value<'js>>,
) -> Result<Action> {
    let number = |value: &Option<Value<'js>>| value.as_ref().and_then(Value::as_number);
    let needed = |value: &Option<Value<'js>>| number(value).ok_or(Error::Unknown);
    let string = |value: Option<Value<'js>>| {
        value.and_then(Value::into_string).ok_or(Error::Unknown).and_then(plain)
    };
    Ok(match name {
        "get" => Action::Get,
        "set" => {
            let value = string(first)?;
            if value.contains('\0') {
                let message = "a value that is no JSON cannot have the character U+0000";
                return Err(throw(ctx, Refusal::new(BAD_CHARACTER, message)));
            }
            Action::Set { value, seconds: number(&second) }
        }
        "del" => Action::Delete,
        "increment" => Action::Increment(needed(&first)?),
        "incr" => Action::CountUp,
        "init" => Action::Begin(needed(&first)?),
        "expire" => Action::Expire(needed(&first)?),
        "lpush" => {
            let list = first.and_then(Value::into_array).ok_or(Error::Unknown)?;
            let mut bytes = 0;
            let mut elements = Vec::with_capacity(list.len());
            for element in list.iter::<JsString<'js>>() {
                let element = plain(element?)?;
                bytes += element.len();
                // The limit of a list, before all of it is copied.
                if bytes > LARGEST_VALUE {
                    return Err(throw(ctx, Refusal::new(TOO_LONG, "the elements are too long")));
                }
                elements.push(element);
            }
            Action::Push(elements)
        }
        "lrange" => Action::Range(needed(&first)?, needed(&second)?),
        "llen" => Action::Length,
        "lpop" => Action::Pop(needed(&first)?),
        "lrem" => Action::Remove(needed(&first)?, string(second)?),
        _ => return Err(Error::Unknown),
    })
}

fn answer<'js>(ctx: &Ctx<'js>, reply: Reply) -> Result<Value<'js>> {
    match reply {
        Reply::Nothing | Reply::Missing => Ok(Value::new_undefined(ctx.clone())),
        Reply::Text(text) => {
            pay(ctx, text.len())?;
            text.into_js(ctx)
        }
        Reply::Number(number) => number.into_js(ctx),
        Reply::Bool(value) => value.into_js(ctx),
        Reply::List(list) => {
            let array = Array::new(ctx.clone())?;
            for (place, element) in list.into_iter().enumerate() {
                pay(ctx, element.len())?;
                array.set(place, element)?;
            }
            array.into_js(ctx)
        }
    }
}

/// `enqueue(name, payload, milliseconds)`; no payload is null
pub(super) fn enqueue<'js>(
    ctx: &Ctx<'js>,
    host: &Rc<dyn Host>,
    program: &Rc<Program>,
    course: &Rc<Cell<Course>>,
) -> Result<Function<'js>> {
    let (host, program, course) = (host.clone(), program.clone(), course.clone());
    let enqueue = move |ctx: Ctx<'js>, name: JsString<'js>, payload: Value<'js>, time: f64| {
        let name = plain(name)?;
        if name.len() > LONGEST_CACHE_KEY || name.contains('\0') {
            let refusal = Refusal::new(BAD_ARGUMENT, "this cannot be the name of a job");
            return Err(throw(&ctx, refusal));
        }
        // JavaScript's own dates end there.
        let run_at = (time.clamp(0.0, 8.64e15) * 1000.0) as i64;
        let payload = json(&ctx, payload)?;
        let payload = payload.unwrap_or_else(|| "null".to_owned());
        host.leave(&program, Task::Job { name, payload, run_at }, course.get().cause)
            .map_err(|refusal| throw(&ctx, refusal))
    };
    Function::new(ctx.clone(), enqueue)
}

/// `leave(event)`
pub(crate) fn leave<'js>(
    ctx: &Ctx<'js>,
    host: &Rc<dyn Host>,
    program: &Rc<Program>,
    course: &Rc<Cell<Course>>,
) -> Result<Function<'js>> {
    let (host, program, course) = (host.clone(), program.clone(), course.clone());
    let leave = move |ctx: Ctx<'js>, event: Object<'js>| {
        let Some(event) = json(&ctx, event.into_value())? else { return Ok(()) };
        host.leave(&program, Task::Event(event), course.get().cause)
            .map_err(|refusal| throw(&ctx, refusal))
    };
    Function::new(ctx.clone(), leave)
}

/// `locate(address)`
pub(super) fn locate<'js>(ctx: &Ctx<'js>, host: &Rc<dyn Host>) -> Result<Function<'js>> {
    let host = host.clone();
    let locate = move |ctx: Ctx<'js>, address: JsString<'js>| {
        pay(&ctx, BYTES_PER_QUESTION)?;
        match host.locate(&plain(address)?) {
            Ok(found) => found.map_or(Ok(Value::new_undefined(ctx.clone())), |f| f.into_js(&ctx)),
            Err(refusal) => Err(throw(&ctx, refusal)),
        }
    };
    Function::new(ctx.clone(), locate)
}

/// A string as text, lone surrogates replaced.
fn plain(text: JsString<'_>) -> Result<String> {
    with_utf8(text, str::to_owned)
}

fn check_key(place: Place, key: &str) -> std::result::Result<(), Refusal> {
    let too_long = match place {
        Place::Storage => key.chars().count() > LONGEST_STORAGE_KEY,
        Place::Cache => key.len() > LONGEST_CACHE_KEY,
    };
    if too_long {
        let limit = match place {
            Place::Storage => format!("{LONGEST_STORAGE_KEY} characters"),
            Place::Cache => format!("{LONGEST_CACHE_KEY} bytes"),
        };
        return Err(Refusal::new(TOO_LONG, format!("a key can have {limit} at most")));
    }
    if key.contains('\0') {
        return Err(Refusal::new(BAD_CHARACTER, "a key cannot have the character U+0000"));
    }
    Ok(())
}

/// A value as JSON that jsonb can hold; none for what has none. Written by QuickJS itself, and not by
/// the `JSON.stringify` that the plugin may have replaced: what is no JSON would only be noticed at the
/// end of the transaction, and end that.
fn json<'js>(ctx: &Ctx<'js>, value: Value<'js>) -> Result<Option<String>> {
    let Some(text) = ctx.json_stringify(value)? else { return Ok(None) };
    let text = plain(text)?;
    pay(ctx, text.len() + BYTES_PER_QUESTION)?;
    let refused = |what: &str| {
        let message = format!("what is left for later {what} at most");
        Err(throw(ctx, Refusal::new(TOO_LONG, message)))
    };
    if text.len() > LARGEST_VALUE {
        return refused(&format!("can have {LARGEST_VALUE} bytes"));
    }
    match for_jsonb(&text) {
        Ok(text) => Ok(Some(text)),
        Err(Unfit::TooDeep) => refused(&format!("can nest {DEEPEST_JSON} levels")),
        Err(Unfit::TooLarge) => refused("can have numbers of 1.8e308"),
    }
}

/// Why something cannot be jsonb.
#[derive(Debug, PartialEq, Eq)]
enum Unfit {
    TooDeep,
    /// A number: `JSON.rawJSON` lets a plugin write one as it likes.
    TooLarge,
}

/// The JSON with U+FFFD where there are U+0000 or half a pair of surrogates. A surrogate is escaped
/// only where it is alone, but by `JSON.rawJSON`.
fn for_jsonb(text: &str) -> std::result::Result<String, Unfit> {
    let mut out = String::with_capacity(text.len());
    let (mut depth, mut quoted) = (0usize, false);
    let mut rest = text;
    while let Some(at) = rest.find(['"', '\\', '[', ']', '{', '}']) {
        let (before, tail) = rest.split_at(at);
        if !quoted {
            check_numbers(before)?;
        }
        out.push_str(before);
        let taken = match (tail.as_bytes().first(), quoted) {
            (Some(b'\\'), _) => {
                if has_no_character(tail.as_bytes()) {
                    out.push('\u{FFFD}');
                    6
                } else {
                    out.push_str(tail.get(..2).unwrap_or_default());
                    2
                }
            }
            (Some(b'"'), _) => {
                quoted = !quoted;
                out.push('"');
                1
            }
            (Some(bracket), inside) => {
                if !inside {
                    match bracket {
                        b'[' | b'{' => depth += 1,
                        _ => depth = depth.saturating_sub(1),
                    }
                    if depth > DEEPEST_JSON {
                        return Err(Unfit::TooDeep);
                    }
                }
                out.push(char::from(*bracket));
                1
            }
            (None, _) => break,
        };
        rest = tail.get(taken..).unwrap_or_default();
    }
    check_numbers(rest)?;
    out.push_str(rest);
    Ok(out)
}

/// Whether an escape begins there that stands for nothing jsonb has.
fn has_no_character(escape: &[u8]) -> bool {
    matches!(
        escape,
        [b'\\', b'u', b'0', b'0', b'0', b'0', ..]
            | [b'\\', b'u', b'd' | b'D', b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F', _, _, ..]
    )
}

/// What is between strings and brackets: numbers and names, with commas and colons.
fn check_numbers(between: &str) -> std::result::Result<(), Unfit> {
    let is_number = |word: &&str| word.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    let fits = |word: &str| {
        word.len() <= LONGEST_NUMBER && word.parse::<f64>().is_ok_and(|number| number.is_finite())
    };
    let mut numbers = between.split([',', ':', ' ', '\t', '\n', '\r']).filter(is_number);
    if numbers.all(fits) { Ok(()) } else { Err(Unfit::TooLarge) }
}

/// The refusal as the exception that is pending.
pub(super) fn throw(ctx: &Ctx<'_>, refusal: Refusal) -> Error {
    let thrown = Exception::from_message(ctx.clone(), &refusal.message).and_then(|error| {
        error.as_object().set("code", refusal.code)?;
        Ok(ctx.throw(error.into_value()))
    });
    thrown.unwrap_or_else(|error| error)
}

#[cfg(test)]
mod tests {
    use super::{Unfit, for_jsonb};

    #[test]
    fn what_jsonb_cannot_hold_is_replaced_and_nothing_else() {
        let text = r#"{"a\\u0000":"\u0000\uD83d\\ud83d\"\u0001[","b":[{"é":"\n"}]}"#;
        let expected =
            "{\"a\\\\u0000\":\"\u{FFFD}\u{FFFD}\\\\ud83d\\\"\\u0001[\",\"b\":[{\"é\":\"\\n\"}]}";
        assert_eq!(for_jsonb(text).as_deref(), Ok(expected));
    }

    #[test]
    fn depth_is_limited() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(for_jsonb(&nested(512)).is_ok());
        assert_eq!(for_jsonb(&nested(513)), Err(Unfit::TooDeep));
        assert!(for_jsonb(&format!("\"{}\"", "[".repeat(600))).is_ok());
    }

    #[test]
    fn numbers_are_those_of_javascript() {
        for text in
            ["-0", "1.7976931348623157e308", r#"[5e-324,true,{"1e999":-1.5e+3}]"#, r#""1e999""#]
        {
            assert!(for_jsonb(text).is_ok(), "{text}");
        }
        let long = format!("[{}]", "1".repeat(65));
        for text in ["1e999", "[1, -1e400]", r#"{"a":1e309}"#, &long] {
            assert_eq!(for_jsonb(text), Err(Unfit::TooLarge), "{text}");
        }
    }
}
