//! The blocks of a Markdown page, and the SQL among them with the output that the page says it has.
//!
//! SQL is run when its fence says `sql`, and not when it says `sql skip`. A `text` block after it,
//! with nothing but blank lines between, is its output.

/// What stands between two fences.
#[derive(Debug, PartialEq)]
pub struct Block {
    /// Where it begins, counted from 1.
    pub line: usize,
    /// What the fence says.
    pub language: String,
    pub body: String,
    /// Whether nothing but blank lines is between it and the block before.
    pub adjoins: bool,
}

/// All blocks of a page, in order.
#[must_use]
pub fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines().enumerate();
    let mut adjoins = false;
    while let Some((number, line)) = lines.next() {
        let Some(language) = line.trim_start().strip_prefix("```") else {
            adjoins &= line.trim().is_empty();
            continue;
        };
        let indent = line.len() - line.trim_start().len();
        let body: Vec<&str> = lines
            .by_ref()
            .map(|(_, line)| line)
            .take_while(|line| line.trim() != "```")
            .map(|line| line.get(indent..).unwrap_or_default())
            .collect();
        let (language, body) = (language.trim().to_owned(), body.join("\n"));
        blocks.push(Block { line: number + 1, language, body, adjoins });
        adjoins = true;
    }
    blocks
}

/// A block of SQL to run.
#[derive(Debug, PartialEq)]
pub struct Example {
    /// Where the block begins, counted from 1.
    pub line: usize,
    pub sql: String,
    pub output: Option<String>,
}

/// All examples of a page, in order.
#[must_use]
pub fn examples(page: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut awaits_output = false;
    for Block { line, language, body, adjoins } in blocks(page) {
        match (language.as_str(), examples.last_mut()) {
            ("sql", _) => examples.push(Example { line, sql: body, output: None }),
            ("text", Some(last)) if awaits_output && adjoins => last.output = Some(body),
            _ => {}
        }
        awaits_output = language == "sql";
    }
    examples
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(line: usize, sql: &str, output: Option<&str>) -> Example {
        Example { line, sql: sql.to_owned(), output: output.map(str::to_owned) }
    }

    #[test]
    fn text_right_after_sql_is_its_output() {
        let page = "# Title\n\n```sql\nSELECT 1;\nSELECT 2;\n```\n\n```text\n 1\n 2\n```\n";
        assert_eq!(examples(page), [example(3, "SELECT 1;\nSELECT 2;", Some(" 1\n 2"))]);
    }

    #[test]
    fn text_after_a_sentence_is_no_output() {
        let page = "```sql\nSELECT 1;\n```\nThe folders:\n```text\nsrc/\n```\n";
        assert_eq!(examples(page), [example(1, "SELECT 1;", None)]);
    }

    #[test]
    fn skipped_and_foreign_blocks_are_no_examples() {
        let page = "```sql skip\nDROP DATABASE a;\n```\n```text\n```\n```sh\nmake\n```\n";
        assert_eq!(examples(page), []);
    }

    #[test]
    fn a_block_in_a_list_loses_its_indent() {
        let page = "1. First\n   ```sql\n   SELECT 1\n     + 1;\n   ```\n";
        assert_eq!(examples(page), [example(2, "SELECT 1\n  + 1;", None)]);
    }
}
