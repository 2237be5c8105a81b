//! Lays a finished document out as a payload, from the outside in: the entries of a container get
//! their room first, and are filled in as the data of its children comes to lie behind them.

use std::ops::Range;

use crate::layout::{
    ARRAY_FLAG, Entry, Kind, OBJECT_FLAG, OFFSET_STRIDE, SCALAR_FLAG, WORD, align,
};

/// What a node will be laid out as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A value or key that is bytes already.
    Leaf(Kind),
    Array,
    Object,
    /// Neighbouring children of another document's container. Where any of them is aligned the
    /// first is, so that their data lies here as it lay there.
    Run,
}

/// A value or key of the document, or a run of them. Places are `u32`, enough for what
/// [`crate::Limits`] admits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    form: Form,
    /// The place in the data, or of the first node inside an array or object.
    start: u32,
    /// Bytes of data, or nodes inside.
    size: u32,
    /// Leaves of a run, or children of an array or object, whose runs count as what they hold.
    children: u32,
}

impl Node {
    pub(crate) fn leaf(kind: Kind, start: usize, size: usize) -> Self {
        let (start, size) = (start as u32, size as u32);
        Self { form: Form::Leaf(kind), start, size, children: 0 }
    }

    pub(crate) fn container(form: Form, nodes: Range<usize>, children: usize) -> Self {
        let (start, size) = (nodes.start as u32, nodes.len() as u32);
        Self { form, start, size, children: children as u32 }
    }

    /// At `start` in the data stand the entries of so many leaves, each with its length, padding
    /// included; behind them `size` bytes, which begin with those of the first leaf.
    pub(crate) fn run(leaves: usize, start: usize, size: usize) -> Self {
        let (start, size) = (start as u32, size as u32);
        Self { form: Form::Run, start, size, children: leaves as u32 }
    }

    pub(crate) fn is_run(&self) -> bool {
        self.form == Form::Run
    }

    /// The data of a leaf.
    pub(crate) fn bytes<'d>(&self, data: &'d [u8]) -> &'d [u8] {
        let start = self.start as usize;
        &data[start..start + self.size as usize]
    }

    /// The leaves of a run.
    pub(crate) fn leaves<'d>(&self, data: &'d [u8]) -> Leaves<'d> {
        let (entries, _) = self.entries_and_bytes(data);
        Leaves { entries: entries.iter(), base: self.start as usize + entries.len() * WORD, end: 0 }
    }

    /// The first of a run of keys, or a key itself.
    pub(crate) fn first_key<'d>(&self, data: &'d [u8]) -> &'d [u8] {
        let first = if self.is_run() { self.leaves(data).next() } else { None };
        first.unwrap_or(*self).bytes(data)
    }

    /// The last of a run of keys, or a key itself. Keys have no padding.
    pub(crate) fn last_key<'d>(&self, data: &'d [u8]) -> &'d [u8] {
        if !self.is_run() {
            return self.bytes(data);
        }
        let (entries, bytes) = self.entries_and_bytes(data);
        let length = entries.last().map_or(0, |entry| Entry::of(*entry).length_or_offset());
        &bytes[bytes.len() - length..]
    }

    fn entries_and_bytes<'d>(&self, data: &'d [u8]) -> (&'d [[u8; WORD]], &'d [u8]) {
        let (entries, rest) = data[self.start as usize..].split_at(self.children as usize * WORD);
        (entries.as_chunks().0, &rest[..self.size as usize])
    }
}

/// Finds the leaves of a run.
pub(crate) struct Leaves<'d> {
    entries: std::slice::Iter<'d, [u8; WORD]>,
    /// Where the bytes of the run begin.
    base: usize,
    /// Where the leaf before ended, behind `base`.
    end: usize,
}

impl Iterator for Leaves<'_> {
    type Item = Node;

    fn next(&mut self) -> Option<Node> {
        let entry = Entry::of(*self.entries.next()?);
        let start = if entry.is_aligned() { align(self.end) } else { self.end };
        self.end += entry.length_or_offset();
        // An entry that is less than its padding can only come from bytes that are not jsonb.
        let start = start.min(self.end);
        Some(Node::leaf(entry.kind()?, self.base + start, self.end - start))
    }
}

/// The payload of the last document, and the memory for the next.
#[derive(Debug, Default)]
pub(crate) struct Output {
    payload: Vec<u8>,
    /// The containers around the present place.
    path: Vec<Filling>,
}

impl Output {
    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }

    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.payload)
    }

    pub(crate) fn lay_out(&mut self, root: Node, nodes: &[Node], data: &[u8]) {
        let Output { payload, path } = self;
        payload.clear();
        // Data, and the entries and headers of what is not a run, with some padding.
        payload.reserve(data.len() + (nodes.len() + 2) * 2 * WORD);
        match root.form {
            // A container is a payload by itself.
            Form::Leaf(Kind::Container) => payload.extend_from_slice(root.bytes(data)),
            Form::Leaf(kind) => {
                let mut scalar = Filling::begin(ARRAY_FLAG | SCALAR_FLAG | 1, 1, payload);
                payload.extend_from_slice(root.bytes(data));
                scalar.note(kind.into(), payload.len(), payload);
            }
            _ => {
                path.push(Filling::open(root, nodes, data, payload));
                Self::fill(path, nodes, data, payload);
            }
        }
    }

    fn fill(path: &mut Vec<Filling>, nodes: &[Node], data: &[u8], payload: &mut Vec<u8>) {
        while let Some(innermost) = path.last_mut() {
            let Some(node) = innermost.left.next().map(|place| nodes[place]) else {
                path.pop();
                if let Some(outer) = path.last_mut() {
                    outer.note(Kind::Container.into(), payload.len(), payload);
                }
                continue;
            };
            match node.form {
                Form::Array | Form::Object => {
                    payload.resize(align(payload.len()), 0);
                    path.push(Filling::open(node, nodes, data, payload));
                }
                _ => innermost.take(&node, data, payload),
            }
        }
    }
}

/// A container whose entries are being filled in.
#[derive(Debug)]
struct Filling {
    /// The nodes that are still to come.
    left: std::iter::StepBy<Range<usize>>,
    /// Where its data begins in the payload.
    base: usize,
    /// Where the next entry lies in the payload.
    entry: usize,
    /// Entries filled in.
    filled: usize,
    /// Where the last child ended, behind `base`.
    end: usize,
}

impl Filling {
    /// Header and room for the entries.
    fn begin(header: u32, children: usize, payload: &mut Vec<u8>) -> Self {
        payload.extend_from_slice(&header.to_ne_bytes());
        let entry = payload.len();
        let base = entry + children * WORD;
        payload.resize(base, 0);
        Self { left: (0..0).step_by(1), base, entry, filled: 0, end: 0 }
    }

    /// An array, or an object with its keys, which come before all values.
    fn open(node: Node, nodes: &[Node], data: &[u8], payload: &mut Vec<u8>) -> Self {
        let start = node.start as usize;
        let inside = start..start + node.size as usize;
        let children = node.children as usize;
        if node.form == Form::Array {
            let filling = Self::begin(ARRAY_FLAG | node.children, children, payload);
            return Self { left: inside.step_by(1), ..filling };
        }
        let mut filling = Self::begin(OBJECT_FLAG | (node.children / 2), children, payload);
        for [key, _] in nodes[inside.clone()].as_chunks::<2>().0 {
            filling.take(key, data, payload);
        }
        Self { left: (inside.start + 1..inside.end).step_by(2), ..filling }
    }

    /// Adds a leaf, or a run of them.
    fn take(&mut self, node: &Node, data: &[u8], payload: &mut Vec<u8>) {
        match node.form {
            Form::Leaf(kind) => {
                let entry = Entry::from(kind);
                if entry.is_aligned() {
                    payload.resize(align(payload.len()), 0);
                }
                payload.extend_from_slice(node.bytes(data));
                self.note(entry, payload.len(), payload);
            }
            _ => self.take_run(node, data, payload),
        }
    }

    fn take_run(&mut self, run: &Node, data: &[u8], payload: &mut Vec<u8>) {
        let (entries, bytes) = run.entries_and_bytes(data);
        let Some((first, rest)) = entries.split_first() else { return };
        let first = Entry::of(*first);
        if first.is_aligned() {
            payload.resize(align(payload.len()), 0);
        }
        self.note(first, payload.len() + first.length_or_offset(), payload);
        let rooms = self.entry..self.entry + rest.len() * WORD;
        let (mut filled, mut end) = (self.filled, self.end);
        for (entry, room) in rest.iter().zip(payload[rooms.clone()].as_chunks_mut().0) {
            let copied = Entry::of(*entry);
            end += copied.length_or_offset();
            *room = match filled.is_multiple_of(OFFSET_STRIDE) {
                true => copied.with_end(end).to_bytes(),
                false => *entry,
            };
            filled += 1;
        }
        (self.entry, self.filled, self.end) = (rooms.end, filled, end);
        payload.extend_from_slice(bytes);
    }

    /// Fills in the entry of a child that ends at `end` in the payload.
    fn note(&mut self, entry: Entry, end: usize, payload: &mut [u8]) {
        let end = end - self.base;
        let entry = if self.filled.is_multiple_of(OFFSET_STRIDE) {
            entry.with_end(end)
        } else {
            entry.with_length(end - self.end)
        };
        payload[self.entry..self.entry + WORD].copy_from_slice(&entry.to_bytes());
        self.entry += WORD;
        self.filled += 1;
        self.end = end;
    }
}
