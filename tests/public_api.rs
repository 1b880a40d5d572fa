//! The public API stands in `docs/public-api.txt`, so that a change to it is seen in a review.
//!
//! `PUBLIC_API=write cargo test --all-features --test public_api` writes it anew.

#![cfg(all(feature = "actix-web", feature = "axum", feature = "bincode", feature = "cli", feature = "warp"))]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Crates whose types the API may name: the standard library's, those that this crate exports again, serde's
/// traits, and what the frameworks that the adapters are for consist of.
const ALLOWED: [&str; 19] = [
    "session_store",
    "core",
    "alloc",
    "std",
    "bytes",
    "futures_core",
    "serde_json",
    "serde",
    "serde_core",
    "Self",
    "http",
    "http_body",
    "tower_layer",
    "tower_service",
    "axum_core",
    "warp",
    "actix_web",
    "actix_http",
    "actix_service",
];

/// rustdoc with its JSON output, which is unstable. The variable that allows that is for rustdoc alone: in
/// cargo's environment it would have every dependency built again.
fn rustdoc(directory: &Path) -> PathBuf {
    let wrapper = directory.join("rustdoc");
    fs::write(&wrapper, "#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc \"$@\"\n").unwrap();
    let status = Command::new("chmod").arg("+x").arg(&wrapper).status().unwrap();
    assert!(status.success());
    wrapper
}

fn listing() -> String {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("public-api");
    fs::create_dir_all(&directory).unwrap();
    let status = Command::new(env!("CARGO"))
        .args(["rustdoc", "--locked", "--lib", "--all-features", "--quiet", "--"])
        .args(["-Zunstable-options", "--output-format", "json", "--cap-lints", "allow"])
        .env("RUSTDOC", rustdoc(&directory))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(status.unwrap().success(), "rustdoc has an API to tell of");
    let target = directory.ancestors().nth(2).expect("`target/tmp/public-api`");
    let api = public_api::Builder::from_rustdoc_json(target.join("doc/session_store.json"))
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()
        .expect("the JSON form is that of the Rust version which `public-api` is for");
    api.items().map(|item| format!("{item}\n")).collect()
}

#[test]
fn the_public_api_is_as_it_is_written_down() {
    let (listing, file) = (listing(), Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/public-api.txt"));
    if env::var_os("PUBLIC_API").is_some_and(|it| it == "write") {
        fs::write(&file, &listing).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap();
    let lost: Vec<_> = written.lines().filter(|line| !listing.lines().any(|it| it == *line)).collect();
    let new: Vec<_> = listing.lines().filter(|line| !written.lines().any(|it| it == *line)).collect();
    assert!(
        lost.is_empty() && new.is_empty(),
        "the API changed. If that is meant: PUBLIC_API=write cargo test --all-features --test public_api\n\
         gone:\n{}\nnew:\n{}",
        lost.join("\n"),
        new.join("\n"),
    );
    let is_foreign = |name: &str| !ALLOWED.contains(&name);
    let foreign: Vec<_> = listing.lines().filter(|line| crates(line).any(is_foreign)).collect();
    assert!(foreign.is_empty(), "types of other crates:\n{}", foreign.join("\n"));
}

/// The crates of all paths in a line.
fn crates(line: &str) -> impl Iterator<Item = &str> {
    let words = line.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    let names = words.filter_map(|word| word.split_once("::").map(|(name, _)| name));
    // The bound of an associated type comes out without a colon: `Errorcore::convert::Into<…>`.
    let bare = |name| {
        ["Error", "Extract", "Future"].iter().find_map(|it| str::strip_prefix(name, it)).unwrap_or(name)
    };
    names.filter(|name| !name.is_empty()).map(bare)
}

#[test]
fn a_type_of_another_crate_is_found() {
    let line = "pub fn session_store::a(tower_http::B) -> impl Body<Errorrand_core::C> + core::marker::Send";
    assert!(crates(line).eq(["session_store", "tower_http", "rand_core", "core"]));
}
