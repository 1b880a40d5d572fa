//! Clients and outages in random order, against a model of what clients may rely on:
//!
//! - whoever logged out stays logged out, also if the logout could only be promised;
//! - what was acknowledged is there;
//! - nobody whose session lives is told that there is none.

use std::time::Duration;

use proptest::prelude::*;
use session_store::{Error, FallbackPolicy, Loaded, Record, SessionStore as _, Timestamp, Updated};
use tokio::runtime;
use tokio::time::{Instant, sleep};

use crate::primary::Mode;
use crate::sample::{Session, World, hour};

/// Shorter than the minute for which the store reckons with late writes.
const LATE: Duration = Duration::from_secs(50);

#[derive(Clone, Copy, Debug)]
enum Step {
    Create,
    Load(usize),
    Update(usize),
    Touch(usize),
    Rotate(usize),
    Delete(usize),
    /// By the n-th id that it ever had.
    DeleteByOld(usize, usize),
    Primary(Mode),
    Thaw,
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    use Step::{Create, Delete, DeleteByOld, Load, Primary, Rotate, Thaw, Touch, Update, Wait};
    let mode = prop_oneof![
        4 => Just(Mode::Up),
        3 => Just(Mode::Down),
        1 => Just(Mode::Lost),
        1 => Just(Mode::Mute),
        2 => Just(Mode::Frozen),
        1 => Just(Mode::Refuses),
    ];
    let step = prop_oneof![
        4 => Just(Create),
        4 => any::<usize>().prop_map(Load),
        6 => any::<usize>().prop_map(Update),
        2 => any::<usize>().prop_map(Touch),
        3 => any::<usize>().prop_map(Rotate),
        2 => any::<usize>().prop_map(Delete),
        1 => any::<(usize, usize)>().prop_map(|(session, id)| DeleteByOld(session, id)),
        5 => mode.prop_map(Primary),
        1 => Just(Thaw),
        4 => (0u64..60).prop_map(Wait),
        4 => (0u64..3000).prop_map(Wait),
    ];
    prop::collection::vec(step, 1..90)
}

/// What clients know of one session.
#[derive(Debug)]
struct Client {
    /// Under each id that it ever had, the last one last.
    ids: Vec<Session>,
    standing: Standing,
    /// A rotation had no answer: the last of the ids may never have come to be.
    adrift: bool,
    /// Updates without an answer.
    unheard: Vec<Record>,
    /// The latest end that was acknowledged.
    end: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Standing {
    Lives,
    /// It was logged out by an id that may not be its present one, and that was promised only.
    Ending,
    Ended,
}

impl Client {
    fn session(&self) -> &Session {
        self.ids.last().expect("it has one")
    }

    /// What a load or a stale write showed.
    fn sees(&mut self, record: &Record) {
        match self.standing {
            Standing::Lives if !self.adrift => {
                let last = self.ids.last_mut().expect("it has one");
                if record.revision != last.record.revision {
                    let late = self.unheard.iter().any(|unheard| unheard.revision == record.revision);
                    assert!(late, "an acknowledged write was lost: {record:?}, {last:?}");
                    (last.record, self.end) = (record.clone(), record.expires_at);
                    self.unheard.clear();
                }
                assert!(record.expires_at >= self.end, "an acknowledged touch was lost: {record:?}");
                assert_eq!(record.data, last.record.data);
            }
            Standing::Lives | Standing::Ending => {}
            Standing::Ended => panic!("it came back: {self:?}"),
        }
    }

    fn is_told_that_it_is_gone(&self) {
        assert!(self.adrift || self.standing != Standing::Lives, "a session was lost: {self:?}");
    }
}

struct Play {
    world: World,
    clients: Vec<Client>,
    /// Since when the primary answers, while something may arrive late.
    answers_since: Option<Instant>,
}

impl Play {
    async fn step(&mut self, step: Step) {
        match step {
            Step::Create => self.create().await,
            Step::Primary(mode) => {
                self.world.primary.goes(mode);
                if matches!(mode, Mode::Up | Mode::Refuses) {
                    self.answers_since.get_or_insert_with(Instant::now);
                }
            }
            Step::Thaw => self.world.primary.thaw().await,
            Step::Wait(millis) => self.wait(Duration::from_millis(millis)).await,
            _ if self.clients.is_empty() => {}
            Step::Load(n) => self.load(n % self.clients.len()).await,
            Step::Update(n) => self.update(n % self.clients.len()).await,
            Step::Touch(n) => self.touch(n % self.clients.len()).await,
            Step::Rotate(n) => self.rotate(n % self.clients.len()).await,
            Step::Delete(n) => self.delete(n % self.clients.len(), None).await,
            Step::DeleteByOld(n, id) => self.delete(n % self.clients.len(), Some(id)).await,
        }
    }

    /// Lets time pass, and what is late arrive in time.
    async fn wait(&mut self, time: Duration) {
        if !self.world.primary.has_frozen() {
            self.answers_since = None;
        } else if self.answers_since.is_some_and(|since| since.elapsed() + time > LATE) {
            self.world.primary.thaw().await;
            self.answers_since = None;
        }
        sleep(time).await;
    }

    async fn create(&mut self) {
        let session = Session::fresh();
        if self.world.create(&session.key, &session.record, hour()).await.is_ok() {
            let end = session.record.expires_at;
            let ids = vec![session];
            let (standing, unheard) = (Standing::Lives, vec![]);
            self.clients.push(Client { ids, standing, adrift: false, unheard, end });
        }
    }

    async fn load(&mut self, n: usize) {
        let client = &mut self.clients[n];
        for id in 0..client.ids.len() {
            let is_last = id + 1 == client.ids.len();
            match self.world.load(&client.ids[id].key).await {
                Ok(Loaded::Found(record)) if is_last => client.sees(&record),
                Ok(Loaded::Found(_)) => {
                    assert!(
                        client.adrift && client.standing != Standing::Ended,
                        "it is there under an old id: {client:?}"
                    );
                }
                Ok(_) if is_last => client.is_told_that_it_is_gone(),
                Ok(_) => {}
                Err(Error::Unavailable { .. } | Error::Refused { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    async fn update(&mut self, n: usize) {
        let client = &mut self.clients[n];
        let next = client.session().edited(format!("{} +", client.session().record.data.bytes().len()));
        match self.world.save(&next).await {
            Ok(Updated::Updated) => {
                let end = next.record.expires_at;
                *client.ids.last_mut().expect("it has one") = next.clone();
                client.sees(&next.record);
                client.unheard.clear();
                client.end = end;
            }
            Ok(Updated::Stale(record)) => client.sees(&record),
            Ok(_) => client.is_told_that_it_is_gone(),
            Err(error) if error.outcome_unknown() => client.unheard.push(next.record),
            Err(_) => {}
        }
    }

    async fn touch(&mut self, n: usize) {
        let client = &mut self.clients[n];
        let end = client.end.saturating_add(Duration::from_secs(1));
        if self.world.extend(client.session(), end).await.is_ok_and(|touched| touched) {
            assert_ne!(client.standing, Standing::Ended, "{client:?}");
            client.end = end;
            client.ids.last_mut().expect("it has one").record.expires_at = end;
        }
    }

    async fn rotate(&mut self, n: usize) {
        let client = &mut self.clients[n];
        let renewed = client.session().renewed();
        match self.world.try_rotate(client.session(), &renewed).await {
            Ok(Updated::Updated) => {
                assert_ne!(client.standing, Standing::Ended, "{client:?}");
                client.end = renewed.record.expires_at;
                client.ids.push(renewed);
                client.unheard.clear();
            }
            Ok(Updated::Stale(record)) => client.sees(&record),
            Ok(_) => client.is_told_that_it_is_gone(),
            Err(error) if error.outcome_unknown() => {
                client.ids.push(renewed);
                client.adrift = true;
            }
            Err(_) => {}
        }
    }

    async fn delete(&mut self, n: usize, id: Option<usize>) {
        let client = &mut self.clients[n];
        let newest = client.ids.len() - 1;
        let by = match id {
            _ if client.adrift => 0,
            Some(id) => id % client.ids.len(),
            None => newest,
        };
        let deleted = self.world.delete(&client.ids[by].key).await;
        let reached = by == newest && !client.adrift;
        client.standing = match (deleted, client.standing) {
            (_, Standing::Ended) => Standing::Ended,
            (Ok(_), Standing::Lives) => Standing::Ended,
            _ if reached => Standing::Ended,
            _ => Standing::Ending,
        };
    }

    async fn end(mut self) {
        self.world.primary.goes(Mode::Up);
        self.wait(Duration::from_secs(40)).await;
        self.world.primary.thaw().await;
        sleep(Duration::from_secs(80)).await;
        let status = self.world.status();
        assert_eq!((status.open, status.in_memory, status.owed_deletions), (false, 0, 0));
        assert_eq!((status.dropped, status.forgotten_deletions), (0, 0));
        for n in 0..self.clients.len() {
            let client = &mut self.clients[n];
            if client.standing == Standing::Ending {
                client.standing = Standing::Ended;
            }
            if client.standing == Standing::Lives && !client.adrift {
                let record = self.world.primary.record(&client.session().key).await;
                client.sees(&record.expect("it is in the primary"));
                assert!(self.world.found(client.session()).await.is_some());
            }
            if client.standing == Standing::Ended {
                for session in &client.ids {
                    assert_eq!(self.world.primary.record(&session.key).await, None, "{client:?}");
                }
            }
            self.load(n).await;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_events_breaks_a_promise(steps in steps(), way in 0u64..40, at_start in any::<bool>()) {
        let runtime = runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let policy = if at_start { FallbackPolicy::AtStart } else { FallbackPolicy::WhileDown };
            let world = World::new(policy);
            world.primary.is_far(Duration::from_millis(way));
            let mut play = Play { world, clients: vec![], answers_since: None };
            for step in steps {
                play.step(step).await;
            }
            play.end().await;
        });
    }
}
