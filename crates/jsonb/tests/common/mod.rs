//! Between jsonb and `serde_json::Value`, the model that the tests compare with.

#![allow(dead_code)] // each test binary uses its part

use jsonb::{Document, Ref, Result, Writer};
use serde_json::{Map, Value};

pub fn payload(value: &Value) -> Vec<u8> {
    let mut writer = Writer::new();
    write(&mut writer, value).unwrap();
    writer.finish().unwrap().to_vec()
}

pub fn write(writer: &mut Writer, value: &Value) -> Result<()> {
    match value {
        Value::Null => writer.null(),
        Value::Bool(value) => writer.bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => writer.number_i64(integer),
            None => writer.number_f64(number.as_f64().unwrap()),
        },
        Value::String(text) => writer.string(text),
        Value::Array(elements) => {
            writer.begin_array()?;
            elements.iter().try_for_each(|element| write(writer, element))?;
            writer.end()
        }
        Value::Object(pairs) => {
            writer.begin_object()?;
            for (key, value) in pairs {
                writer.key(key)?;
                write(writer, value)?;
            }
            writer.end()
        }
    }
}

/// Reads all of a payload.
pub fn parse(payload: &[u8]) -> Result<Value> {
    read(Document::new(payload)?.root())
}

/// Reads all of a value. Numbers become the model's integers where they are such in `i64`.
pub fn read(value: Ref<'_>) -> Result<Value> {
    Ok(match value {
        Ref::Null => Value::Null,
        Ref::Bool(value) => value.into(),
        Ref::Number(number) => number.to_i64().map_or_else(|| number.to_f64().into(), Value::from),
        Ref::String(text) => text.into(),
        Ref::Array(array) => {
            array.iter().map(|element| read(element?)).collect::<Result<Vec<_>>>()?.into()
        }
        Ref::Object(object) => {
            let pair = |pair: Result<(&str, _)>| {
                let (key, value) = pair?;
                Ok((key.to_owned(), read(value)?))
            };
            object.iter().map(pair).collect::<Result<Map<_, _>>>()?.into()
        }
    })
}

/// The model with its numbers as [`read`] gives them, where 1 and 1.0 are one number.
pub fn normal(value: &Value) -> Value {
    match value {
        Value::Number(number) if number.as_i64().is_none() => {
            let float = number.as_f64().unwrap();
            // jsonb keeps the shortest decimal, which is not the float's own value beyond 2^53.
            float.to_string().parse::<i64>().map_or(float.into(), Value::from)
        }
        Value::Array(elements) => elements.iter().map(normal).collect(),
        Value::Object(pairs) => {
            pairs.iter().map(|(key, value)| (key.clone(), normal(value))).collect()
        }
        other => other.clone(),
    }
}

/// Every value inside `value`, itself first.
pub fn parts(value: Ref<'_>) -> Vec<Ref<'_>> {
    let mut parts = vec![value];
    match value {
        Ref::Array(array) => {
            parts.extend(array.iter().flat_map(|child| self::parts(child.unwrap())))
        }
        Ref::Object(object) => {
            parts.extend(object.iter().flat_map(|pair| self::parts(pair.unwrap().1)))
        }
        _ => {}
    }
    parts
}

/// The payload of a numeric's header words and digits as a root scalar, which no writer would make.
pub fn numeric_payload(header: &[u16], digits: &[i16]) -> Vec<u8> {
    let body: Vec<u8> = header
        .iter()
        .flat_map(|word| word.to_ne_bytes())
        .chain(digits.iter().flat_map(|digit| digit.to_ne_bytes()))
        .collect();
    let size = body.len() as u32 + 4;
    let word = if cfg!(target_endian = "little") { size << 2 } else { size };
    [0x5000_0001, 0x9000_0000 | size, word]
        .into_iter()
        .flat_map(u32::to_ne_bytes)
        .chain(body)
        .collect()
}
