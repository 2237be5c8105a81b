//! From a place in the script back to the place the author wrote: positions, and whole stacks.

/// A line and a column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: u32,
    pub column: u32,
}

/// A script's source map, read once and asked often.
#[derive(Debug, Clone, Default)]
pub struct SourceMap {
    /// (in the script, in the author's text), sorted by the first.
    pairs: Vec<(Position, Position)>,
}

impl SourceMap {
    /// Reads the JSON of [`Script::source_map`](super::Script); `None` if it is not one.
    pub fn parse(json: &str) -> Option<Self> {
        let map = oxc_sourcemap::SourceMap::from_json_string(json).ok()?;
        let mut pairs: Vec<_> = map
            .get_tokens()
            .filter(|token| token.get_source_id().is_some())
            .map(|token| {
                let script = from_one(token.get_dst_line(), token.get_dst_col());
                (script, from_one(token.get_src_line(), token.get_src_col()))
            })
            .collect();
        pairs.sort_unstable();
        Some(Self { pairs })
    }

    /// Where the author wrote what stands at `line` and `column` of the script, both from 1.
    pub fn locate(&self, line: u32, column: u32) -> Option<Position> {
        let asked = Position { line, column };
        let next = self.pairs.partition_point(|(script, _)| *script <= asked);
        let before = next.checked_sub(1).and_then(|last| self.pairs.get(last));
        let on_line = |pair: &&(Position, Position)| pair.0.line == line;
        before.filter(on_line).or(self.pairs.get(next).filter(on_line)).map(|pair| pair.1)
    }

    /// A QuickJS stack whose frames in `script_name` name `file_name` and the author's places.
    /// Other frames, native ones among them, stay as they are.
    pub fn rewrite_stack(&self, stack: &str, script_name: &str, file_name: &str) -> String {
        stack
            .split_inclusive('\n')
            .map(|line| self.rewrite_frame(line, script_name, file_name))
            .collect()
    }

    fn rewrite_frame(&self, line: &str, script_name: &str, file_name: &str) -> String {
        self.try_rewrite_frame(line, script_name, file_name).unwrap_or_else(|| line.to_owned())
    }

    /// `    at name (script:line:column)` or `    at script:line:column`
    fn try_rewrite_frame(&self, line: &str, script_name: &str, file_name: &str) -> Option<String> {
        let frame = line.trim_end();
        let trailing = line.get(frame.len()..)?;
        let (frame, bracket) = match frame.strip_suffix(')') {
            Some(frame) => (frame, ")"),
            None => (frame, ""),
        };
        let (rest, column) = frame.rsplit_once(':')?;
        let (rest, row) = rest.rsplit_once(':')?;
        let head = rest.strip_suffix(script_name)?;
        let before = if bracket.is_empty() { "at " } else { "(" };
        if !head.ends_with(before) {
            return None;
        }
        let Position { line, column } = self.locate(row.parse().ok()?, column.parse().ok()?)?;
        Some(format!("{head}{file_name}:{line}:{column}{bracket}{trailing}"))
    }
}

fn from_one(line: u32, column: u32) -> Position {
    Position { line: line.saturating_add(1), column: column.saturating_add(1) }
}
