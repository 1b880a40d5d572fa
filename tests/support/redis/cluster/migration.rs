//! Moving a slot from one master to another, as `redis-cli --cluster reshard` does it.

use super::Cluster;

impl Cluster {
    /// Moves a slot, and the keys in it, to another master.
    pub async fn migrate_slot(&self, slot: u16, to: usize) {
        let from = self.begin_migration(slot, to).await;
        self.move_keys(slot, from, to).await;
        self.finish_migration(slot, from, to).await;
    }

    /// The first step: from now on the source sends clients that ask for a key which it does not have to
    /// the target (`ASK`). Answers which node the source is.
    pub async fn begin_migration(&self, slot: u16, to: usize) -> usize {
        let from = self.master_of(slot).await;
        let () = self.order(to, &format!("CLUSTER SETSLOT {slot} IMPORTING {}", self.ids[from])).await;
        let () = self.order(from, &format!("CLUSTER SETSLOT {slot} MIGRATING {}", self.ids[to])).await;
        from
    }

    /// The second step: moves the keys that there are.
    pub async fn move_keys(&self, slot: u16, from: usize, to: usize) {
        loop {
            let keys: Vec<Vec<u8>> = self.order(from, &format!("CLUSTER GETKEYSINSLOT {slot} 100")).await;
            if keys.is_empty() {
                return;
            }
            let mut migrate = redis::cmd("MIGRATE");
            migrate.arg("127.0.0.1").arg(self.nodes[to].port()).arg("").arg(0).arg(5000);
            if let Some(password) = &self.password {
                migrate.arg("AUTH").arg(password);
            }
            let moved = migrate.arg("KEYS").arg(keys).query_async(&mut self.client_of(from).await).await;
            let () = moved.unwrap_or_else(|e| panic!("node {from} moves keys of slot {slot} to {to}: {e}"));
        }
    }

    /// The last step: tells every master whose the slot is now, and the target first, so that somebody
    /// serves it at every moment.
    pub async fn finish_migration(&self, slot: u16, from: usize, to: usize) {
        let node_is_now = format!("CLUSTER SETSLOT {slot} NODE {}", self.ids[to]);
        let () = self.order(to, &node_is_now).await;
        let () = self.order(from, &node_is_now).await;
        for other in (0..self.nodes.len()).filter(|node| ![to, from].contains(node)) {
            // Replicas refuse, and hear it from their masters.
            let _ = self.ask_if_alive(other, &node_is_now).await;
        }
    }
}
