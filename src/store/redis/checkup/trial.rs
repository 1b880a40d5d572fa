//! Whether the store may do what it does: by doing it, to a session of nobody.

use std::time::{Duration, Instant};

use super::{Finding, Verdict};
use crate::clock::{Clock as _, SystemClock};
use crate::error::Error;
use crate::id::SessionId;
use crate::record::{Owner, OwnerHash, Payload, Record};
use crate::store::history::{History, HistoryBounds, HistoryEntry, HistoryEvent};
use crate::store::owner_index::{Entry, IndexInsert, OwnerIndex, Stage};
use crate::store::redis::RedisStore;
use crate::store::scan::Cursor;
use crate::store::scan::Scan;
use crate::store::{Loaded, Rotation, SessionStore as _, Touch, Update};
use crate::ttl::Ttl;

/// A session of nobody ends by itself after this time.
const LIFE: Duration = Duration::from_secs(10);
/// So many keys are looked at for sessions.
const SAMPLE: usize = 1000;
/// The tag of JSON, which has to be what sessions of Express have.
const JSON: u8 = 1;

impl RedisStore {
    pub(super) async fn trial(&self) -> Vec<Finding> {
        let owners =
            self.owners_can_be_kept().await.map(|()| "a session was entered for an owner".to_owned());
        let mut scan = judge("scan", self.sessions_can_be_scanned().await);
        // A service can do without; it is for operators.
        scan.verdict = scan.verdict.min(Verdict::Warning);
        // So it can without ends that are pushed, and copies.
        let mut feed = judge("feed", self.changes_are_told().await);
        feed.verdict = feed.verdict.min(Verdict::Unknown);
        let histories = self.histories_can_be_kept().await.map(|()| "a history can be kept".to_owned());
        let mut history = judge("history", histories);
        history.verdict = history.verdict.min(Verdict::Unknown);
        let sessions = judge("sessions", self.sessions_can_be_kept().await);
        let mut findings = vec![sessions, judge("owners", owners), scan, feed, history];
        // What was gone through for the scan.
        findings.extend(self.layout.warning().map(|it| Finding::new("records", Verdict::Warning, it)));
        findings
    }

    async fn sessions_can_be_kept(&self) -> Result<String, Error> {
        let (id, ttl) = (SessionId::generate(), Ttl::new(LIFE));
        let (old, new) = (self.layout.key(&id), self.layout.key(&id.rotated()));
        let first = record();
        self.create(&old, &first, ttl).await?;
        let began = Instant::now();
        let loaded = self.load_fresh(&old).await?;
        let took = began.elapsed();
        // The layout of Express counts its versions in its own way.
        let Loaded::Found(first) = loaded else { return Err(lost()) };
        let later = first.expires_at.saturating_add(Duration::from_secs(1));
        self.touch(Touch::new(&old, &first, later, ttl)).await?;
        let Loaded::Found(touched) = self.load_fresh(&old).await? else { return Err(lost()) };
        let second = touched.next();
        self.update(Update::new(&old, &second, ttl)).await?;
        let Loaded::Found(second) = self.load_fresh(&old).await? else { return Err(lost()) };
        let third = second.next();
        let rotation = Rotation::new(&old, &new, &third, ttl);
        self.rotate(rotation).await?;
        if !matches!(self.load_fresh(&new).await?, Loaded::Found(_)) {
            return Err(lost());
        }
        // The end of the old one is the end of the new one, and of what leads to it.
        self.delete(&old).await?;
        self.delete(&new).await?;
        let millis = took.as_secs_f64() * 1000.0;
        Ok(format!("a session was stored, read in {millis:.1} ms, changed, given another id, and ended"))
    }

    /// What is asked of each session is tried where there are any.
    async fn sessions_can_be_scanned(&self) -> Result<String, Error> {
        Scan::page(self, None, SAMPLE).await?;
        let usage = self.usage().await?;
        Ok(if usage.sessions > 0.0 && usage.bytes_per_session.is_none() {
            "all sessions can be scanned; the memory that one takes is not told (`+memory|usage`)".to_owned()
        } else {
            "all sessions can be scanned".to_owned()
        })
    }

    /// What waiting for a session's end takes, and a near cache.
    async fn changes_are_told(&self) -> Result<String, Error> {
        let trial = self.feed.trial().await;
        trial.map_err(|reason| Error::unavailable(format!("changes are not told: {reason}"), None))?;
        let (key, ttl) = (self.layout.key(&SessionId::generate()), Ttl::new(LIFE));
        self.create(&key, &record(), ttl).await?;
        let loaded = self.layout.load_to_copy(&key).await;
        self.delete(&key).await?;
        let (_, life) = loaded?;
        Ok(match life {
            Some(_) => "the servers tell of changes, so that ends are pushed and copies can be trusted",
            None => "the servers tell of changes; a near cache also needs `+pttl`",
        }
        .to_owned())
    }

    async fn owners_can_be_kept(&self) -> Result<(), Error> {
        let owner = nobody()?;
        let entry = Entry::of(self.layout.key(&SessionId::generate()), &record());
        self.insert(owner, IndexInsert::new(&entry, LIFE, Stage::Before)).await?;
        OwnerIndex::list(self, owner, None).await?;
        // A page that is not the first one takes more; this is beyond every entry.
        OwnerIndex::list(self, owner, Some(&Cursor::new(format!("{}:", 1_u64 << 53)))).await?;
        self.remove(owner, &[entry], &[]).await
    }
}

impl RedisStore {
    async fn histories_can_be_kept(&self) -> Result<(), Error> {
        let (owner, now) = (nobody()?, SystemClock.now());
        let bounds = HistoryBounds::default().entries(1).age(LIFE);
        for began in [now, now.saturating_add(LIFE)] {
            let entry = HistoryEntry::new(began, HistoryEvent::SignedIn, SessionId::generate().key(), began);
            self.record(owner, &entry, bounds).await?;
        }
        History::list(self, owner, bounds, now).await?;
        self.erase(owner, now, Duration::ZERO).await.map(|_| ())
    }
}

/// Nobody has this name.
fn nobody() -> Result<OwnerHash, Error> {
    Ok(OwnerHash::of(&Owner::new(SessionId::generate().as_str())?))
}

fn record() -> Record {
    let now = SystemClock.now();
    let mut record = Record::new(now, now.saturating_add(LIFE), Payload::new(JSON, "{}"));
    record.idle_timeout = Some(LIFE);
    record
}

fn lost() -> Error {
    Error::unavailable("a session that had just been stored was not there", None)
}

fn judge(subject: &'static str, outcome: Result<String, Error>) -> Finding {
    match outcome {
        Ok(detail) => Finding::new(subject, Verdict::Fine, detail),
        Err(error) => Finding::new(subject, Verdict::Unsafe, error.to_string()),
    }
}
