//! Two instances of a service on a real Redis: what one of them did, it alone tells.

use std::time::Duration;

use session_store::{Evict, KeyRing, RedisStore, Session, SessionManager};

use crate::support::redis::Server;
use crate::told::Told;

const SECRET: &str = "oGCmMcXRPzbF9Qd1Ckm7UO4u9UmDSPlDmIrKHq5x";

struct Instance {
    manager: SessionManager<u64>,
    told: Told,
}

impl Instance {
    async fn start(redis: &Server) -> Self {
        let told = Told::default();
        // A loaded machine must not pass for a silent server.
        let store =
            RedisStore::builder(redis.url()).timeout(Duration::from_secs(10)).connect().await.unwrap();
        let builder = SessionManager::builder(store, KeyRing::parse(SECRET).unwrap());
        let manager = told.listen(builder.max_sessions_per_owner(3, Evict::Oldest)).build().unwrap();
        Self { manager, told }
    }

    /// A request; the cookie that the browser has after it.
    async fn visit(&self, cookie: Option<&str>, handler: impl AsyncFnOnce(&Session<u64>)) -> String {
        let request = self.manager.begin(cookie);
        handler(&request.session().await.unwrap()).await;
        let actions = request.finish(200).await;
        assert!(actions.failure.is_none(), "{:?}", actions.failure);
        let header = actions.set_cookie.or(cookie.map(str::to_owned)).unwrap();
        header.split(';').next().unwrap().to_owned()
    }

    async fn sign_in(&self, owner: &str) -> String {
        self.visit(None, async |session| session.sign_in(owner, |_| ()).unwrap()).await
    }

    async fn told(&self) -> Vec<String> {
        self.told.names(&self.manager).await
    }
}

#[tokio::test]
async fn what_happens_is_told_by_the_instance_that_did_it() {
    let redis = Server::start().await;
    let (here, there) = (Instance::start(&redis).await, Instance::start(&redis).await);
    let nothing: [&str; 0] = [];

    let cookie = here.sign_in("ada").await;
    assert_eq!((here.told().await, there.told().await.len()), (vec!["signed_in".to_owned()], 0));
    let cookie = there.visit(Some(&cookie), async |session| session.renew().unwrap()).await;
    assert_eq!((here.told().await.len(), there.told().await), (0, vec!["renewed".to_owned()]));
    here.visit(Some(&cookie), async |session| session.destroy().await.unwrap()).await;
    there.visit(Some(&cookie), async |session| session.destroy().await.unwrap()).await;
    assert_eq!((here.told().await, there.told().await.len()), (vec!["signed_out".to_owned()], 0));

    // The fourth one is one too many.
    for _ in 0..3 {
        here.sign_in("ada").await;
    }
    assert_eq!(here.told().await, ["signed_in"; 3]);
    there.sign_in("ada").await;
    assert_eq!(
        (here.told().await.len(), there.told().await),
        (0, ["evicted", "signed_in"].map(str::to_owned).into())
    );
    assert_eq!(there.manager.revoke_all("ada").await.unwrap(), 3);
    assert_eq!(here.manager.revoke_all("ada").await.unwrap(), 0);
    assert_eq!((here.told().await.len(), there.told().await), (0, vec!["revoked by all".to_owned(); 3]));

    // How many sessions the owner had, as the index of each said.
    let counted = async |instance: &Instance| {
        let buckets = instance.manager.stats().await.sessions_per_owner;
        buckets.iter().take(4).map(|bucket| bucket.sign_ins).collect::<Vec<_>>()
    };
    assert_eq!((counted(&here).await, counted(&there).await), (vec![2, 1, 1, 0], vec![0, 0, 1, 0]));

    let _ = (here.sign_in("ada").await, there.sign_in("bob").await);
    assert_eq!(here.manager.revoke_everyone().await.unwrap(), 2);
    let told = here.told().await;
    assert_eq!(told, ["signed_in", "revoked by everyone", "revoked by everyone"]);
    assert_eq!(there.told().await, ["signed_in"]);
    assert_eq!(there.told().await, nothing);
}

/// Both end all sessions of an owner at once.
#[tokio::test(flavor = "multi_thread")]
async fn what_both_do_at_once_is_told_by_one() {
    const SESSIONS: usize = 3;
    let redis = Server::start().await;
    let (here, there) = (Instance::start(&redis).await, Instance::start(&redis).await);
    for _ in 0..20 {
        for _ in 0..SESSIONS {
            here.sign_in("ada").await;
        }
        assert_eq!(here.told().await, ["signed_in"; SESSIONS]);
        let ended = tokio::join!(here.manager.revoke_all("ada"), there.manager.revoke_all("ada"));
        assert_eq!(ended.0.unwrap() + ended.1.unwrap(), SESSIONS as u64);
        let mut told = here.told().await;
        told.extend(there.told().await);
        assert_eq!(told, ["revoked by all"; SESSIONS]);
    }
}
