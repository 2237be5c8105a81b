//! A rough reader of JavaScript: brackets, strings, templates, comments, regular expressions. It
//! estimates how often the parser will read each token, because the parser guesses at `(` (an
//! arrow function's parameters?) and `<` (type arguments?), reads ahead, and may have to start
//! over: guesses within guesses double the work at each level.

/// Brackets within brackets. Published minified bundles stay below 100.
const NESTING: usize = 256;

/// Token reads that the parser may spend on a source: seconds at most. Without nested guesses a
/// source of 1 MiB stays below one million.
const READS: u64 = 1 << 24;

/// An open bracket.
struct Frame {
    closer: u8,
    /// Whether it is `${`, so that its end resumes the template.
    in_template: bool,
    /// Whether it is the head of an `if` or a loop, so that a `/` after its end begins a regular
    /// expression.
    is_head: bool,
    /// `reads` and `frame_reads` of the enclosing frame.
    outer: (u64, u64),
}

/// What the last token was, as far as it decides what `/` and `(` mean.
#[derive(Clone, Copy, PartialEq)]
enum Last {
    Operand,
    Operator,
    /// `if`, `while`, `for` or `with`.
    Head,
}

pub(super) struct Reader<'s> {
    bytes: &'s [u8],
    at: usize,
    frames: Vec<Frame>,
    last: Last,
    /// How often the parser may read a token here.
    reads: u64,
    /// `reads` without the `<` opened in this frame.
    frame_reads: u64,
    total: u64,
}

impl<'s> Reader<'s> {
    pub fn new(source: &'s str) -> Self {
        Self {
            bytes: source.as_bytes(),
            at: 0,
            frames: Vec::new(),
            last: Last::Operator,
            reads: 1,
            frame_reads: 1,
            total: 0,
        }
    }

    /// Where the source goes beyond what is accepted, if anywhere.
    pub fn first_excess(mut self) -> Option<usize> {
        while let Some(byte) = self.peek(0) {
            let start = self.at;
            self.token(byte);
            self.total = self.total.saturating_add(self.reads);
            if self.frames.len() > NESTING || self.total > READS {
                return Some(start);
            }
        }
        None
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn token(&mut self, byte: u8) {
        match byte {
            b if b.is_ascii_whitespace() => self.at += 1,
            b'/' if self.peek(1) == Some(b'/') => self.skip_line(),
            b'/' if self.peek(1) == Some(b'*') => self.skip_comment(),
            b'/' => self.slash(),
            b'"' | b'\'' => self.string(byte),
            b'`' => {
                self.at += 1;
                self.template();
            }
            b if is_word(b) => self.word(),
            b'(' => self.open(b')', if self.may_be_parameters() { 2 } else { 1 }),
            b'[' => self.open(b']', 1),
            b'{' => self.open(b'}', 1),
            b')' | b']' | b'}' => self.close(byte),
            b'<' => {
                self.reads = self.reads.saturating_mul(3);
                self.operator();
            }
            b'>' if self.reads > self.frame_reads && self.at > 0 && !self.follows(b'=') => {
                self.reads /= 3;
                self.operator();
            }
            b'=' if self.peek(1) == Some(b'>') => self.operator(),
            // None of these stands among type arguments: the guesses at `<` are over.
            b';' | b'+' | b'*' | b'%' | b'^' | b'~' | b'=' => {
                self.reads = self.frame_reads;
                self.operator();
            }
            b'&' | b'|' if self.peek(1) == Some(byte) => {
                self.reads = self.frame_reads;
                self.operator();
            }
            _ => self.operator(),
        }
    }

    fn follows(&self, byte: u8) -> bool {
        self.at.checked_sub(1).and_then(|before| self.bytes.get(before)) == Some(&byte)
    }

    fn operator(&mut self) {
        self.at += 1;
        self.last = Last::Operator;
    }

    fn open(&mut self, closer: u8, guesses: u64) {
        self.frames.push(Frame {
            closer,
            in_template: false,
            is_head: closer == b')' && self.last == Last::Head,
            outer: (self.reads, self.frame_reads),
        });
        self.reads = self.reads.saturating_mul(guesses);
        self.frame_reads = self.reads;
        self.operator();
    }

    fn close(&mut self, closer: u8) {
        self.at += 1;
        self.last = if closer == b'}' { Last::Operator } else { Last::Operand };
        // A misread regular expression leaves brackets open: drop what a closer cannot close.
        let Some(depth) = self.frames.iter().rposition(|frame| frame.closer == closer) else {
            return;
        };
        let Some(frame) = self.frames.drain(depth..).next() else { return };
        (self.reads, self.frame_reads) = frame.outer;
        if frame.is_head {
            self.last = Last::Operator;
        }
        if frame.in_template {
            self.template();
        }
    }

    /// Whether `(` may begin an arrow function's parameters and may as well not.
    fn may_be_parameters(&self) -> bool {
        if self.last != Last::Operator && !self.ends_with_word(b"async") {
            return false;
        }
        let rest = self.bytes.get(self.at + 1..).unwrap_or_default().trim_ascii_start();
        match rest.first() {
            Some(b'{' | b'[' | b'.') => true,
            Some(&byte) if is_word(byte) => {
                let name = rest.iter().take_while(|byte| is_word(**byte)).count();
                let after = rest.get(name..).unwrap_or_default().trim_ascii_start();
                match after {
                    [b'=', b'=' | b'>', ..] => false,
                    [b',' | b')' | b':' | b'=' | b'?', ..] => true,
                    _ => false,
                }
            }
            _ => false,
        }
    }

    fn ends_with_word(&self, word: &[u8]) -> bool {
        self.bytes.get(..self.at).unwrap_or_default().trim_ascii_end().ends_with(word)
    }

    fn word(&mut self) {
        let start = self.at;
        while self.peek(0).is_some_and(is_word) {
            self.at += 1;
        }
        let is_property = self.bytes.get(..start).unwrap_or_default().trim_ascii_end();
        let is_property = is_property.ends_with(b".") && !is_property.ends_with(b"..");
        self.last = match self.bytes.get(start..self.at).unwrap_or_default() {
            _ if is_property => Last::Operand,
            b"if" | b"while" | b"for" | b"with" => Last::Head,
            b"return" | b"typeof" | b"case" | b"in" | b"of" | b"instanceof" | b"new"
            | b"delete" | b"void" | b"throw" | b"do" | b"else" | b"yield" | b"await"
            | b"default" | b"extends" => Last::Operator,
            _ => Last::Operand,
        };
    }

    fn string(&mut self, quote: u8) {
        self.at += 1;
        while let Some(byte) = self.peek(0) {
            self.at += 1;
            match byte {
                b'\\' => self.at += 1,
                b'\n' => break,
                byte if byte == quote => break,
                _ => {}
            }
        }
        self.last = Last::Operand;
    }

    fn template(&mut self) {
        while let Some(byte) = self.peek(0) {
            self.at += 1;
            match byte {
                b'\\' => self.at += 1,
                b'`' => break,
                b'$' if self.peek(0) == Some(b'{') => {
                    self.open(b'}', 1);
                    if let Some(frame) = self.frames.last_mut() {
                        frame.in_template = true;
                    }
                    return;
                }
                _ => {}
            }
        }
        self.last = Last::Operand;
    }

    /// A division, or a regular expression if one ends on this line.
    fn slash(&mut self) {
        let line = self.bytes.get(self.at + 1..).unwrap_or_default();
        let end = if self.last == Last::Operand { None } else { regular_expression(line) };
        match end {
            Some(length) => {
                self.at += 1 + length;
                self.last = Last::Operand;
            }
            None => {
                self.reads = self.frame_reads;
                self.operator();
            }
        }
    }

    fn skip_line(&mut self) {
        while self.peek(0).is_some_and(|byte| byte != b'\n') {
            self.at += 1;
        }
    }

    fn skip_comment(&mut self) {
        self.at += 2;
        while self.peek(0).is_some() && (self.peek(0), self.peek(1)) != (Some(b'*'), Some(b'/')) {
            self.at += 1;
        }
        self.at += 2;
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'\\') || !byte.is_ascii()
}

/// The length of a regular expression's body and closing slash, if it ends on its line.
fn regular_expression(line: &[u8]) -> Option<usize> {
    let mut in_class = false;
    let mut bytes = line.iter().enumerate();
    while let Some((index, byte)) = bytes.next() {
        match byte {
            b'\n' => return None,
            b'\\' => {
                bytes.next();
            }
            b'[' => in_class = true,
            b']' => in_class = false,
            b'/' if !in_class => return Some(index + 1),
            _ => {}
        }
    }
    None
}
