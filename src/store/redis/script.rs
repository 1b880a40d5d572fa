//! A Lua script, and how it is run: what takes Redis more than one command and must be one atomic step.

use std::fmt::Display;

use redis::{Cmd, ToRedisArgs, Value};

use super::connection::{Connection, Connections, Durability, Repeat};
use super::failure::Failure;
use super::name::Slot;

/// A number that a script shares with the rest of the crate.
pub(super) type Constant<'a> = (&'a str, &'a dyn Display);

pub(super) struct Script {
    code: String,
    hash: String,
}

impl Script {
    /// The script of these parts, with each constant's value in the place of its name.
    pub(super) fn new(parts: &[&str], constants: &[Constant]) -> Self {
        let fill_in = |code: String, (name, value): &Constant| code.replace(name, &value.to_string());
        let code = constants.iter().fold(parts.concat(), fill_in);
        let hash = redis::Script::new(&code).get_hash().to_owned();
        Self { code, hash }
    }

    /// Runs it by its hash, and by its code if the server does not know it yet.
    pub(super) async fn run(
        &self,
        connections: &Connections,
        slot: Slot,
        durability: Durability,
        repeat: Repeat<'_>,
        keys: impl ToRedisArgs + Send + Sync,
        arguments: impl ToRedisArgs + Send + Sync,
    ) -> Result<Value, Failure> {
        let operation =
            async |mut connection: Connection| self.send(&mut connection, &keys, &arguments).await;
        connections.run(slot, durability, repeat, operation).await
    }

    /// The same as a part of an operation.
    pub(super) async fn send(
        &self,
        connection: &mut Connection,
        keys: &(impl ToRedisArgs + Sync),
        arguments: &(impl ToRedisArgs + Sync),
    ) -> Result<Value, Failure> {
        match connection.send(&command("EVALSHA", &self.hash, keys, arguments)).await {
            Err(failure) if failure.is_unknown_script() => {
                connection.send(&command("EVAL", &self.code, keys, arguments)).await
            }
            reply => reply,
        }
    }
}

fn command(verb: &str, script: &str, keys: &impl ToRedisArgs, arguments: &impl ToRedisArgs) -> Cmd {
    let key_count = keys.num_of_args();
    let mut command = Cmd::with_capacity(3 + key_count + arguments.num_of_args(), 256);
    command.arg(verb).arg(script).arg(key_count).arg(keys).arg(arguments);
    command
}
