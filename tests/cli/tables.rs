//! How lists are sorted, and how wide tables are.

use serde_json::Value;
use session_store::{Codec, Owner, SessionId, Timestamp};

use crate::support::redis::Server;
use crate::tool::{Tool, connect, record, store};

/// The older of these sessions are larger, and end sooner.
async fn tool(server: &Server) -> Tool {
    let redis = connect(&server.url()).await;
    for (age, owner) in [(1, Some("bob")), (2, None), (3, Some("ada"))] {
        let mut record = record();
        let earlier = |moment: Timestamp| Timestamp::from_millis(moment.as_millis() - 600_000 * age);
        record.created_at = earlier(record.created_at);
        record.expires_at = earlier(record.expires_at);
        record.owner = owner.map(|owner| Owner::new(owner).unwrap());
        record.data = Codec::Json.encode(&"x".repeat(usize::try_from(age).unwrap())).unwrap();
        store(&redis, &SessionId::generate(), &record).await;
    }
    Tool::at(server.url())
}

fn owners(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["owner"].as_str().unwrap_or("-")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_sorted() {
    let server = Server::start().await;
    let tool = tool(&server).await;
    for (options, expected) in [
        (&["--sort", "owner"][..], ["-", "ada", "bob"]),
        (&["--sort", "created"], ["ada", "-", "bob"]),
        (&["--sort", "created", "--reverse"], ["bob", "-", "ada"]),
        (&["-s", "ends"], ["ada", "-", "bob"]),
        (&["-s", "seen", "-r"], ["bob", "-", "ada"]),
        (&["-rs", "bytes"], ["ada", "-", "bob"]),
        (&["-s", "bytes"], ["bob", "-", "ada"]),
    ] {
        let listed = tool.run(&[&["list", "-j"], options].concat());
        assert_eq!(owners(&listed.lines()), expected, "{options:?}: {}", listed.err);
    }
    let largest = tool.run(&["list", "-j", "-rs", "bytes", "-n", "1"]);
    assert_eq!((owners(&largest.lines()), largest.err.as_str()), (vec!["ada"], ""), "no cursor leads on");
    tool.run(&["list", "-s", "bytes", "--resume", "x"]).has(2, "does not go with");
}

#[tokio::test(flavor = "multi_thread")]
async fn wide_tables_have_all_columns_and_exact_times() {
    let server = Server::start().await;
    let tool = tool(&server).await;
    let first = |arguments: &[&str]| {
        let said = tool.run(arguments);
        said.has(0, "");
        said.out
            .lines()
            .map(|line| line.split_whitespace().map(str::to_owned).collect())
            .collect::<Vec<Vec<_>>>()
    };
    let narrow = first(&["list", "-rs", "bytes"]);
    assert_eq!(narrow[0], ["KEY", "OWNER", "LABEL", "SEEN", "ENDS"]);
    assert_eq!(narrow[1][1..], ["ada", "-", "30m", "ago", "in", "29m"]);
    let wide = first(&["list", "-rs", "bytes", "--wide"]);
    assert_eq!(wide[0], ["KEY", "OWNER", "LABEL", "CREATED", "SEEN", "ENDS", "BYTES"]);
    assert!(wide[1][3..6].iter().all(|time| time.len() == 20 && time.ends_with('Z')), "{wide:?}");
    let servers = first(&["stats", "-w"]);
    assert!(servers.iter().any(|line| line.contains(&"EVICTION".to_owned())), "{servers:?}");
    let narrow = first(&["stats"]);
    assert!(narrow.iter().all(|line| !line.contains(&"EVICTION".to_owned())), "{narrow:?}");
}
