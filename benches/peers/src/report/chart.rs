//! The chart: requests a second over HTTP, as horizontal bars. Its greys can be read on light and on
//! dark pages, and without empty lines it can be put into Markdown as it is.

use std::fmt::Write as _;

use crate::http_level::framework::EXPRESS as NODE;
use crate::http_level::scene;
use crate::results::contender::OURS;
use crate::results::{HttpRow, Results};

const SCENES: [(&str, &str); 4] = [
    (scene::READ, "Read-only request, Redis"),
    (scene::ROLLING, "Rolling session, Redis"),
    (scene::COUNTER, "Counter in the session, Redis"),
    (scene::MEMORY, "Read-only request, in memory"),
];

const WIDTH: u32 = 760;
const LABELS: u32 = 290;
const FIGURES: u32 = 70;
const ROW: u32 = 20;
const BAR: u32 = 13;
const HEADING: u32 = 34;
const FOOT: u32 = 24;

const OURS_COLOUR: &str = "#2f81f7";
const PEER_COLOUR: &str = "#8b949e";
const TEXT_COLOUR: &str = "#7d8590";

pub fn svg(results: &Results) -> String {
    let groups: Vec<_> = SCENES
        .iter()
        .map(|(scene, title)| {
            let mut rows: Vec<_> = results.http.iter().filter(|row| row.scene == *scene).collect();
            rows.sort_by(|one, other| pace(other).total_cmp(&pace(one)));
            (*title, rows)
        })
        .collect();
    let bars: usize = groups.iter().map(|(_, rows)| rows.len()).sum();
    let height = u32::try_from(bars).unwrap_or(0) * ROW + HEADING * 4 + FOOT;
    let mut out = String::new();
    draw(&mut out, &groups, height, &results.machine).expect("a string can be written to");
    out
}

fn draw(out: &mut String, groups: &[(&str, Vec<&HttpRow>)], height: u32, machine: &str) -> std::fmt::Result {
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" font-family=\"system-ui, sans-serif\" font-size=\"12\" \
         fill=\"{TEXT_COLOUR}\">"
    )?;
    writeln!(out, "<title>Requests a second, session-store beside other session libraries</title>")?;
    let mut y = 0;
    for (title, rows) in groups {
        y += HEADING;
        writeln!(out, "<text x=\"0\" y=\"{}\" font-size=\"14\" font-weight=\"600\">{title}</text>", y - 10)?;
        // Each kind of request has a scale of its own: the widest bar is the fastest.
        let fastest = rows.iter().map(|row| pace(row)).fold(1.0, f64::max);
        for row in rows {
            draw_bar(out, row, y, pace(row) / fastest)?;
            y += ROW;
        }
    }
    writeln!(
        out,
        "<text x=\"0\" y=\"{}\" font-size=\"11\">Requests a second, more is better. Two workers and 32 \
         connections; {}, shared with Redis and the load.</text>",
        height - 6,
        machine.replace('&', "&amp;").replace('<', "&lt;")
    )?;
    writeln!(out, "</svg>")
}

fn draw_bar(out: &mut String, row: &HttpRow, y: u32, share: f64) -> std::fmt::Result {
    let is_ours = row.contender == OURS;
    let (colour, weight) = if is_ours { (OURS_COLOUR, "600") } else { (PEER_COLOUR, "400") };
    let width = (f64::from(WIDTH - LABELS - FIGURES) * share).max(1.0);
    let middle = y + BAR / 2 + 4;
    // What follows a comma is about the library, and comes last.
    let (library, rest) = row.contender.split_at(row.contender.find(',').unwrap_or(row.contender.len()));
    let name = match &*row.framework {
        NODE => row.contender.clone(),
        framework => format!("{library} on {framework}{rest}"),
    };
    writeln!(
        out,
        "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\" font-weight=\"{weight}\">{name}</text>",
        LABELS - 8
    )?;
    writeln!(
        out,
        "<rect x=\"{LABELS}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"2\" fill=\"{colour}\"/>"
    )?;
    writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{middle}\" font-weight=\"{weight}\">{}</text>",
        f64::from(LABELS) + width + 6.0,
        thousands(pace(row))
    )
}

fn pace(row: &HttpRow) -> f64 {
    row.per_second().median
}

/// With a thin space between thousands.
fn thousands(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push('\u{2009}');
        }
        out.push(digit);
    }
    out
}
