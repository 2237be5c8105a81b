//! Lays a finished document out as a payload. Padding depends only on the place inside the own
//! container, since containers are aligned themselves; so sizes are known from the inside out.

use crate::layout::{
    ARRAY_FLAG, Entry, Kind, OBJECT_FLAG, OFFSET_FLAG, OFFSET_STRIDE, SCALAR_FLAG, WORD, align,
};

/// What a node will be laid out as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Null,
    False,
    True,
    String,
    Number,
    Array,
    Object,
    /// An array or object that is bytes already.
    Spliced,
}

impl Form {
    /// The form of what is copied as bytes.
    pub(crate) fn of_bytes(entry: Entry) -> Option<Self> {
        Some(match entry.kind()? {
            Kind::Null => Form::Null,
            Kind::False => Form::False,
            Kind::True => Form::True,
            Kind::String => Form::String,
            Kind::Numeric => Form::Number,
            Kind::Container => Form::Spliced,
        })
    }

    pub(crate) fn is_aligned(self) -> bool {
        matches!(self, Form::Number | Form::Array | Form::Object | Form::Spliced)
    }
}

/// A value or key of the document. Places are `u32`, enough for what [`crate::Limits`] admits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    form: Form,
    /// Bytes in the payload without padding.
    size: u32,
    /// The place in the data, or of the first child of an array or object.
    start: u32,
    /// Children of an array or object.
    children: u32,
}

impl Node {
    pub(crate) fn leaf(form: Form, start: usize, size: usize) -> Self {
        Self { form, size: size as u32, start: start as u32, children: 0 }
    }

    /// `None` if that takes more than `limit` bytes, which is at most what an entry can say.
    pub(crate) fn container(
        form: Form,
        start: usize,
        children: &[Node],
        limit: usize,
    ) -> Option<Self> {
        let data = children.iter().fold(0, |offset, child| child.end(offset));
        let size = WORD + children.len() * WORD + data;
        (size <= limit).then_some(Self {
            form,
            size: size as u32,
            start: start as u32,
            children: children.len() as u32,
        })
    }

    pub(crate) fn size(&self) -> usize {
        self.size as usize
    }

    pub(crate) fn is_string(&self) -> bool {
        self.form == Form::String
    }

    /// The data of a leaf.
    pub(crate) fn bytes<'d>(&self, data: &'d [u8]) -> &'d [u8] {
        let start = self.start as usize;
        &data[start..start + self.size()]
    }

    fn kind(&self) -> Kind {
        match self.form {
            Form::Null => Kind::Null,
            Form::False => Kind::False,
            Form::True => Kind::True,
            Form::String => Kind::String,
            Form::Number => Kind::Numeric,
            Form::Array | Form::Object | Form::Spliced => Kind::Container,
        }
    }

    fn is_aligned(&self) -> bool {
        self.form.is_aligned()
    }

    /// Where the node ends if the one before it ended at `offset`.
    fn end(&self, offset: usize) -> usize {
        (if self.is_aligned() { align(offset) } else { offset }) + self.size()
    }

    fn entry(&self, length_or_offset: u32) -> Entry {
        Entry(self.kind() as u32 | length_or_offset)
    }
}

/// The payload of the last document, and the memory for the next.
#[derive(Debug, Default)]
pub(crate) struct Output {
    payload: Vec<u8>,
    /// The children still to come of each container around the present place.
    path: Vec<std::ops::Range<u32>>,
}

impl Output {
    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }

    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.payload)
    }

    pub(crate) fn lay_out(&mut self, root: Node, children: &[Node], data: &[u8]) {
        self.payload.clear();
        self.payload.reserve(root.size() + 2 * WORD);
        match root.form {
            Form::Spliced => self.payload.extend_from_slice(root.bytes(data)),
            Form::Array | Form::Object => self.container(root, children, data),
            _ => {
                self.header(ARRAY_FLAG | SCALAR_FLAG | 1, &[root]);
                self.payload.extend_from_slice(root.bytes(data));
            }
        }
    }

    fn container(&mut self, root: Node, children: &[Node], data: &[u8]) {
        self.open(root, children);
        while let Some(left) = self.path.last_mut() {
            let nodes = &children[left.start as usize..left.end as usize];
            let mut run = Run::default();
            let nested = nodes.iter().position(|node| match node.form {
                Form::Array | Form::Object => true,
                _ => {
                    run.take(node, data, &mut self.payload);
                    false
                }
            });
            run.flush(data, &mut self.payload);
            let Some(nested) = nested else {
                self.path.pop();
                continue;
            };
            left.start += nested as u32 + 1;
            self.payload.resize(align(self.payload.len()), 0);
            self.open(nodes[nested], children);
        }
    }

    fn open(&mut self, node: Node, children: &[Node]) {
        let range = node.start..node.start + node.children;
        let header = match node.form {
            Form::Object => OBJECT_FLAG | (node.children / 2),
            _ => ARRAY_FLAG | node.children,
        };
        self.header(header, &children[range.start as usize..range.end as usize]);
        self.path.push(range);
    }

    fn header(&mut self, header: u32, children: &[Node]) {
        self.payload.extend_from_slice(&header.to_ne_bytes());
        let mut offset = 0;
        for (index, child) in children.iter().enumerate() {
            let start = offset;
            offset = child.end(start);
            let entry = if index % OFFSET_STRIDE == 0 {
                child.entry(offset as u32 | OFFSET_FLAG)
            } else {
                child.entry((offset - start) as u32)
            };
            self.payload.extend_from_slice(&entry.0.to_ne_bytes());
        }
    }
}

/// Data that lies in the payload as it lies where it was given, so that it is copied at once.
#[derive(Default)]
struct Run {
    start: usize,
    end: usize,
}

impl Run {
    /// Adds a leaf's data; what does not fit behind the rest ends the run.
    #[inline]
    fn take(&mut self, leaf: &Node, data: &[u8], payload: &mut Vec<u8>) {
        let start = leaf.start as usize;
        let unaligned = payload.len() + (self.end - self.start);
        let place = if leaf.is_aligned() { align(unaligned) } else { unaligned };
        // The gap is padding here, and must be padding there.
        let gap = place - unaligned;
        let fits = self.end + gap == start && data[self.end..start].iter().all(|byte| *byte == 0);
        if !fits {
            self.flush(data, payload);
            payload.resize(place, 0);
            self.start = start;
        }
        self.end = start + leaf.size();
    }

    fn flush(&mut self, data: &[u8], payload: &mut Vec<u8>) {
        payload.extend_from_slice(&data[self.start..self.end]);
        *self = Run::default();
    }
}
