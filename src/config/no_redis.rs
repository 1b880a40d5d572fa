//! Redis without the feature `redis`: an error that says so.

use super::environment::Environment;
use super::layout::Layout;
use super::servers::Servers;
use super::{Fallback, Store};
use crate::cookie::SessionCookie;
use crate::error::Error;

/// There is none.
#[derive(Debug)]
pub(super) enum RedisSettings {}

impl RedisSettings {
    pub(super) fn read(_: &Environment<'_>, servers: Servers, _: &mut Vec<String>) -> Result<Self, Error> {
        let name = servers.variable();
        Err(Error::Config(format!(
            "{name} is set, but session-store was built without its feature `redis`: add it in Cargo.toml, or set \
             REDIS_ENABLED=false for memory"
        )))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as with the feature")]
pub(super) fn store(
    redis: RedisSettings,
    _: Option<String>,
    _: Fallback,
    _: &Layout,
    _: &SessionCookie,
) -> std::future::Ready<Result<Store, Error>> {
    match redis {}
}
