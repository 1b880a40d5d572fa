//! Faults of a server that are the same in every topology.

use std::sync::Mutex;

use session_store::Credentials;

use super::*;
use crate::support::redis::Server;

async fn tell(server: &Server, command: &str) {
    let () = server.ask(command).await.unwrap_or_else(|e| panic!("{command}: {e}"));
}

pub(crate) async fn client_kill(what: &str, store: RedisStore, servers: &[&Server]) {
    let account = endure(what, store, async |_| {
        for _ in 0..3 {
            for server in servers {
                server.ask::<u32>("CLIENT KILL TYPE normal").await.unwrap();
            }
            sleep(CALM).await;
        }
        Instant::now()
    });
    account.await.nothing_lost();
}

pub(crate) async fn no_memory(what: &str, store: RedisStore, server: &Server) {
    let account = endure(what, store, async |store| {
        tell(server, "CONFIG SET maxmemory 1").await;
        sleep(2 * CALM).await;
        assert!(store.status().connected, "the connection is as good as ever");
        tell(server, "CONFIG SET maxmemory 0").await;
        Instant::now()
    });
    assert_eq!(account.await.nothing_lost().errors.keys().collect::<Vec<_>>(), [&"refused"]);
}

/// The server has to be started with [`DEBUG`].
pub(crate) async fn loading(what: &str, store: RedisStore, server: &Server) {
    let account = endure(what, store, async |_| {
        tell(server, "CONFIG SET key-load-delay 5000").await;
        tell(server, "CONFIG SET loading-process-events-interval-bytes 1024").await;
        tell(server, "DEBUG RELOAD").await;
        Instant::now()
    });
    assert!(account.await.nothing_lost().errors["passing"] > 0);
}

pub(crate) const DEBUG: &[&str] = &["--enable-debug-command", "yes"];

pub(crate) async fn scripts_flushed(what: &str, store: RedisStore, servers: &[&Server]) {
    let account = endure(what, store, async |_| {
        for _ in 0..50 {
            for server in servers {
                tell(server, "SCRIPT FLUSH").await;
            }
            sleep(CALM / 50).await;
        }
        Instant::now()
    });
    assert!(account.await.nothing_lost().errors.is_empty());
}

pub(crate) async fn password_changed(what: &str, url: &str, servers: &[&Server]) {
    for server in servers {
        tell(server, "ACL SETUSER app on >first ~* +@all").await;
    }
    let password = Arc::new(Mutex::new("first"));
    let known = Arc::clone(&password);
    let current = move || Ok(Credentials::user("app", *known.lock().unwrap()));
    let store = RedisStore::builder(url).credentials_from(current).connect().await.unwrap();
    let account = endure(what, store, async |store| {
        for server in servers {
            tell(server, "ACL SETUSER app >second <first").await;
            server.ask::<u32>("CLIENT KILL USER app").await.unwrap();
        }
        wait_until("the old password is refused", || async {
            let health = store.status();
            !health.connected && health.last_error.is_some_and(|error| error.contains("WRONGPASS"))
        })
        .await;
        *password.lock().unwrap() = "second";
        Instant::now()
    });
    assert!(account.await.nothing_lost().errors["not connected"] > 0);
}
