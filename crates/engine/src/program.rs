//! A config as the engine needs it: the script, the settings, the files.

/// Everything that a realm is made from.
#[derive(Debug, Clone)]
pub struct Program {
    /// Names the config; realms are kept by it.
    pub id: i32,
    /// The plugin's name, for messages.
    pub plugin: String,
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

impl Program {
    /// The text with every secret value masked.
    pub(crate) fn redact(&self, mut text: String) -> String {
        for secret in &self.secrets {
            if !secret.is_empty() && text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), "********");
            }
        }
        text
    }
}
