//! What a server does, by its own count.

use std::collections::BTreeMap;

use redis::aio::MultiplexedConnection;

/// What a server has done so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// How often it read from a connection: once for each round trip, if they follow one another.
    pub reads: u64,
    /// How often each command ran, on a connection or inside a script.
    pub calls: BTreeMap<String, u64>,
}

impl Traffic {
    /// Asks the server; the asking counts too.
    pub async fn of(client: &mut MultiplexedConnection) -> Self {
        let info: String = redis::cmd("INFO").arg("all").query_async(client).await.unwrap();
        let reads = info.lines().find_map(|line| line.strip_prefix("total_reads_processed:"));
        let calls = info.lines().filter_map(|line| {
            let (name, stats) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let (calls, _) = stats.split_once(',')?;
            Some((name.to_owned(), calls.parse().ok()?))
        });
        Self { reads: reads.unwrap().parse().unwrap(), calls: calls.collect() }
    }

    /// What was done since `earlier`, without the asking.
    pub fn since(mut self, earlier: &Self) -> Self {
        self.reads -= earlier.reads + 1;
        for (command, calls) in &mut self.calls {
            *calls -= earlier.calls.get(command).unwrap_or(&0);
        }
        self.calls.retain(|command, calls| *calls > 0 && command != "info");
        self
    }
}
