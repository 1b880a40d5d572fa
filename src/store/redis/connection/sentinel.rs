//! The master of a group that sentinels watch, whichever server that is.
//!
//! <https://redis.io/docs/latest/develop/reference/sentinel-clients/>

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, RedisError, Value};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::dialer::{Address, Dialer};
use super::poll::{self, Vote};
use super::standalone;
use super::supervisor::{Connector, OnLoss};
use super::{Connection, Failure};
use crate::store::redis::target::Host;

/// How often sentinels are asked while their master does not answer.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// What sentinels publish when a replica is master, and when all of them know it.
const NEWS: [&str; 2] = ["+promoted-slave", "+switch-master"];
/// How often a watch makes sure of itself: it may miss news of a sentinel that froze.
const WATCH_INTERVAL: Duration = Duration::from_secs(5);
/// How long a sentinel that is asked by a watch may take, and how long a watch rests when none answered.
const WATCH_PATIENCE: Duration = Duration::from_secs(1);

/// What one sentinel says of the master, by the names of `SENTINEL MASTER`, or why it does not.
#[derive(Debug)]
pub(in crate::store::redis) struct Opinion {
    pub(in crate::store::redis) sentinel: Host,
    pub(in crate::store::redis) fields: Result<HashMap<String, String>, String>,
}

#[derive(Clone)]
pub(super) struct Sentinel {
    sentinels: Arc<[Host]>,
    master: Arc<str>,
    to_sentinels: Dialer,
    to_servers: Dialer,
    timeout: Duration,
}

#[async_trait]
impl Connector for Sentinel {
    async fn connect(&self, on_loss: OnLoss) -> Result<Connection, Failure> {
        let mut master = self.ask().await?;
        loop {
            // A master that froze would use up the attempt, while its successor is being elected.
            tokio::select! {
                connection = self.open(&master.opinion, Arc::clone(&on_loss)) => {
                    let connection = connection?;
                    let watch = Watch(tokio::spawn(self.clone().watch(master, on_loss)));
                    return Ok(Connection { _watch: Some(Arc::new(watch)), ..connection });
                }
                successor = self.successor_of(&master) => master = successor,
            }
        }
    }
}

impl fmt::Debug for Sentinel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sentinel({self})")
    }
}

impl fmt::Display for Sentinel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the master {:?} of the sentinels", self.master)?;
        let mut separator = ' ';
        for sentinel in &*self.sentinels {
            write!(f, "{separator}{sentinel}")?;
            separator = ',';
        }
        Ok(())
    }
}

impl Sentinel {
    pub(super) fn new(
        sentinels: Vec<Host>,
        master: String,
        to_sentinels: Dialer,
        to_servers: Dialer,
        timeout: Duration,
    ) -> Self {
        Self { sentinels: sentinels.into(), master: master.into(), to_sentinels, to_servers, timeout }
    }

    /// Connects to a server that is a master itself, not only in the sentinels' opinion.
    async fn open(&self, host: &Host, on_loss: OnLoss) -> Result<Connection, Failure> {
        let mut link = standalone::open(&self.to_servers, &Address::Host(host.clone()), on_loss).await?;
        let reply: Vec<Value> = redis::cmd("ROLE").query_async(&mut link.client).await?;
        let role: String = reply
            .into_iter()
            .next()
            .map_or(Ok(String::new()), redis::from_redis_value)
            .map_err(RedisError::from)?;
        if role == "master" {
            return Ok(Connection::greeted(link).await);
        }
        Err(Failure::NotConnected(format!("{host} is a {role}, though the sentinels take it for the master")))
    }

    /// Asks all sentinels who is master; the one that knows of the latest failover is right.
    async fn ask(&self) -> Result<Vote<Host>, Failure> {
        let questions = self.sentinels.iter().map(|sentinel| {
            let (this, sentinel) = (self.clone(), sentinel.clone());
            async move {
                let mut link = this.to_sentinels.dial_briefly(&Address::Host(sentinel)).await?;
                this.opinion(&mut link.client).await
            }
        });
        poll::latest(self.timeout, questions).await
    }

    async fn opinion(&self, link: &mut MultiplexedConnection) -> Result<Vote<Host>, Failure> {
        type Answers = ((String, u16), HashMap<String, String>);
        let mut questions = redis::pipe();
        // The second tells the epoch, but during a failover it names the old address for longer.
        questions.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(&*self.master);
        questions.cmd("SENTINEL").arg("MASTER").arg(&*self.master);
        let ((name, port), fields): Answers = questions.query_async(link).await?;
        let epoch = fields.get("config-epoch").and_then(|epoch| epoch.parse().ok()).unwrap_or(0);
        Ok(Vote { epoch, opinion: Host { name, port } })
    }

    pub(super) async fn master(&self) -> Result<Host, Failure> {
        self.ask().await.map(|vote| vote.opinion)
    }

    /// What each of the sentinels says, in the order that they were named in.
    pub(super) async fn opinions(&self) -> Vec<Opinion> {
        let asking: Vec<_> = self
            .sentinels
            .iter()
            .map(|sentinel| {
                let (this, sentinel) = (self.clone(), sentinel.clone());
                tokio::spawn(async move {
                    let fields = bounded(this.fields(&sentinel)).await.map_err(Failure::into_reason);
                    Opinion { sentinel, fields }
                })
            })
            .collect();
        let mut opinions = Vec::new();
        for opinion in asking {
            opinions.extend(opinion.await);
        }
        opinions
    }

    async fn fields(&self, sentinel: &Host) -> Result<HashMap<String, String>, Failure> {
        let mut link = self.to_sentinels.dial_briefly(&Address::Host(sentinel.clone())).await?;
        Ok(redis::cmd("SENTINEL").arg("MASTER").arg(&*self.master).query_async(&mut link.client).await?)
    }

    /// Waits until the sentinels name another master.
    async fn successor_of(&self, master: &Vote<Host>) -> Vote<Host> {
        loop {
            sleep(ASK_AGAIN).await;
            match self.ask().await {
                Ok(other) if other.opinion != master.opinion => return other,
                _ => {}
            }
        }
    }

    /// Reports, as the loss of its connection, that a master is none any more. All sentinels are
    /// heard: it takes seconds until the others know what one of them did.
    async fn watch(self, master: Vote<Host>, on_loss: OnLoss) {
        let master = Arc::new(master);
        let mut watches: JoinSet<_> = (0..self.sentinels.len())
            .map(|index| {
                let (this, master) = (self.clone(), Arc::clone(&master));
                async move {
                    loop {
                        if let Ok(successor) = this.watch_with(&this.sentinels[index], &master).await {
                            return successor;
                        }
                        sleep(WATCH_PATIENCE).await;
                    }
                }
            })
            .collect();
        if let Some(Ok(successor)) = watches.join_next().await {
            let old = &master.opinion;
            on_loss(&format_args!("the sentinels made {successor} master instead of {old}"));
        }
    }

    /// Waits for one sentinel to name another master; fails when it is of no help any more.
    async fn watch_with(&self, sentinel: &Host, master: &Vote<Host>) -> Result<Host, Failure> {
        let (sender, mut news) = unbounded_channel();
        let mut link = bounded(self.to_sentinels.dial(&Address::Host(sentinel.clone()), sender)).await?;
        bounded(link.client.subscribe(&NEWS)).await?;
        loop {
            // Asked after the subscription, nothing is missed between the two. A sentinel that has
            // yet to hear of the latest failover still names the master before.
            let now = bounded(self.opinion(&mut link.client)).await?;
            if now.epoch > master.epoch && now.opinion != master.opinion {
                return Ok(now.opinion);
            }
            await_news(&mut news).await?;
        }
    }
}

/// Until something is published, or until it's time to ask.
async fn await_news(news: &mut UnboundedReceiver<PushInfo>) -> Result<(), Failure> {
    let message = async {
        loop {
            match news.recv().await.map(|push| push.kind) {
                Some(PushKind::Message) => return Ok(()),
                None | Some(PushKind::Disconnection) => return Err(silent()),
                Some(_) => {}
            }
        }
    };
    timeout(WATCH_INTERVAL, message).await.unwrap_or(Ok(()))
}

async fn bounded<T, E: Into<Failure>>(work: impl Future<Output = Result<T, E>>) -> Result<T, Failure> {
    timeout(WATCH_PATIENCE, work).await.map_or_else(|_| Err(silent()), |done| done.map_err(Into::into))
}

fn silent() -> Failure {
    Failure::TimedOut(WATCH_PATIENCE)
}

/// Ends the task with the connection that it watches over.
struct Watch(JoinHandle<()>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}
