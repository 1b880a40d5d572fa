use super::*;

fn reply(line: &str) -> Failure {
    let value = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
    Failure::Redis(value.extract_error().unwrap_err())
}

fn broken() -> Failure {
    Failure::Redis(std::io::Error::from(std::io::ErrorKind::BrokenPipe).into())
}

#[test]
fn what_passes_is_unavailable_and_had_no_effect() {
    for code in ["LOADING", "READONLY", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "BUSY", "NOREPLICAS"] {
        let error = reply(&format!("{code} for now")).into_error(Effect::Write);
        let Error::Unavailable { outcome_unknown: false, reason, .. } = error else {
            panic!("{code}: {error:?}");
        };
        assert_eq!(reason, format!("{code} for now"));
    }
}

#[test]
fn other_answers_are_refusals_in_the_servers_words() {
    for line in ["OOM command not allowed", "NOAUTH Authentication required.", "ERR boo", "NOPERM no"] {
        let error = reply(line).into_error(Effect::Write);
        assert!(matches!(&error, Error::Refused { message } if message == line), "{error:?}");
    }
}

#[test]
fn silence_leaves_the_outcome_of_writes_unknown() {
    let timed_out = || Failure::TimedOut(Duration::from_millis(500));
    assert!(broken().into_error(Effect::Write).outcome_unknown());
    assert!(timed_out().into_error(Effect::Write).outcome_unknown());
    for failure in [
        broken().into_error(Effect::Read),
        timed_out().into_error(Effect::Read),
        Failure::NotConnected("why".to_owned()).into_error(Effect::Write),
        broken().at(&"localhost:6379").into_error(Effect::Write),
    ] {
        assert!(matches!(failure, Error::Unavailable { outcome_unknown: false, .. }), "{failure:?}");
    }
}

#[test]
fn a_lost_or_useless_server_condemns_the_connection() {
    assert!(broken().condemns_connection());
    assert!(reply("NOAUTH Authentication required.").condemns_connection());
    assert!(!reply("OOM command not allowed").condemns_connection());
    assert!(!reply("LOADING Redis is loading").condemns_connection());
    assert!(!Failure::TimedOut(Duration::ZERO).condemns_connection());
}

/// SECURITY 21.
#[test]
fn quoted_arguments_are_cut_off() {
    let echo = "ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'me' 'hunter2' ";
    let error = reply(echo).at(&"localhost:6379").into_error(Effect::Read);
    assert!(matches!(&error, Error::Refused { message } if message == "ERR unknown command 'HELLO'"));
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[test]
fn nodes_of_a_cluster_send_elsewhere() {
    let from = Host { name: "10.0.0.1".to_owned(), port: 7000 };
    let host = |name: &str, port| Host { name: name.to_owned(), port };
    for (line, expected) in [
        ("MOVED 3999 10.0.0.2:7001", Some(Redirection::Moved(host("10.0.0.2", 7001)))),
        ("ASK 3999 10.0.0.2:7001", Some(Redirection::Ask(host("10.0.0.2", 7001)))),
        ("MOVED 3999 node.example:7001", Some(Redirection::Moved(host("node.example", 7001)))),
        ("MOVED 3999 fd00::2:7001", Some(Redirection::Moved(host("fd00::2", 7001)))),
        ("MOVED 3999 :7001", Some(Redirection::Moved(host("10.0.0.1", 7001)))),
        ("MOVED 3999 ?:7001", Some(Redirection::Moved(host("10.0.0.1", 7001)))),
        ("MOVED 3999", None),
        ("MOVED 3999 10.0.0.2:x", None),
        ("TRYAGAIN Multiple keys request during rehashing of slot", Some(Redirection::TryAgain)),
        (
            "ERR Script attempted to access a non local key in a cluster node script: x, on @user_script:1.",
            Some(Redirection::TryAgain),
        ),
        ("ERR unknown command", None),
        ("CLUSTERDOWN The cluster is down", None),
    ] {
        assert_eq!(reply(line).redirection(&from), expected, "{line}");
        if expected == Some(Redirection::TryAgain) {
            let error = reply(line).into_error(Effect::Write);
            assert!(matches!(error, Error::Unavailable { outcome_unknown: false, .. }), "{error:?}");
        }
    }
    assert!(reply("CLUSTERDOWN x").doubts_the_node() && broken().doubts_the_node());
    assert!(!reply("LOADING x").doubts_the_node() && !reply("OOM x").doubts_the_node());
    assert!(reply("MOVED 1 a:1").to_string().contains("redis-cluster://"));
}

/// What servers answered, as they worded it, and what that comes to.
#[test]
fn each_version_of_a_server_words_an_error_in_its_own_way() {
    const CALL: &str = "ERR Error running script (call to f_1f8f4cfba6f3375f8c4ec02b9de4361a5dea5c64): \
                        @user_script:1: ";
    const AT: &str = " script: 1f8f4cfba6f3375f8c4ec02b9de4361a5dea5c64, on @user_script:1.";
    let read_only = "READONLY You can't write against a read only replica.";
    let full = "OOM command not allowed when used memory > 'maxmemory'.";
    let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
    let (unavailable, refused) = (true, false);
    for (line, passes, shown) in [
        // Outside of scripts, and by `redis.pcall` since 7.0.
        (read_only.to_owned(), unavailable, read_only),
        (full.to_owned(), refused, full),
        (wrong.to_owned(), refused, wrong),
        // By `redis.call` since 7.0.
        (format!("{read_only}{AT}"), unavailable, read_only),
        (format!("{full}{AT}"), refused, full),
        (format!("{wrong}{AT}"), refused, wrong),
        (
            format!("NOREPLICAS Not enough good replicas to write.{AT}"),
            unavailable,
            "NOREPLICAS Not enough good replicas to write.",
        ),
        // By `redis.call` before 7.0.
        (format!("{CALL}@user_script: 1: -{read_only}"), unavailable, read_only),
        (format!("{CALL}@user_script: 1: -{full}"), refused, full),
        (format!("{CALL}{wrong}"), refused, wrong),
        // By `redis.pcall` before 7.0; 6.0 leaves blanks at the end.
        (format!("@user_script: 1: -{read_only}  "), unavailable, read_only),
        (format!("@user_script: 12: -{full}"), refused, full),
        // A script that meets the state of the cluster: before 7.0, since, and of Valkey 8 and Redis 8.
        (
            format!(
                "{CALL}@user_script: 1: Lua script attempted to access a non local key in a cluster node"
            ),
            unavailable,
            "TRYAGAIN",
        ),
        (
            format!("ERR Script attempted to access a non local key in a cluster node{AT}"),
            unavailable,
            "TRYAGAIN",
        ),
        (format!("ERR Script attempted to access a slot not served{AT}"), unavailable, "CLUSTERDOWN"),
        (
            format!(
                "ERR Script attempted to execute a write command while the cluster is down and readonly{AT}"
            ),
            unavailable,
            "CLUSTERDOWN",
        ),
        // Permissions, of 6.x, 7.0, and later.
        (
            format!(
                "{CALL}@user_script: 1: The user executing the script can't run this command or subcommand"
            ),
            refused,
            "NOPERM",
        ),
        (
            format!("ERR The user executing the script can't run this command or subcommand{AT}"),
            refused,
            "NOPERM",
        ),
        (
            format!("ERR ACL failure in script: User u has no permissions to run the 'incr' command{AT}"),
            refused,
            "NOPERM",
        ),
        // A mistake in a script.
        (format!("{CALL}attempt to index a nil value"), refused, "ERR Error running script"),
        (
            "ERR unknown command `EVALX`, with args beginning with: `a`, ".to_owned(),
            refused,
            "ERR unknown command `EVALX`",
        ),
    ] {
        let failure = reply(&line);
        assert!(failure.to_string().starts_with(shown), "{line}: {failure}");
        assert_eq!(failure.is_read_only(), line.contains("READONLY"), "{line}");
        assert_eq!(failure.is_wrong_type(), line.contains("WRONGTYPE"), "{line}");
        let error = failure.into_error(Effect::Write);
        let is_what_it_should = match error {
            Error::Unavailable { outcome_unknown, .. } => passes == unavailable && !outcome_unknown,
            Error::Refused { .. } => passes == refused,
            _ => false,
        };
        assert!(is_what_it_should, "{line}: {error:?}");
    }
}
