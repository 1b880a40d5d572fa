//! The tool on every topology, and over TLS.

use serde_json::{Value, json};
use session_store::SessionId;

use crate::support::redis::{Certificates, Cluster, Sentinels, Server};
use crate::tool::{Tool, connect, signed_in};

/// Sessions that a store of this URL makes are listed, found and ended by the tool.
async fn serves(url: &str, tool: Tool, topology: &str) -> Value {
    let store = connect(url).await;
    let mut ids = Vec::new();
    for _ in 0..40 {
        ids.push(signed_in(&store, SessionId::generate(), "ada", "Laptop").await);
    }
    let tool = tool.hiding(ids.iter().map(SessionId::as_str));
    let listed = tool.run(&["list", "--json"]);
    assert_eq!((listed.code, listed.lines().len()), (Some(0), 40), "{}", listed.err);
    let stats = tool.json(&["stats"]);
    assert_eq!((&stats["totalSessions"], &stats["topology"]), (&json!(40), &json!(topology)));
    let digest = format!(":{}", ids[0].key());
    assert_eq!(tool.json(&["show", &digest])["owner"], "ada");
    tool.run(&["revoke", &digest]).has(0, "ended");
    assert_eq!(tool.json(&["revoke-all", "ada"]), json!({ "revoked": 39 }));
    let checked = tool.run(&["check", "--json"]).json();
    assert!(checked["verdict"] != "unsafe", "{checked}");
    assert_eq!(tool.json(&["clear", "--yes"]), json!({ "ended": 0 }), "nothing is left of the check");
    checked
}

fn about<'v>(checked: &'v Value, subject: &str) -> Vec<&'v Value> {
    let findings = checked["findings"].as_array().unwrap();
    findings.iter().filter(|finding| finding["subject"] == subject).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster() {
    let mut cluster = Cluster::start().await;
    let url = cluster.url();
    let checked = serves(&url, Tool::at(&url), "cluster").await;
    let states = about(&checked, "cluster");
    assert_eq!(states.len(), 3, "{checked}");
    assert!(states.iter().all(|state| state["verdict"] == "ok"), "{checked}");
    assert!(about(&checked, "topology").iter().all(|it| it["verdict"] == "ok"), "{checked}");
    assert_eq!(Tool::at(&url).json(&["stats"])["servers"].as_array().unwrap().len(), 3);
    // A node as if it were alone.
    let alone = cluster.nodes()[0].url();
    Tool::at(alone).run(&["check"]).has(2, "redis-cluster://");

    cluster.nodes_mut()[0].kill();
    cluster.nodes_mut()[3].kill();
    let said = Tool::at(&url).run(&["check", "--timeout", "2"]);
    assert_eq!(said.code, Some(2), "a third of the slots is not served: {}", said.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels() {
    let sentinels = Sentinels::start().await;
    let url = sentinels.url();
    let checked = serves(&url, Tool::at(&url), "sentinel").await;
    let opinions = about(&checked, "sentinels");
    assert_eq!(opinions.len(), 3, "{checked}");
    assert!(opinions.iter().all(|opinion| opinion["verdict"] == "ok"), "{checked}");
    assert!(about(&checked, "topology")[0]["detail"].as_str().unwrap().contains("2 replicas"), "{checked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_with_a_password() {
    let certificates = Certificates::generate();
    let server = Server::start_tls(&certificates, &["--requirepass", "correct-horse"]).await;
    let authority = certificates.authority.certificate.path().display().to_string();
    let url = server.url().replace("://", "://:correct-horse@");
    let with_authority = format!("{url}?cacert={authority}");
    let tool = Tool::at(server.url())
        .set("REDIS_PASSWORD", "correct-horse")
        .set("REDIS_TLS_CACERT", &authority)
        .hiding(["correct-horse"]);
    let checked = serves(&with_authority, tool, "standalone").await;
    let encryption = about(&checked, "encryption")[0];
    assert!(encryption["detail"].as_str().unwrap().contains("is encrypted"), "{checked}");
    assert!(about(&checked, "login")[0]["detail"].as_str().unwrap().contains("with a password"), "{checked}");
    // Whom nobody vouches for, and who is not verified.
    let stranger = Tool::at(&url).hiding(["correct-horse"]);
    stranger.run(&["check"]).has(2, "reachable");
    stranger.run(&["check", "--url", &format!("{url}?insecure=true")]).has(1, "any certificate is accepted");
}
