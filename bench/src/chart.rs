//! The picture: bars for each case, the extension beside its peers.

use std::fmt::Write;

use crate::calls::{Comparison, OURS};

const WIDTH: f64 = 760.0;
const NAMES: f64 = 210.0;
const BAR: f64 = 14.0;
const GAP: f64 = 18.0;

/// The cases on events of 2 KB, as SVG.
pub fn draw(comparisons: &[Comparison]) -> String {
    let shown: Vec<&Comparison> = comparisons.iter().filter(|one| one.size == "2 KB").collect();
    let longest = shown
        .iter()
        .flat_map(|one| &one.subjects)
        .map(|subject| subject.median())
        .fold(1.0, f64::max);
    let scale = (WIDTH - NAMES - 70.0) / longest;
    let mut bars = String::new();
    let mut y = 46.0;
    for one in &shown {
        let _ = write!(
            bars,
            r#"<text x="{x}" y="{y}" class="case">{}</text>"#,
            one.case,
            x = NAMES - 12.0,
        );
        for subject in one.subjects.iter().filter(|subject| subject.name != "scan") {
            let (median, class) =
                (subject.median(), if subject.name == OURS { "ours" } else { "peer" });
            let width = (median * scale).max(1.0);
            let _ = write!(
                bars,
                r#"<rect class="{class}" x="{NAMES}" y="{top:.1}" width="{width:.1}" height="{height}"/><text class="value" x="{text:.1}" y="{y:.1}">{median:.1}  {}</text>"#,
                subject.name,
                top = y - BAR + 3.0,
                height = BAR - 2.0,
                text = NAMES + width + 6.0,
            );
            y += BAR;
        }
        y += GAP;
    }
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" font-family="system-ui, sans-serif" font-size="11">
<style>.case{{text-anchor:end;font-weight:600}}.ours{{fill:#1d4ed8}}.peer{{fill:#9ca3af}}.value{{fill:#374151}}text{{fill:#111827}}</style>
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="{NAMES}" y="22" font-size="13" font-weight="600">Microseconds for each event of 2 KB (less is better)</text>
{bars}
</svg>
"##,
        width = WIDTH + 80.0,
    )
}
