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
        &["history"],
        &["forget"],
        &["report", "--since", "yesterday"],
    ] {
        let said = tool.run(arguments);
        assert_eq!(said.code, Some(2), "{arguments:?}: {}", said.out);
        assert!(said.err.contains("Usage") || said.err.contains("--help"), "{arguments:?}: {}", said.err);
    }
    tool.run(&["--help"]).has(0, "Exit codes");
    tool.run(&["--help"]).has(0, "ps");
    tool.run(&["--help"]).has(0, "SESSION_HISTORY");
    tool.run(&["check", "--help"]).has(0, "exit code is 0 if all is well");
    tool.run(&["--version"]).has(0, env!("CARGO_PKG_VERSION"));
    for heading in ["Connection options:", "Output options:"] {
        tool.run(&["list", "-h"]).has(0, heading);
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        tool.run(&["completions", shell]).has(0, "revoke-all");
    }
}

#[test]
fn manual_pages_have_their_sections() {
    let tool = Tool::default();
    let page = tool.run(&["man"]);
    page.has(0, ".TH session-store 1");
    for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "SUBCOMMANDS", "EXTRA", "VERSION"] {
        page.has(0, &format!(".SH {section}"));
    }
    for command in ["list", "history", "report", "revoke-all", "forget", "man"] {
        page.has(0, &format!("session\\-store\\-{}(1)", command.replace('-', "\\-")));
        let of_command = tool.run(&["man", command]);
        of_command.has(0, &format!(".TH session-store-{command} 1"));
        of_command.has(0, r"\fB\-u\fR, \fB\-\-url\fR");
    }
}

/// SECURITY 21: a URL with its password, or an id out of a cookie, at every place where it does not belong.
#[test]
fn no_argument_is_repeated_to_whoever_reads_the_errors() {
    const URL: &str = "redis://ada:correct-horse@127.0.0.1:1/0";
    const ID: &str = "s3Cr3tId_s3Cr3tId_s3Cr3tId_s3Cr3";
    // A variable of another kind of server, so that nothing waits for one.
    let tool = Tool::at("memory:").hiding(["correct-horse", "s3Cr3tId", "ada:", "127.0.0.1:1/0"]);
    let commands: [&[&str]; 16] = [
        &[],
        &["stats"],
        &["list"],
        &["show"],
        &["ttl"],
        &["revoke"],
        &["revoke-all"],
        &["forget"],
        &["history"],
        &["report"],
        &["clear"],
        &["watch"],
        &["check"],
        &["completions"],
        &["man"],
        &["help"],
    ];
    let flags = [
        "--url",
        "--ulr",
        "--prefix",
        "--express-prefix",
        "--layout",
        "--timeout",
        "--max-scan-rate",
        "--color",
        "--limit",
        "--owner",
        "--resume",
        "--count",
        "--interval",
        "--json",
        "--yes",
        "--exact",
        "--no-data",
        "--thorough",
        "--sort",
        "--reverse",
        "--wide",
        "--nonsense",
        "-u",
        "-p",
        "-j",
        "-w",
        "-o",
        "-n",
        "-s",
        "-r",
        "-y",
        "-e",
        "-i",
        "-x",
        "--",
    ];
    for secret in [URL, ID] {
        for command in commands {
            let glued = |flag: &str| format!("{flag}={secret}");
            for placed in [[secret].as_slice(), &[secret, secret], &["--", secret]] {
                tool.run(&[command, placed].concat());
                tool.run(&[placed, command].concat());
            }
            for flag in flags {
                tool.run(&[command, &[flag, secret]].concat());
                tool.run(&[command, &[&glued(flag)]].concat());
                tool.run(&[&[flag, secret], command].concat());
            }
            let dashed = format!("--{secret}");
            tool.run(&[command, &[&dashed]].concat()).has(2, "");
        }
    }
    let said = tool.run(&["list", "--ownr", URL]);
    assert!(
        said.err.contains("did you mean --owner?") && said.err.contains("Usage: session-store list"),
        "{}",
        said.err
    );
    tool.run(&["lits"]).has(2, "did you mean list?");
    tool.run(&["stats", "--layout", "django"]).has(2, "native, express");
    tool.run(&["list", "--limit", ID]).has(2, "--limit <N> has a value that it can't have");
    tool.run(&["show"]).has(2, "<KEY> is missing");
    tool.run(&["list", "--owner", "ada", "--limit", "5"]).has(2, "does not go with");
    tool.run(&["stats", "--timeout", "1", "--timeout", "2"]).has(2, "is there twice");
    tool.run(&["completions", ID]).has(2, "bash");
    tool.run(&["man", ID]).has(2, "name one of stats, list");
    tool.run(&["list", "--sort", "size"]).has(2, "key, owner, label, created, seen, ends, bytes");
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
