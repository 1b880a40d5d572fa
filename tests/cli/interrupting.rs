//! Lists that end early.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Command;

use serde_json::Value;

use crate::support::redis::Server;
use crate::tool::{Said, Tool, anonymous, connect};

const MANY: usize = 2000;

async fn fill(url: &str) {
    let store = connect(url).await;
    let mut making = tokio::task::JoinSet::new();
    for _ in 0..MANY {
        let store = store.clone();
        making.spawn(async move { anonymous(&store).await });
        if making.len() > 100 {
            making.join_next().await;
        }
    }
    making.join_all().await;
}

fn keys(lines: &[Value]) -> HashSet<String> {
    lines.iter().map(|line| line["key"].as_str().unwrap().to_owned()).collect()
}

fn cursor(said: &Said) -> String {
    let (_, cursor) = said.err.trim_end().rsplit_once("--resume ").expect("it says where to go on");
    // In quotes, as a shell needs it.
    cursor.strip_prefix('\'').and_then(|cursor| cursor.strip_suffix('\'')).expect("in quotes").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_was_interrupted_goes_on_where_it_was() {
    let server = Server::start().await;
    fill(&server.url()).await;
    let tool = Tool::at(server.url());
    let mut child = tool.command(&["list", "--json"]).spawn().unwrap();
    // What is printed fills the pipe, so the list is under way and does not come to its end.
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut printed = String::new();
    out.read_line(&mut printed).unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.is_ok_and(|status| status.success()));
    out.read_to_string(&mut printed).unwrap();
    let mut output = child.wait_with_output().unwrap();
    output.stdout = printed.into_bytes();
    let first = tool.read(output);
    first.has(130, "--resume ");
    let seen = keys(&first.lines());
    assert!(!seen.is_empty() && seen.len() < MANY, "{}", seen.len());

    let rest = tool.run(&["list", "--json", "--resume", &cursor(&first)]);
    rest.has(0, "");
    let more = keys(&rest.lines());
    assert_eq!(seen.union(&more).count(), MANY);
    assert_eq!(seen.intersection(&more).count(), 0, "what had come was printed to its end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_may_be_limited_and_read_in_part() {
    let server = Server::start().await;
    fill(&server.url()).await;
    let tool = Tool::at(server.url());
    let mut seen = HashSet::new();
    let mut said = tool.run(&["list", "--json", "--limit", "700"]);
    assert!(said.lines().len() >= 700);
    seen.extend(keys(&said.lines()));
    while said.err.contains("--resume") {
        said = tool.run(&["list", "--json", "--limit", "700", "--resume", &cursor(&said)]);
        said.has(0, "");
        seen.extend(keys(&said.lines()));
    }
    assert_eq!(seen.len(), MANY);

    // Also in small steps it gets on.
    let mut said = tool.run(&["list", "--json", "--limit", "6"]);
    let mut seen = keys(&said.lines());
    for _ in 0..10 {
        said = tool.run(&["list", "--json", "--limit", "6", "--resume", &cursor(&said)]);
        assert!(said.lines().len() >= 6);
        let before = seen.len();
        seen.extend(keys(&said.lines()));
        assert!(seen.len() > before, "it gets on");
    }

    // As `list | head -1`.
    let mut child = tool.command(&["list"]).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let said = tool.read(child.wait_with_output().unwrap());
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    tool.run(&["list", "--resume", "nonsense"]).has(2, "cursor");
}

#[tokio::test(flavor = "multi_thread")]
async fn watching_outlives_an_outage_and_ends_when_it_is_interrupted() {
    let mut server = Server::start().await;
    let tool = Tool::at(server.url());
    let mut child = tool.command(&["watch", "--json", "--interval", "0.05"]).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    server.kill();
    while !line.contains("unavailable") {
        line.clear();
        out.read_line(&mut line).unwrap();
    }
    server.restart().await;
    while !line.contains("totalSessions\":0") {
        line.clear();
        out.read_line(&mut line).unwrap();
    }
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.is_ok_and(|status| status.success()));
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    let said = tool.read(child.wait_with_output().unwrap());
    assert_eq!(said.code, Some(0), "{}", said.err);
}
