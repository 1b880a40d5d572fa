//! How the tool is asked, rightly and wrongly.

use crate::support::redis::Server;
use crate::tool::Tool;

#[test]
fn wrong_usage_is_told_from_what_was_found() {
    let tool = Tool::default();
    for arguments in [
        &[][..],
        &["lits"],
        &["list", "--nonsense"],
        &["list", "--limit", "0"],
        &["list", "--owner", "ada", "--limit", "5"],
        &["show"],
        &["revoke"],
        &["stats", "--timeout", "0"],
        &["stats", "--layout", "django"],
    ] {
        let said = tool.run(arguments);
        assert_eq!(said.code, Some(2), "{arguments:?}: {}", said.out);
        assert!(said.err.contains("Usage") || said.err.contains("--help"), "{arguments:?}: {}", said.err);
    }
    tool.run(&["--help"]).has(0, "Exit codes");
    tool.run(&["--help"]).has(0, "ps");
    tool.run(&["check", "--help"]).has(0, "exit code is 0 if all is well");
    tool.run(&["--version"]).has(0, env!("CARGO_PKG_VERSION"));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        tool.run(&["completions", shell]).has(0, "revoke-all");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_is_the_services_own() {
    for tool in [Tool::default(), Tool::at("memory:"), Tool::at("redis://h").set("REDIS_ENABLED", "false")] {
        tool.run(&["list"]).has(2, "belong to the process");
        tool.run(&["check"]).has(2, "belong to the process");
    }
    let server = Server::start().await;
    let tool = Tool::at("redis://127.0.0.1:1").set("REDIS_ENABLED", "false").set("SESSION_SECRET", "short");
    tool.run(&["stats", "--url", &server.url()]).has(0, "0 sessions");
    let by_host = Tool::default().set("REDIS_HOST", "127.0.0.1").set("REDIS_PORT", server.port().to_string());
    by_host.run(&["stats"]).has(0, "0 sessions");
    // A mistake in a URL is not answered with the URL.
    let secret = Tool::default().hiding(["correct-horse"]);
    secret.run(&["list", "--url", "redis://:correct-horse@"]).has(2, "REDIS_URL");
    let tool = Tool::at(server.url()).set("SESSION_LAYOUT", "django");
    tool.run(&["list"]).has(2, "SESSION_LAYOUT");
    // What has no effect is said, and not in between what is printed.
    let said = Tool::at(server.url()).set("SESSION_EXPRESS_PREFIX", "x:").run(&["list", "--json"]);
    assert!(said.err.contains("SESSION_EXPRESS_PREFIX has no effect") && said.out.is_empty(), "{}", said.err);
}
