//! One server.

use super::*;
use crate::support::redis::{Certificates, Proxy, Server};

async fn connect(server: &Server) -> RedisStore {
    RedisStore::connect(server.url()).await.expect("the server answers")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_at_the_start() {
    let mut server = Server::start().await;
    server.kill();
    let error = RedisStore::connect(server.url()).await.unwrap_err();
    assert!(reason(&error).contains(&server.port().to_string()), "{error}");

    let store = RedisStore::builder(server.url()).connect_eventually().await.unwrap();
    assert!(!store.status().connected);
    sleep(CALM).await;
    let error = store.load(&session_store::SessionId::generate().key()).await.unwrap_err();
    assert!(reason(&error).contains("not connected"), "{error}");
    assert!(store.status().last_error.is_some_and(|error| error.contains(&server.port().to_string())));
    server.restart().await;
    let recovery = healthy(&store).await;
    println!("| standalone: down at start | {} | |", recovery.as_millis());
    assert_eq!(store.status().reconnects, 0, "it is the first connection");
    assert!(recovery < PATIENCE, "{recovery:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_and_restarted() {
    let mut server = Server::start_with(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let store = connect(&server).await;
    let account = endure("standalone: SIGKILL and restart", store, async |store| {
        server.kill();
        sleep(4 * CALM).await;
        assert!(!store.status().connected);
        server.restart().await;
        Instant::now()
    });
    assert!(account.await.nothing_lost().errors["not connected"] > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_freezes_for_a_while() {
    let server = Server::start().await;
    let store = connect(&server).await;
    let account = endure("standalone: SIGSTOP 5 s, SIGCONT", store, async |store| {
        server.freeze();
        sleep(Duration::from_secs(5)).await;
        assert!(!store.status().connected);
        server.thaw();
        Instant::now()
    });
    let account = account.await.nothing_lost();
    // Once it counts as frozen, nobody waits for it.
    let waited =
        account.errors.iter().filter(|(error, _)| **error != "not connected").map(|(_, count)| count);
    assert!(waited.sum::<usize>() < 100, "{account}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_silently_cut() {
    let server = Server::start().await;
    let proxy = Proxy::to(server.address()).await;
    let store = RedisStore::connect(proxy.url()).await.unwrap();
    endure("standalone: link cut 3 s", store, async |store| {
        proxy.cut();
        sleep(Duration::from_secs(3)).await;
        assert!(!store.status().connected);
        proxy.heal();
        Instant::now()
    })
    .await
    .nothing_lost();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_closed_by_client_kill() {
    let server = Server::start().await;
    anywhere::client_kill("standalone: CLIENT KILL", connect(&server).await, &[&server]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_memory() {
    let server = Server::start().await;
    anywhere::no_memory("standalone: maxmemory, noeviction", connect(&server).await, &server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_read_only_for_a_while() {
    let (server, master) = (Server::start().await, Server::start().await);
    let store = connect(&server).await;
    let account = endure("standalone: READONLY", store, async |_| {
        // A master that it can't reach leaves it its data.
        let unreachable = format!("REPLICAOF 127.0.0.1 {}", master.port());
        drop(master);
        server.ask::<String>(&unreachable).await.unwrap();
        sleep(2 * CALM).await;
        server.ask::<String>("REPLICAOF NO ONE").await.unwrap();
        Instant::now()
    });
    assert_eq!(account.await.nothing_lost().errors.keys().collect::<Vec<_>>(), [&"passing"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_loading() {
    let server = Server::start_with(anywhere::DEBUG).await;
    anywhere::loading("standalone: LOADING", connect(&server).await, &server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_changed() {
    let server = Server::start().await;
    anywhere::password_changed("standalone: password changed", &server.url(), &[&server]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_that_are_flushed() {
    let server = Server::start().await;
    anywhere::scripts_flushed("standalone: SCRIPT FLUSH", connect(&server).await, &[&server]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_wrong_for_a_while() {
    let (ours, strange) = (Certificates::generate(), Certificates::generate());
    let server = Server::start_tls(&ours, &[]).await;
    let trusting = |certificates: &Certificates| {
        RedisStore::builder(server.url()).tls_authorities(certificates.authority.certificate.bytes())
    };
    let error = trusting(&strange).connect().await.unwrap_err();
    assert!(reason(&error).contains("certificate"), "{error}");

    let store = trusting(&ours).connect().await.unwrap();
    let replace = async |with: &Certificates| {
        let (certificate, key) = (with.server.certificate.path().display(), with.server.key.path().display());
        let command = format!("CONFIG SET tls-cert-file {certificate} tls-key-file {key}");
        server.ask::<String>(&command).await.unwrap();
    };
    endure("standalone: TLS certificate wrong", store, async |store| {
        let mut present = server.client().await;
        replace(&strange).await;
        let mut kill = redis::cmd("CLIENT");
        let _: u32 =
            kill.arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"]).query_async(&mut present).await.unwrap();
        sleep(2 * CALM).await;
        let health = store.status();
        assert!(!health.connected && health.last_error.unwrap().contains("certificate"));
        let mut back = redis::cmd("CONFIG");
        back.arg("SET").arg("tls-cert-file").arg(ours.server.certificate.path().to_str().unwrap());
        back.arg("tls-key-file").arg(ours.server.key.path().to_str().unwrap());
        let _: String = back.query_async(&mut present).await.unwrap();
        Instant::now()
    })
    .await
    .nothing_lost();
}
