//! The launchers in `support/redis` start what they say, and break it as they say.

#![cfg(feature = "redis")]

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use support::redis::{Certificates, Cluster, Identity, Proxy, Sentinels, Server, wait_until};

/// The slot of `a`, in the last third.
const SLOT: u16 = 15495;

async fn ask(server: &Server, command: &str) -> String {
    server.ask(command).await.unwrap_or_else(|e| panic!("{command}: {e}"))
}

async fn error(server: &Server, command: &str) -> String {
    let answer: RedisResult<String> = server.ask(command).await;
    let error = answer.expect_err(command);
    format!("{} {}", error.code().unwrap_or_default(), error.detail().unwrap_or_default())
}

fn is_running(pid: u32) -> bool {
    let signal = Command::new("kill").args(["-0", &pid.to_string()]).stderr(Stdio::null()).status();
    signal.unwrap().success()
}

/// What a server says to `PING` over TLS, if it and the client accept each other.
fn ping_over_tls(server: &Server, authority: &Identity, client: Option<&Identity>) -> String {
    let mut openssl = Command::new("openssl");
    openssl.args(["s_client", "-quiet", "-verify_return_error", "-verify_ip", "127.0.0.1"]);
    openssl
        .arg("-connect")
        .arg(server.address().to_string())
        .arg("-CAfile")
        .arg(authority.certificate.path());
    if let Some(Identity { certificate, key }) = client {
        openssl.arg("-cert").arg(certificate.path()).arg("-key").arg(key.path());
    }
    let mut openssl =
        openssl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    // It may have given up already.
    let _ = openssl.stdin.as_mut().unwrap().write_all(b"PING\r\n");
    let mut reply = String::new();
    BufReader::new(openssl.stdout.as_mut().unwrap()).read_line(&mut reply).unwrap();
    openssl.kill().unwrap();
    openssl.wait().unwrap();
    reply
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_gone_with_its_value_even_if_it_is_frozen() {
    let server = Server::start_with(&["--requirepass", "secret"]).await;
    let (_, directory): (String, String) = server.ask("CONFIG GET dir").await.unwrap();
    let pid = server.pid();
    assert!(is_running(pid) && Path::new(&directory).is_dir());
    server.freeze();
    drop(server);
    assert!(!is_running(pid) && !Path::new(&directory).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_comes_back_on_its_port() {
    let mut server = Server::start().await;
    let before = (server.pid(), server.url());
    assert_eq!(ask(&server, "SET key value").await, "OK");
    server.restart().await;
    assert!(before.0 != server.pid() && before.1 == server.url());
    assert_eq!(ask(&server, "DBSIZE").await, "0");
    let client = redis::Client::open(server.url()).unwrap();
    assert!(client.get_multiplexed_async_connection().await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_tells_friends_from_strangers() {
    let (ours, strange) = (Certificates::generate(), Certificates::generate());
    let elsewhere = Certificates::for_names("DNS:elsewhere.example");
    let server = Server::start_tls(&ours, &[]).await;
    assert!(server.url().starts_with("rediss://"));
    assert!(ping_over_tls(&server, &ours.authority, None).starts_with("+PONG"));
    assert_eq!(ping_over_tls(&server, &strange.authority, None), "");
    let misnamed = Server::start_tls(&elsewhere, &[]).await;
    assert_eq!(ping_over_tls(&misnamed, &elsewhere.authority, None), "");

    let strict = Server::start_tls(&ours, &["--tls-auth-clients", "yes"]).await;
    assert!(ping_over_tls(&strict, &ours.authority, Some(&ours.client)).starts_with("+PONG"));
    for client in [None, Some(&strange.client)] {
        assert_eq!(ping_over_tls(&strict, &ours.authority, client), "");
    }
    assert!(ours.client.key.bytes().starts_with(b"-----BEGIN PRIVATE KEY-----"));
}

async fn through(proxy: &Proxy) -> RedisResult<MultiplexedConnection> {
    redis::Client::open(proxy.url())?.get_multiplexed_async_connection().await
}

async fn incremented(client: &mut MultiplexedConnection) -> RedisResult<u32> {
    redis::cmd("INCR").arg("count").query_async(client).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_cuts_heals_and_closes_its_link() {
    let server = Server::start().await;
    let proxy = Proxy::to(server.address()).await;
    let mut client = through(&proxy).await.unwrap();
    assert_eq!(incremented(&mut client).await.unwrap(), 1);

    proxy.cut();
    let begun = Instant::now();
    assert!(incremented(&mut client).await.unwrap_err().is_timeout());
    assert!(through(&proxy).await.unwrap_err().is_timeout());
    assert!(begun.elapsed() > Duration::from_millis(500), "silence, not an error");
    assert_eq!(proxy.accepted(), 2);
    assert_eq!(ask(&server, "GET count").await, "1", "nothing got through");

    proxy.heal();
    assert!(incremented(&mut client).await.unwrap_err().is_timeout(), "what was cut stays dead");
    let mut client = through(&proxy).await.unwrap();
    assert_eq!(incremented(&mut client).await.unwrap(), 2);

    proxy.close();
    assert!(incremented(&mut client).await.unwrap_err().is_connection_dropped());
    assert_eq!(incremented(&mut through(&proxy).await.unwrap()).await.unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_holds_replies_back_while_requests_pass() {
    let server = Server::start().await;
    let proxy = Proxy::to(server.address()).await;
    let mut client = through(&proxy).await.unwrap();
    proxy.hold_replies();
    let reply = tokio::spawn(async move { incremented(&mut client).await });
    wait_until("the request has passed", || async { ask(&server, "EXISTS count").await == "1" }).await;
    assert!(!reply.is_finished());
    proxy.release_replies();
    assert_eq!(reply.await.unwrap().unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_replaces_dead_and_frozen_masters_and_takes_them_back() {
    let mut cluster = Cluster::start().await;
    assert_eq!((cluster.master_of(0).await, cluster.master_of(SLOT).await), (0, 2));
    assert_eq!(ask(&cluster.nodes()[2], "SET a 1").await, "OK");
    assert_eq!(ask(&cluster.nodes()[2], "WAIT 1 5000").await, "1");
    cluster.nodes_mut()[2].kill();
    cluster.wait_for_promotion(2).await;
    assert_eq!(cluster.master_of(SLOT).await, 5);
    cluster.nodes_mut()[2].restart().await;
    cluster.wait_until_well().await;

    cluster.nodes()[5].freeze();
    cluster.wait_for_promotion(5).await;
    assert_eq!(cluster.master_of(SLOT).await, 2);
    assert_eq!(ask(&cluster.nodes()[2], "GET a").await, "1");
    cluster.nodes()[5].thaw();
    cluster.wait_until_well().await;
    assert!(ask(&cluster.nodes()[5], "INFO replication").await.contains("role:slave"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_moves_step_by_step_with_tls_and_password() {
    let cluster = Cluster::start_tls(&Certificates::generate(), &["--requirepass", "secret"]).await;
    assert!(cluster.url().starts_with("rediss-cluster://127.0.0.1:"));
    let [target, _, source, ..] = cluster.nodes() else { panic!("there are six") };
    assert_eq!(ask(source, "SET a 1").await, "OK");
    assert_eq!(ask(source, "SET {a}2 2").await, "OK");

    let from = cluster.begin_migration(SLOT, 0).await;
    assert_eq!((from, cluster.master_of(SLOT).await), (2, 2));
    assert_eq!(ask(source, "GET a").await, "1");
    assert_eq!(error(source, "GET {a}none").await, format!("ASK {SLOT} {}", target.address()));
    cluster.move_keys(SLOT, from, 0).await;
    cluster.finish_migration(SLOT, from, 0).await;
    assert_eq!(cluster.master_of(SLOT).await, 0);
    assert_eq!(ask(target, "GET {a}2").await, "2");

    let in_a_task = async move {
        cluster.migrate_slot(SLOT, 1).await;
        cluster
    };
    let cluster = tokio::spawn(in_a_task).await.unwrap();
    assert_eq!(ask(&cluster.nodes()[1], "GET a").await, "1");
    cluster.wait_until_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_behind_proxies_does_without_a_cut_one() {
    let cluster = Cluster::start_behind_proxies().await;
    let proxy = &cluster.proxies()[2];
    assert_eq!(error(&cluster.nodes()[0], "GET a").await, format!("MOVED {SLOT} {}", proxy.address()));
    assert!(cluster.url().ends_with(&proxy.address().to_string()));
    let mut client = through(proxy).await.unwrap();
    proxy.cut();
    assert!(incremented(&mut client).await.unwrap_err().is_timeout());
    assert_eq!(ask(&cluster.nodes()[2], "SET a 1").await, "OK");
    assert_eq!(ask(&cluster.nodes()[2], "WAIT 1 5000").await, "1", "nodes talk past the proxies");
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_replace_dead_and_frozen_masters_and_take_them_back() {
    let mut sentinels = Sentinels::start().await;
    assert_eq!(sentinels.master().await, 0);
    sentinels.servers_mut()[0].kill();
    sentinels.wait_for_new_master(0).await;
    let second = sentinels.master().await;
    assert_eq!(ask(&sentinels.servers()[second], "SET a 1").await, "OK");
    sentinels.servers_mut()[0].restart().await;
    sentinels.wait_until_well().await;
    assert_eq!(ask(&sentinels.servers()[second], "WAIT 2 5000").await, "2");

    sentinels.servers()[second].freeze();
    sentinels.wait_for_new_master(second).await;
    let third = sentinels.master().await;
    assert_eq!(ask(&sentinels.servers()[third], "GET a").await, "1");
    sentinels.servers()[second].thaw();
    sentinels.wait_until_well().await;
    assert!(ask(&sentinels.servers()[second], "INFO replication").await.contains("role:slave"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_know_their_passwords_and_speak_tls() {
    let certificates = Certificates::generate();
    let passwords = [["--requirepass", "servers'"], ["--requirepass", "sentinels'"]];
    let sentinels = Sentinels::start_tls(&certificates, &passwords[0], &passwords[1]).await;
    assert!(sentinels.url().starts_with("rediss-sentinel://127.0.0.1:"));
    assert!(sentinels.url().ends_with("/mymaster"));
    for server in sentinels.servers().iter().chain(sentinels.sentinels()) {
        assert!(ping_over_tls(server, &certificates.authority, None).starts_with("-NOAUTH"));
    }
    sentinels.failover().await;
    sentinels.wait_for_new_master(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_leave_a_master_whose_proxy_is_cut() {
    let sentinels = Sentinels::start_behind_proxies().await;
    sentinels.proxies()[0].cut();
    sentinels.wait_for_new_master(0).await;
    assert!(ask(&sentinels.servers()[0], "INFO replication").await.contains("role:master"), "it can't know");
    sentinels.proxies()[0].heal();
    sentinels.proxies()[0].close();
    sentinels.wait_until_well().await;
    assert!(ask(&sentinels.servers()[0], "INFO replication").await.contains("role:slave"));
}
