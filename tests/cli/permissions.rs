//! Users who may not do everything.

use serde_json::{Value, json};

use crate::support::redis::Server;
use crate::tool::{Tool, anonymous, connect};

const STORE: &str = "+set +getrange +setrange +pexpire +del +eval +evalsha";
const OWNERS: &str =
    "+time +zadd +zcount +zrange +zrangebyscore +zrank +zrem +zrevrangebyscore +zscore +pexpireat";
const HISTORIES: &str = "+llen +lpush +lrange +ltrim";
const SURVEY: &str = "+scan +strlen +dbsize +info +memory|usage";

async fn allow(server: &Server, rules: &str) -> Tool {
    let rules = format!("ACL SETUSER app reset on >correct-horse ~session:* {rules}");
    server.ask::<String>(&rules).await.unwrap();
    let url = server.url().replace("://", "://app:@");
    Tool::at(url).set("REDIS_PASSWORD", "correct-horse").hiding(["correct-horse"])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_permissions_suffice() {
    let server = Server::start().await;
    let id = anonymous(&*connect(&server.url()).await).await;
    let tool = allow(&server, &format!("{STORE} {OWNERS} {SURVEY}")).await.hiding([id.as_str()]);
    for arguments in [
        &["list"][..],
        &["list", "--owner", "ada"],
        &["stats", "--exact"],
        &["watch", "--count", "1"],
        &["show", id.key().storage_name()],
        &["ttl", id.key().storage_name()],
        &["tidy", "--yes"],
        &["revoke-all", "ada"],
        &["report"],
        &["revoke", id.key().storage_name()],
        &["clear", "--yes"],
    ] {
        let said = tool.run(arguments);
        assert_eq!(said.code, Some(0), "{arguments:?}: {}", said.err);
    }
    // What is not told is no warning.
    let said = tool.run(&["check"]);
    said.has(0, "unknown  persistence");
    said.has(0, "unknown  feed");
    said.has(0, "unknown  history");
    tool.run(&["history", "ada"]).has(2, "permission");
    tool.run(&["forget", "ada", "--yes"]).has(2, "refused the operation");
    let remembering = allow(&server, &format!("{STORE} {OWNERS} {SURVEY} {HISTORIES}")).await;
    remembering.run(&["check"]).has(0, "ok       history      a history can be kept");
    remembering.run(&["history", "ada"]).has(0, "no history");
    remembering.run(&["forget", "ada"]).has(0, "nothing was done");
    remembering.run(&["forget", "ada", "--yes"]).has(0, "sessions ended");
    said.has(0, "a separate user");
    for (more, expected) in [
        (
            "+client|tracking +role",
            "ok       feed         the servers tell of changes; a near cache also needs `+pttl`",
        ),
        ("+client|tracking +role +pttl", "ok       feed         the servers tell of changes, so that"),
    ] {
        let tool = allow(&server, &format!("{STORE} {OWNERS} {SURVEY} {more}")).await;
        tool.run(&["check"]).has(0, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_said() {
    let server = Server::start_with(&["--appendonly", "yes"]).await;
    let tool = allow(&server, STORE).await;
    tool.run(&["list"]).has(2, "permission");
    tool.run(&["check"]).has(2, "unsafe   owners");
    let tool = allow(&server, &format!("{STORE} {OWNERS} +scan +strlen")).await;
    let said = tool.run(&["check"]);
    said.has(1, "warning  info");
    said.has(1, "ok       sessions");
    let tool = allow(&server, &format!("{STORE} {OWNERS} +info")).await;
    let said = tool.run(&["check"]);
    said.has(1, "warning  scan");
    said.has(1, "ok       sessions");
    let tool = allow(&server, &format!("{STORE} {SURVEY} +info")).await;
    tool.run(&["check"]).has(2, "unsafe   owners");
    let tool = allow(&server, &format!("{STORE} {OWNERS} {SURVEY} -set")).await;
    tool.run(&["check"]).has(2, "unsafe   sessions");
    tool.run(&["list"]).has(0, "");

    let wrong = Tool::at(server.url().replace("://", "://app:wrong-horse@")).hiding(["wrong-horse"]);
    wrong.run(&["check"]).has(2, "unsafe   reachable");
    wrong.run(&["list"]).has(2, "refused");
}

/// Unknown is not none.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_scan_watches_all_but_the_number_of_sessions() {
    let server = Server::start().await;
    anonymous(&*connect(&server.url()).await).await;
    let tool = allow(&server, &format!("{STORE} +dbsize +info")).await;
    let read = tool.json(&["watch", "--count", "1"]);
    assert_eq!((&read["totalSessions"], &read["keys"]), (&Value::Null, &json!(1)), "{read}");
}
