//! What is made of the results: `results.json` and `results.md` beside `Cargo.toml`, and the chart of
//! the crate's documentation.

use std::error::Error;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::results::Results;

mod chart;
mod lookup;
mod table;
mod targets;

/// Prints the tables and, unless it was a smoke run only, writes the three files.
pub fn write(results: &Results) -> Result<(), Box<dyn Error>> {
    let (tables, chart) = (table::document(results), chart::svg(results));
    print!("{tables}");
    if !results.quick {
        std::fs::write(file("results.json"), lines(&serde_json::to_value(results)?)?)?;
        std::fs::write(file("results.md"), &tables)?;
        std::fs::write(file("../../docs/performance/chart.svg"), &chart)?;
    }
    Ok(())
}

/// What was written before.
pub fn read() -> Result<Results, Box<dyn Error>> {
    Ok(serde_json::from_slice(&std::fs::read(file("results.json"))?)?)
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// JSON with a line for each row, so that a change can be looked at.
fn lines(results: &Value) -> Result<String, Box<dyn Error>> {
    let members = results.as_object().into_iter().flatten().map(|(name, value)| {
        let Value::Array(rows) = value else { return Ok(format!("\"{name}\":{value}")) };
        let rows: Result<Vec<_>, _> = rows.iter().map(|row| serde_json::to_string(&rounded(row))).collect();
        Ok(format!("\"{name}\":[\n{}\n]", rows?.join(",\n")))
    });
    let members: Result<Vec<_>, serde_json::Error> = members.collect();
    Ok(format!("{{\n{}\n}}\n", members?.join(",\n")))
}

/// The same with four digits of each figure: there is nothing in the others.
fn rounded(value: &Value) -> Value {
    match value {
        Value::Array(values) => values.iter().map(rounded).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, member)| (name.clone(), rounded(member))).collect()
        }
        Value::Number(number) if number.is_f64() => {
            let digits = number.as_f64().and_then(|figure| format!("{figure:.3e}").parse::<f64>().ok());
            digits.map_or_else(|| value.clone(), Value::from)
        }
        other => other.clone(),
    }
}
