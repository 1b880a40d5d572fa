//! How much the benchmarks measure, and where Criterion's report is.

use std::env::{self, VarError};
use std::path::PathBuf;
use std::time::Duration;

use criterion::Criterion;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// As little as shows that everything runs: `-- --test`, or by `cargo test`.
    Test,
    /// All benchmarks together take five minutes.
    Short,
    /// `BENCH=long`: for figures to rely on.
    Long,
}

impl Extent {
    pub fn wanted() -> Self {
        let has = |flag: &str| env::args().any(|argument| argument == flag);
        // Cargo's `bench` adds the one flag, and its `test` does not, which Criterion goes by too.
        if has("--test") || !has("--bench") {
            return Self::Test;
        }
        match env::var("BENCH").as_deref() {
            Err(VarError::NotPresent) => Self::Short,
            Ok("long") => Self::Long,
            other => panic!("BENCH is `long` or not set, not {other:?}"),
        }
    }
}

/// Criterion, with so much `time` for each benchmark of a long run.
pub fn criterion(time: Duration) -> Criterion {
    let criterion = match Extent::wanted() {
        Extent::Long => Criterion::default()
            .sample_size(20)
            .warm_up_time(Duration::from_millis(300))
            .measurement_time(time),
        Extent::Test | Extent::Short => Criterion::default()
            .sample_size(10)
            .nresamples(10_000)
            .warm_up_time(Duration::from_millis(100))
            .measurement_time(time / 6),
    };
    criterion.output_directory(&reports()).configure_from_args()
}

/// Ends a benchmark: writes the page of all reports, and says where it is.
pub fn finish(criterion: &Criterion) {
    criterion.final_summary();
    let page = reports().join("report/index.html");
    if Extent::wanted() != Extent::Test && page.exists() {
        let here = env::current_dir().expect("the working directory is there");
        println!("\nThe report: {}", page.strip_prefix(here).unwrap_or(&page).display());
    }
}

/// In the target directory, of which a benchmark is `release/deps/NAME`.
fn reports() -> PathBuf {
    if let Some(chosen) = env::var_os("CRITERION_HOME") {
        return chosen.into();
    }
    let program = env::current_exe().expect("it is running");
    program.ancestors().nth(3).expect("it is in the target directory").join("criterion")
}
