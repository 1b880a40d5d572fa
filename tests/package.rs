//! What the package says about itself is true.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

fn metadata() -> Value {
    let mut cargo = Command::new(env!("CARGO"));
    let output =
        cargo.args(["metadata", "--format-version", "1", "--all-features", "--locked"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} is no text in {value}"))
}

/// The packages that a user of the crate compiles: normal and build dependencies, not ours for tests.
fn compiled_by_users(metadata: &Value) -> BTreeSet<&str> {
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let nodes: BTreeMap<_, _> = nodes.iter().map(|node| (text(node, "id"), node)).collect();
    let mut found = BTreeSet::new();
    let mut next = vec![text(&metadata["resolve"], "root")];
    while let Some(id) = next.pop() {
        if !found.insert(id) {
            continue;
        }
        for dependency in nodes[id]["deps"].as_array().unwrap() {
            let kinds = dependency["dep_kinds"].as_array().unwrap();
            if kinds.iter().any(|kind| kind["kind"] != "dev") {
                next.push(text(dependency, "pkg"));
            }
        }
    }
    found
}

#[test]
fn the_rust_version_is_the_true_minimum_of_what_is_compiled() {
    let metadata = metadata();
    let compiled = compiled_by_users(&metadata);
    let minor = |version: &str| version.split('.').nth(1).unwrap().parse::<u32>().unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let needed = packages
        .iter()
        .filter(|package| compiled.contains(text(package, "id")) && package["name"] != "session-store")
        .filter_map(|package| {
            package["rust_version"].as_str().map(|version| (minor(version), text(package, "name")))
        })
        .max();
    let ours = minor(env!("CARGO_PKG_RUST_VERSION"));
    assert_eq!(needed.map(|(minor, _)| minor), Some(ours), "{needed:?}");
}

#[test]
fn the_version_heads_the_changelog() {
    let changelog = include_str!("../CHANGELOG.md");
    let newest = changelog.lines().find(|line| line.starts_with("## ")).unwrap();
    assert!(newest.starts_with(concat!("## [", env!("CARGO_PKG_VERSION"), "]")), "{newest}");
}

/// The features for which something is compiled in an old version too, and what.
///
/// ring is the provider of TLS, and seals; the tool does both. The other provider, aws-lc-rs, takes minutes to compile.
/// `http` 0.2 is in the API of actix-web; its `derive_more`, the attributes of `tracing` and warp's `pin-project` are on `syn` 2.
/// warp's `headers` hashes with an old `sha1`, for web sockets.
const BEHIND: [(&str, &[&str]); 5] = [
    ("tls", &["getrandom", "windows-sys"]),
    ("seal", &["getrandom", "windows-sys"]),
    ("cli", &["getrandom", "windows-sys"]),
    ("actix-web", &["http", "syn"]),
    ("warp", &["block-buffer", "cpufeatures", "crypto-common", "digest", "sha1", "syn"]),
];

#[test]
fn no_crate_is_compiled_in_two_versions() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let ours = packages.iter().find(|package| package["name"] == "session-store").unwrap();
    let mut features: Vec<_> = ours["features"].as_object().unwrap().keys().map(String::as_str).collect();
    let is_behind = |feature: &str| BEHIND.iter().any(|(behind, _)| *behind == feature);
    features.retain(|feature| !["default", "full"].contains(feature) && !is_behind(feature));
    assert_eq!(old_versions(&features), [""; 0]);
    for (feature, old) in BEHIND {
        assert_eq!(old_versions(&[&features[..], &[feature]].concat()), old, "{feature}");
    }
}

/// The crates that a user of these features compiles in several versions: a name for each but the first.
/// `cargo metadata` would count in what our tests enable in our dependencies.
fn old_versions(features: &[&str]) -> Vec<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["tree", "--locked", "--edges", "normal,build", "--target", "all", "--prefix", "none"]);
    cargo.args(["--format", "{p}", "--no-default-features", "--features", &features.join(",")]);
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    let versions: BTreeSet<_> = tree
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.next()?))
        })
        .collect();
    let names: Vec<_> = versions.iter().map(|(name, _)| *name).collect();
    names.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0].to_owned()).collect()
}

/// What stands between two backticks.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Who searches for a line of the log finds it in the source, too. What differs from line to line is `…` on a page.
#[test]
fn every_line_of_the_log_that_a_page_explains_is_written_somewhere() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut source = String::new();
    read_sources(&root.join("src"), &mut source);
    let pages = [
        (include_str!("../docs/troubleshooting.md"), "| line | level |", 1),
        (include_str!("../docs/coming_from_node.md"), "| in Node | here | level |", 2),
    ];
    for (page, head, column) in pages {
        let (_, table) = page.split_once(head).unwrap();
        let rows = table.lines().skip(2).take_while(|row| row.starts_with('|'));
        let lines: Vec<_> = rows
            .flat_map(|row| quoted(row.split('|').nth(column).unwrap_or("")))
            .filter(|line| *line != "stats")
            .collect();
        assert!(lines.len() > 8, "{lines:?}");
        for line in lines {
            let is_there = line.split('…').all(|part| source.contains(part.trim()));
            assert!(is_there, "no line of the log is {line:?}");
        }
    }
}

#[test]
fn every_test_by_which_a_service_is_accepted_is_there() {
    let tests = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut source = String::new();
    read_sources(&tests, &mut source);
    let (_, table) = include_str!("../docs/coming_from_node.md").split_once("| | shown by |").unwrap();
    let commands: Vec<_> = table.lines().skip(2).flat_map(quoted).collect();
    assert!(commands.len() > 15, "{commands:?}");
    for command in commands {
        let mut words = command.split(' ');
        let suite = words.next().unwrap();
        if ["cargo", "session-store", "tests/node/install.sh"].contains(&suite) {
            continue;
        }
        let is_suite = |path: &str| tests.join(path).exists();
        let is_module = source.contains(&format!("mod {suite} {{"));
        assert!(
            is_suite(&format!("{suite}.rs")) || is_suite(&format!("{suite}/main.rs")) || is_module,
            "{suite}"
        );
        for part in words.flat_map(|filter| filter.split("::")) {
            assert!(source.contains(part), "no test is called {part:?}, as in {command:?}");
        }
    }
}

fn read_sources(folder: &std::path::Path, source: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_sources(&path, source);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            source.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_test_that_the_page_on_security_names_is_there() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = include_str!("../docs/security.md");
    let mut promises = 0;
    for line in page.lines() {
        let Some(named) = line.strip_prefix("   - ") else {
            promises +=
                usize::from(line.split_once(". ").is_some_and(|(number, _)| number.parse::<u32>().is_ok()));
            continue;
        };
        let mut words = quoted(named);
        let file = words.next().expect("a line names a file");
        let source =
            std::fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        for test in words {
            assert!(source.contains(&format!("fn {test}(")), "{file} has no test {test}");
        }
    }
    assert_eq!(promises, 33);
}
