//! The connections to one server, or to whichever is master at the time.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use redis::Value;

use super::durable::Durable;
use super::health::{Journal, Status};
use super::supervisor::{Connector, Supervisor};
use super::{Connection, Durability, Failure, Repeat, Replication, Settings};

#[derive(Debug)]
pub(super) struct Node {
    shared: Box<[Supervisor]>,
    next: AtomicUsize,
    durable: Option<Box<Durable>>,
}

impl Node {
    pub(super) fn new(connector: &Arc<dyn Connector>, settings: &Settings, journal: &Arc<Journal>) -> Self {
        let supervisor = |timeout| {
            Supervisor::new(Arc::clone(connector), timeout, Arc::clone(journal), settings.home.clone())
        };
        let durable = |replication: Replication| {
            let link = supervisor(settings.timeout + replication.within);
            Box::new(Durable::new(
                link,
                replication,
                settings.limit(Durability::Replicated),
                Arc::clone(journal),
            ))
        };
        Self {
            shared: (0..settings.connections).map(|_| supervisor(settings.timeout)).collect(),
            next: AtomicUsize::new(0),
            durable: settings.replication.map(durable),
        }
    }

    pub(super) async fn connect(&self) -> Result<(), Failure> {
        for supervisor in self.all() {
            supervisor.connect().await?;
        }
        Ok(())
    }

    pub(super) fn start(&self) {
        self.all().for_each(Supervisor::start);
    }

    pub(super) async fn run<F>(
        &self,
        durability: Durability,
        repeat: Repeat<'_>,
        operation: impl FnMut(Connection) -> F,
    ) -> Result<Value, Failure>
    where
        F: Future<Output = Result<Value, Failure>>,
    {
        match (durability, &self.durable) {
            (Durability::Replicated, Some(durable)) => Box::pin(durable.run(operation)).await,
            (Durability::Insistent, _) => {
                let supervisor = self.pick();
                Box::pin(supervisor.knock()).await;
                supervisor.run(repeat, operation).await
            }
            _ => self.pick().run(repeat, operation).await,
        }
    }

    pub(super) fn status(&self) -> Status {
        let shared = Status::of_any(self.shared.iter().map(Supervisor::status));
        Status::of_all([shared].into_iter().chain(self.durable.as_ref().map(|durable| durable.status())))
    }

    fn all(&self) -> impl Iterator<Item = &Supervisor> {
        self.shared.iter().chain(self.durable.as_ref().map(|durable| &durable.link))
    }

    /// The next one in turn that is connected, or else the next one.
    fn pick(&self) -> &Supervisor {
        let [only] = &*self.shared else {
            let count = self.shared.len();
            let first = self.next.fetch_add(1, Ordering::Relaxed) % count;
            let in_turn = || (0..count).map(|nth| &self.shared[(first + nth) % count]);
            return in_turn().find(|supervisor| supervisor.is_up()).unwrap_or(&self.shared[first]);
        };
        only
    }
}
