//! What is made of the results: `results.json`, `results.md` and `chart.svg` beside `Cargo.toml`.

use std::error::Error;
use std::path::{Path, PathBuf};

use crate::results::Results;

mod chart;
mod lookup;
mod table;
mod targets;

/// Writes the three files, and prints the tables.
pub fn write(results: &Results) -> Result<(), Box<dyn Error>> {
    let tables = table::document(results);
    std::fs::write(file("results.json"), serde_json::to_string_pretty(results)? + "\n")?;
    std::fs::write(file("results.md"), &tables)?;
    std::fs::write(file("chart.svg"), chart::svg(results))?;
    print!("{tables}");
    Ok(())
}

/// What was written before.
pub fn read() -> Result<Results, Box<dyn Error>> {
    Ok(serde_json::from_slice(&std::fs::read(file("results.json"))?)?)
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}
