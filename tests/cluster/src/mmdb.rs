//! Writes MaxMind databases: as many IPv4 networks as a test wants, each with a record in JSON.

use serde_json::{Value, json};

/// A database with these networks, address and length of the prefix, and their records.
pub fn database(networks: &[([u8; 4], u8, Value)]) -> Vec<u8> {
    let mut data = Vec::new();
    // A node has a left and a right side: another node, or what is found there.
    let mut nodes = vec![[None, None]];
    for (address, length, record) in networks {
        let mut node = 0;
        let bits = u32::from_be_bytes(*address);
        for bit in 0..u32::from(*length) {
            let side = (bits >> (31 - bit) & 1) as usize;
            if bit + 1 == u32::from(*length) {
                nodes[node][side] = Some(Side::Data(data.len()));
            } else if let Some(Side::Node(next)) = nodes[node][side] {
                node = next;
            } else {
                nodes.push([None, None]);
                nodes[node][side] = Some(Side::Node(nodes.len() - 1));
                node = nodes.len() - 1;
            }
        }
        encode(record, &mut data);
    }
    let count = nodes.len();
    let mut file = Vec::new();
    for side in nodes.into_iter().flatten() {
        let number = match side {
            None => count,
            Some(Side::Node(node)) => node,
            Some(Side::Data(at)) => count + 16 + at,
        };
        file.extend(&(number as u32).to_be_bytes());
    }
    file.extend([0; 16]);
    file.extend(data);
    file.extend(b"\xAB\xCD\xEFMaxMind.com");
    // Readers insist on the width of each of these.
    let numbers = [
        ("binary_format_major_version", U16, 2),
        ("binary_format_minor_version", U16, 0),
        ("build_epoch", U64, 1_700_000_000),
        ("ip_version", U16, 4),
        ("node_count", U32, count as u64),
        ("record_size", U16, 32),
    ];
    let others = [
        ("database_type", json!("Test-City")),
        ("description", json!({"en": "Test"})),
        ("languages", json!(["en"])),
    ];
    control(7, numbers.len() + others.len(), &mut file);
    for (name, width, value) in numbers {
        encode(&json!(name), &mut file);
        number(width, value, &mut file);
    }
    for (name, value) in others {
        encode(&json!(name), &mut file);
        encode(&value, &mut file);
    }
    file
}

/// The kinds of whole numbers, by their widest value.
const U16: u8 = 5;
const U32: u8 = 6;
const U64: u8 = 9;

#[derive(Clone, Copy)]
enum Side {
    Node(usize),
    Data(usize),
}

fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::String(text) => {
            control(2, text.len(), out);
            out.extend(text.as_bytes());
        }
        Value::Number(value) => match value.as_u64() {
            Some(value) => number(if value >> 32 > 0 { U64 } else { U32 }, value, out),
            None => {
                control(3, 8, out);
                out.extend(value.as_f64().unwrap().to_be_bytes());
            }
        },
        Value::Object(members) => {
            control(7, members.len(), out);
            for (key, value) in members {
                encode(&Value::from(key.as_str()), out);
                encode(value, out);
            }
        }
        Value::Array(elements) => {
            control(11, elements.len(), out);
            elements.iter().for_each(|element| encode(element, out));
        }
        Value::Bool(value) => control(14, usize::from(*value), out),
        Value::Null => panic!("there is no null in such a database"),
    }
}

fn number(kind: u8, value: u64, out: &mut Vec<u8>) {
    let bytes = value.to_be_bytes();
    let skipped = bytes.iter().take_while(|byte| **byte == 0).count();
    control(kind, 8 - skipped, out);
    out.extend(&bytes[skipped..]);
}

/// The kind and the length of what follows.
fn control(kind: u8, length: usize, out: &mut Vec<u8>) {
    let (short, rest) = match length {
        0..29 => (length as u8, None),
        _ => (29, Some((length - 29) as u8)),
    };
    assert!(length < 285, "longer values are not for tests");
    if kind > 7 {
        out.extend([short, kind - 7]);
    } else {
        out.push(kind << 5 | short);
    }
    out.extend(rest);
}
