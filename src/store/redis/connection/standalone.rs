//! One server, by its address.

use std::fmt;

use async_trait::async_trait;
use redis::{PushInfo, PushKind};

use super::dialer::{Address, Dialer};
use super::link::Link;
use super::supervisor::{Connector, OnLoss};
use super::{Connection, Failure};

/// News of a connection that the server closed.
pub(super) const CLOSED: &str = "the server closed the connection";

pub(super) struct Standalone {
    address: Address,
    dialer: Dialer,
}

impl Standalone {
    pub(super) fn new(address: Address, dialer: Dialer) -> Self {
        Self { address, dialer }
    }
}

#[async_trait]
impl Connector for Standalone {
    async fn connect(&self, on_loss: OnLoss) -> Result<Connection, Failure> {
        Ok(Connection::greeted(open(&self.dialer, &self.address, on_loss).await?).await)
    }
}

impl fmt::Display for Standalone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

pub(super) async fn open(dialer: &Dialer, address: &Address, on_loss: OnLoss) -> Result<Link, Failure> {
    let on_push = move |push: PushInfo| {
        if push.kind == PushKind::Disconnection {
            on_loss(&CLOSED);
        }
        Ok::<(), ()>(())
    };
    dialer.dial(address, on_push).await
}
