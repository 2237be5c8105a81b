//! A config as the engine needs it: the script, the settings, the files.

/// Everything that a realm is made from.
#[derive(Debug, Clone)]
pub struct Program {
    /// Names the config; realms are kept by it.
    pub id: i32,
    /// The plugin's name, for messages.
    pub plugin: String,
    /// As its author calls it.
    pub title: String,
    /// `None`: every team.
    pub team_id: Option<i32>,
    /// The script's name in stacks.
    pub script_name: String,
    /// A sloppy classic script: what the transpiler made of the author's source.
    pub script: String,
    /// `meta.config` as JSON text, secrets included.
    pub config: String,
    /// Values that no log line and no error may show.
    pub secrets: Vec<String>,
    pub attachments: Vec<Attachment>,
}

/// A file for `meta.attachments`.
#[derive(Debug, Clone)]
pub struct Attachment {
    pub key: String,
    pub file_name: String,
    pub content_type: String,
    pub contents: Vec<u8>,
}

/// Shorter secrets are masked only where they stand alone: a password "s" would make every text
/// unreadable, and is no secret that masking could keep.
const SHORTEST_INSIDE_WORDS: usize = 4;

/// In a path only what cannot be there by chance is masked.
const SHORTEST_IN_PLACES: usize = 8;

const MASK: &str = "********";

impl Program {
    /// The text with every secret value masked.
    pub fn redact(&self, mut text: String) -> String {
        for secret in &self.secrets {
            if secret.len() >= SHORTEST_INSIDE_WORDS {
                if text.contains(secret.as_str()) {
                    text = text.replace(secret.as_str(), MASK);
                }
            } else if !secret.is_empty() {
                text = replace_word(&text, secret);
            }
        }
        text
    }

    /// A stack with secrets masked. A plugin can write anything into it; only in the place of a
    /// frame, `(file:line:column)`, short secrets are left alone, as they would hide the position.
    pub(crate) fn redact_stack(&self, stack: &str) -> String {
        let lines = stack.lines().map(|line| match line.rsplit_once(" (") {
            Some((function, place)) if is_place(place) => {
                let long = self.secrets.iter().filter(|secret| secret.len() >= SHORTEST_IN_PLACES);
                let place = long
                    .fold(place.to_owned(), |place, secret| place.replace(secret.as_str(), MASK));
                format!("{} ({place}", self.redact(function.to_owned()))
            }
            _ => self.redact(line.to_owned()),
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// `file:line:column)`
fn is_place(text: &str) -> bool {
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = text.trim_end_matches(')').rsplitn(3, ':');
    let numbers = parts.next().is_some_and(number) && parts.next().is_some_and(number);
    text.ends_with(')') && numbers && parts.next().is_some()
}

/// The text with the mask wherever `word` has no letter or digit on either side.
fn replace_word(text: &str, word: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = None;
    while let Some(at) = rest.find(word) {
        let (head, tail) = rest.split_at(at);
        let after = tail[word.len()..].chars().next();
        let left = head.chars().next_back().or(before);
        let alone = ![left, after].into_iter().flatten().any(char::is_alphanumeric);
        result.push_str(head);
        result.push_str(if alone { MASK } else { word });
        before = word.chars().next_back();
        rest = &tail[word.len()..];
    }
    result.push_str(rest);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(secrets: &[&str], text: &str) -> String {
        program(secrets).redact(text.to_owned())
    }

    fn program(secrets: &[&str]) -> Program {
        Program {
            id: 1,
            plugin: String::new(),
            title: String::new(),
            team_id: None,
            script_name: String::new(),
            script: String::new(),
            config: String::new(),
            secrets: secrets.iter().map(|secret| secret.to_string()).collect(),
            attachments: Vec::new(),
        }
    }

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        assert_eq!(redacted(&["abcd", "üben"], "xabcdx=üben"), "x********x=********");
    }

    #[test]
    fn stacks_are_masked_but_for_their_places() {
        let program = program(&["ts", "password"]);
        assert_eq!(
            program
                .redact_stack("at f (a/index.ts:1:2)\nCaused by: ts password\nat password (b:1:2)"),
            "at f (a/index.ts:1:2)\nCaused by: ******** ********\nat ******** (b:1:2)"
        );
    }

    #[test]
    fn short_secrets_are_masked_where_they_stand_alone() {
        assert_eq!(
            redacted(&["s"], "keys: s, 's', ss, s"),
            "keys: ********, '********', ss, ********"
        );
        assert_eq!(redacted(&[""], "nothing"), "nothing");
    }
}
