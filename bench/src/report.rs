//! docs/performance.md: every table is written here, so that the document is what was measured.

use std::fmt::Write;

use crate::calls::{Comparison, OURS};
use crate::growth::Growth;
use crate::inserts::{ATTACHED, ENQUEUED, Storing};
use crate::rounds::Measured;
use crate::start::Start;

#[derive(Default)]
pub struct Report {
    text: String,
}

const OPENING: &str = "# Performance

Written by `make bench`, which measures everything here in one run. The subjects of a comparison take
turns, round by round; times are medians, and a ratio is the median of the ratios within each round,
which a noisy machine moves least. A ratio below 1 is faster than the extension.

The extension converts what a plugin touches, and copies the rest as it lies in the database: a plugin
that changes little takes less time here than the same change in any of the others. Node compiles JavaScript and regular expressions
to machine code where QuickJS interprets them: plugins that compute much are faster in Node. In the
chain of five, the user-agent's regular expressions alone are a quarter of all instructions.

![Microseconds for each event of 2 KB](performance.svg)
";

impl Report {
    fn line(&mut self, line: impl AsRef<str>) {
        self.text.push_str(line.as_ref());
        self.text.push('\n');
    }

    pub fn machine(&mut self, facts: &[(&'static str, String)]) {
        self.line(OPENING);
        self.line("| | |\n|---|---|");
        for (name, value) in facts {
            self.line(format!("| {name} | {value} |"));
        }
    }

    /// A table for each size: a row for each case, a column for each peer.
    pub fn calls(&mut self, comparisons: &[Comparison]) {
        for size in ["2 KB", "20 KB"] {
            let title = format!("\n## `process_event` on events of {size}\n");
            self.line(title);
            self.line(
                "Microseconds for each event, and in brackets how many times as long as the \
                 extension. Reading and detoasting the row, the column “scan”, is in all of them \
                 but Node, which has text in memory.\n",
            );
            let of_size: Vec<_> = comparisons.iter().filter(|one| one.size == size).collect();
            let mut names: Vec<&str> = Vec::new();
            for subject in of_size.iter().flat_map(|one| &one.subjects) {
                if !names.contains(&subject.name.as_str()) {
                    names.push(&subject.name);
                }
            }
            self.line(format!("| plugin | {} |", names.join(" | ")));
            self.line(format!("|---|{}", "---|".repeat(names.len())));
            for one in of_size {
                let find = |name: &str| one.subjects.iter().find(|subject| subject.name == name);
                let ours = find(OURS);
                let cells = names.iter().map(|name| cell(find(name), ours));
                self.line(format!("| {} | {} |", one.case, cells.collect::<Vec<_>>().join(" | ")));
            }
        }
    }

    pub fn inserts(&mut self, all: &[Storing]) {
        self.line(
            "\n## Storing events\n\nOne plugin, which sets one property. Microseconds for each \
             event, and how many times as long as without plugins. An event that comes from a client \
             is parsed and compressed in any case. One that comes from another table's column is \
             copied as it lies there, compressed, unless something changes it: then it is \
             decompressed and compressed again, and that is most of the difference. Where the \
             columns are the fields, that goes for each column by itself: one that no plugin looks \
             at is neither decompressed nor converted. Any BEFORE ROW trigger makes `COPY` insert \
             row by row, whatever it does. No commit waits for a disk here, which would take longer \
             than all else about a single row. With a consumer, events are enqueued as they are \
             where a worker has seen some; it delivers none meanwhile.",
        );
        for storing in all {
            self.line(format!("\n{}:\n", storing.way));
            self.line("| | µs | ratio |\n|---|---|---|");
            let Some(plain) = storing.subjects.first() else { continue };
            for subject in &storing.subjects {
                let (median, ratio) = (subject.median(), subject.ratio_to(plain));
                self.line(format!("| {} | {median:.1} | {ratio:.2} |", subject.name));
            }
            let find = |name| storing.subjects.iter().find(|subject| subject.name == name);
            if let (Some(attached), Some(enqueued)) = (find(ATTACHED), find(ENQUEUED)) {
                let ratio = enqueued.ratio_to(attached);
                self.line(format!("\nWith a consumer, {ratio:.2} times as long as without one."));
            }
        }
    }

    pub fn deliveries(&mut self, all: &[Measured]) {
        self.line(
            "\n## Delivering stored events\n\nOne worker, one consumer, events of 2 KB that wait in the \
             queue, and a receiver on the same machine. Reading them and recording what became of \
             them is part of it.\n",
        );
        self.line("| | µs for each event | events in a second |\n|---|---|---|");
        for subject in all {
            let median = subject.median();
            self.line(format!("| {} | {median:.1} | {:.0} |", subject.name, 1e6 / median));
        }
    }

    pub fn start(&mut self, starts: &[Start]) {
        self.line(
            "\n## A new session\n\nMilliseconds, medians. The realm of a plugin is made when its \
             first event comes. Memory is what belongs to the backend alone (`RssAnon`), in MB.\n",
        );
        self.line(
            "| plugins | load the library | first event | second event | MB, library loaded | MB, \
             ten events | MB, thousands of events |\n|---|---|---|---|---|---|---|",
        );
        for start in starts {
            let Start { plugins, load, first, second, .. } = start;
            let [loaded, begun, settled] = [start.loaded, start.begun, start.settled]
                .map(|kilobytes| kilobytes as f64 / 1024.0);
            self.line(format!(
                "| {plugins} | {load:.1} | {first:.1} | {second:.2} | {loaded:.1} | {begun:.1} | {settled:.1} |"
            ));
        }
    }

    pub fn growth(&mut self, all: &[Growth]) {
        self.line(
            "\n## Growth\n\nMicroseconds for each event, with plugins that set one property; the \
             rows of wide events are read and detoasted as well.",
        );
        for growth in all {
            let mut header = format!("\n| {} |", growth.of);
            let mut values = "| µs |".to_owned();
            for (size, measured) in &growth.points {
                let _ = write!(header, " {size} |");
                let _ = write!(values, " {:.1} |", measured.median());
            }
            self.line(header);
            self.line(format!("|---|{}", "---|".repeat(growth.points.len())));
            self.line(values);
        }
    }

    pub fn finish(self) -> String {
        self.text
    }
}

fn cell(subject: Option<&Measured>, ours: Option<&Measured>) -> String {
    match (subject, ours) {
        (Some(subject), Some(ours)) if subject.name == ours.name => {
            format!("**{:.2}**", subject.median())
        }
        (Some(subject), Some(ours)) => {
            format!("{:.2} ({:.1})", subject.median(), subject.ratio_to(ours))
        }
        (Some(subject), None) => format!("{:.2}", subject.median()),
        (None, _) => "".to_owned(),
    }
}
