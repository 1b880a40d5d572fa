//! What `check` thinks of servers, and its exit codes.

#[cfg(feature = "tls")]
use crate::support::redis::Certificates;
use crate::support::redis::Server;
use crate::tool::Tool;

const WELL: [&str; 2] = ["--appendonly", "yes"];

async fn check(options: &[&str], code: i32, words: &str) {
    let server = Server::start_with(options).await;
    let tool = Tool::at(server.url());
    tool.run(&["check"]).has(code, words);
    let checked = tool.run(&["check", "--json"]);
    assert_eq!(checked.code, Some(code));
    let verdict = ["ok", "warning", "unsafe"][usize::try_from(code).unwrap()];
    assert_eq!(checked.json()["verdict"], verdict, "{}", checked.out);
    assert_eq!(server.ask::<u32>("DBSIZE").await.unwrap(), 0, "nothing is left of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes() {
    check(&WELL, 0, "noeviction").await;
    check(&["--save", "3600 1"], 0, "snapshots are taken").await;
    check(&[], 1, "nothing is written to disk").await;
    let with = |options: [&'static str; 4]| [&WELL[..], &options].concat();
    check(&with(["--maxmemory-policy", "volatile-lru", "--maxmemory", "100mb"]), 1, "volatile-lru").await;
    check(&with(["--maxmemory-policy", "allkeys-lru", "--maxmemory", "100mb"]), 2, "allkeys-lru").await;
    check(&with(["--maxmemory-policy", "noeviction", "--maxmemory", "1mb"]), 2, "OOM").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_no_place_for_sessions() {
    let master = Server::start().await;
    let replica = Server::start_with(&["--replicaof", &format!("127.0.0.1 {}", master.port())]).await;
    Tool::at(replica.url()).run(&["check"]).has(2, "takes no writes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_is_said_so() {
    let mut server = Server::start().await;
    server.kill();
    let tool = Tool::at(server.url().replace("://", "://:correct-horse@")).hiding(["correct-horse"]);
    let said = tool.run(&["check", "--json", "--timeout", "1"]);
    assert_eq!((said.code, &said.json()["findings"][0]["subject"]), (Some(2), &"reachable".into()));
    tool.run(&["check", "--timeout", "1"]).has(2, "unsafe   reachable");
    tool.run(&["list", "--timeout", "1"]).has(2, "unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn colors_are_for_whom_they_are_wanted_by() {
    let server = Server::start().await;
    let tool = Tool::at(server.url());
    let colored = |tool: &Tool, when: &str| {
        let output = tool.command(&["check", "--color", when]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().contains('\u{1b}')
    };
    assert!(colored(&tool, "always") && !colored(&tool, "auto") && !colored(&tool, "never"));
    assert!(colored(&tool.set("NO_COLOR", "1"), "always"), "a flag says more than a variable");
}

#[cfg(feature = "tls")]
#[tokio::test(flavor = "multi_thread")]
async fn a_url_with_the_wrong_encryption_is_said_so() {
    let certificates = Certificates::generate();
    let (plain, tls) = (Server::start().await, Server::start_tls(&certificates, &[]).await);
    for (url, words) in [
        (plain.url().replace("redis://", "rediss://"), "the server does not speak TLS"),
        (tls.url().replace("rediss://", "redis://"), "its URL begins with rediss://"),
    ] {
        let tool = Tool::at(url);
        tool.run(&["check", "--timeout", "5"]).has(2, words);
        tool.run(&["list", "--timeout", "5"]).has(2, words);
    }
}
