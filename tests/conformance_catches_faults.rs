//! The conformance suite can fail: each promise is broken here by a store with that very fault.
#![cfg(all(feature = "conformance", feature = "memory"))]

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use session_store::feed::{Watch, Watches};
use session_store::history::HistoryPage;
use session_store::owners::{
    Entry, IndexInsert, IndexInserted, Owned, OwnerIndex, Revocation, Stage, Verdict,
};
use session_store::{
    Created, Cursor, Error, Feed, History, HistoryBounds, HistoryEntry, Loaded, MemoryStore, Owner,
    OwnerHash, OwnersPage, Page, Payload, Record, Rotation, Scan, SessionKey, SessionStore, SessionSummary,
    Timestamp, Touch, Ttl, Update, Updated, Usage, conformance,
};

/// A list of faults and the promises that each breaks: one test of each fault, and one that no
/// promise is missing.
macro_rules! faults {
    ($($(#[doc = $doc:literal])* $test:ident: $fault:ident breaks $($promise:ident)+;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq)]
        enum Fault {
            $($(#[doc = $doc])* $fault,)*
        }

        $(#[tokio::test]
        async fn $test() {
            $({
                let store: Arc<dyn SessionStore> = Arc::new(Faulty::new(Fault::$fault));
                let test = tokio::spawn(async move { conformance::$promise(&store).await });
                let promise = stringify!($promise);
                assert!(test.await.is_err(), "{promise} does not notice {:?}", Fault::$fault);
            })+
        })*

        const BROKEN: &[&str] = &[$($(stringify!($promise)),+),*];
    };
}

faults! {
    loses_a_new_session: CreateIsLost breaks a_created_session_loads_as_it_was_stored;
    overwrites_a_session: CreateOverwrites
        breaks a_taken_key_is_left_as_it_is one_of_many_concurrent_creates_wins;
    forgets_the_owner: CreateForgetsTheOwner breaks every_field_survives;
    /// As moka's default policy does.
    turns_new_sessions_away: FullStoreRefuses breaks a_full_store_admits_new_sessions;
    takes_the_lineage_for_the_key: KeysByLineage breaks sessions_of_one_lineage_are_apart;
    never_expires: NeverExpires breaks
        a_session_ends_with_its_time_to_live an_update_sets_the_time_to_live
        a_rotation_sets_the_time_to_live the_shortest_and_the_longest_time_to_live_are_kept;

    /// What most session stores do.
    saves_blindly: LastWriteWins breaks
        an_update_needs_the_expected_revision one_of_two_concurrent_updates_wins
        no_concurrent_increment_is_lost an_update_replayed_after_two_others_is_stale;
    compares_and_swaps_in_two_steps: CheckThenAct breaks
        one_of_two_concurrent_updates_wins no_concurrent_increment_is_lost;
    creates_on_update: UpdateCreates breaks
        nothing_but_create_creates a_late_save_cannot_undo_a_logout
        a_logout_wins_against_a_concurrent_save an_expired_session_stays_expired;
    keeps_a_former_owner: UpdateKeepsTheOwner breaks an_update_replaces_the_record;
    takes_its_own_write_for_another: ForgetsReplays breaks
        a_create_sent_twice_answers_alike an_update_sent_twice_answers_alike
        a_rotation_sent_twice_answers_alike
        writes_sent_twice_at_once_answer_alike a_write_replayed_after_another_is_recognised
        an_update_replayed_after_a_rotation_is_recognised;

    creates_on_touch: TouchCreates breaks
        a_late_touch_cannot_undo_a_logout a_logout_wins_against_a_concurrent_touch;
    touches_any_revision: TouchIgnoresTheRevision breaks a_touch_needs_the_expected_revision;
    loses_a_touch: TouchIsLost breaks
        a_touch_moves_the_end_and_nothing_else a_touch_keeps_a_session_alive;
    shortens_on_touch: TouchShortens breaks a_touch_never_shortens;
    touches_whatever_others_did: TouchesAlways breaks of_touches_at_once_one_counts;

    creates_on_rotation: RotationCreates breaks
        a_late_rotation_cannot_undo_a_logout a_logout_wins_against_a_concurrent_rotation
        a_replayed_rotation_cannot_undo_a_logout;
    rotates_any_revision: RotationIgnoresTheRevision breaks
        a_rotation_needs_the_expected_revision a_rotation_and_a_concurrent_save_exclude_each_other;
    leaves_no_marker: RotationLeavesNoMarker breaks
        a_rotation_moves_the_session one_of_two_concurrent_rotations_wins;
    /// Session fixation.
    follows_the_marker: FollowsTheMarker breaks
        a_rotation_moves_the_session nothing_but_a_deletion_follows_a_rotation;
    does_not_follow: FollowIsIgnored breaks
        an_update_follows_a_rotation an_update_that_follows_needs_the_expected_revision
        an_update_that_follows_sets_the_time_to_live an_update_that_follows_is_recognised_when_sent_twice
        an_update_that_follows_and_a_concurrent_save_exclude_each_other
        no_concurrent_increment_that_follows_is_lost;
    follows_in_two_steps: FollowLooksBefore breaks
        an_update_that_follows_and_a_concurrent_rotation_miss_nothing;
    follows_markers_only: FollowNeedsAMarker breaks an_update_that_follows_needs_no_rotation;
    follows_all_markers: FollowsChains breaks an_update_follows_no_chain_of_rotations;
    follows_blindly: FollowIgnoresTheRevision breaks
        an_update_that_follows_needs_the_expected_revision
        an_update_that_follows_and_a_concurrent_save_exclude_each_other
        no_concurrent_increment_that_follows_is_lost;
    follows_and_creates: FollowCreates breaks
        an_update_that_follows_creates_nothing a_logout_wins_against_a_concurrent_update_that_follows;
    stops_at_the_marker: DeleteStopsAtTheMarker breaks
        a_logout_with_the_old_id_ends_the_rotated_session a_logout_follows_a_chain_of_rotations;
    loses_a_logout: DeleteIsLost breaks an_unknown_key_is_absent a_deleted_session_is_gone;

    mixes_owners_up: OneOwnerForAll breaks an_entered_session_is_listed;
    keeps_entries_for_ever: EntriesNeverEnd breaks an_entry_ends_with_its_time_to_live;
    shortens_entries: EntriesShorten breaks an_entry_is_extended_and_never_shortened;
    takes_what_is_entered_for_written: NothingIsPending
        breaks an_entry_is_pending_until_its_session_was_written;
    takes_what_is_written_for_pending: AllIsPending breaks an_entry_is_pending_until_its_session_was_written;
    enters_what_is_revoked: RevocationIsForgotten breaks
        a_revoked_session_is_not_inserted_again an_unknown_session_can_be_revoked;
    /// A rotation in flight carries a revoked session over.
    enters_successors_of_the_revoked: SuccessorsGetIn breaks a_revoked_sessions_successor_is_revoked;
    keeps_replaced_entries: ReplacedStay breaks a_replaced_entry_is_gone;
    spares_nobody: NobodyIsSpared breaks a_spared_session_stays;
    keeps_removed_entries: RemovalIsLost breaks a_removed_entry_is_gone;
    forgets_missing_sessions: MissingGo breaks a_missing_session_is_kept_out_for_a_while;
    counts_entries: TwoIdsCountTwice breaks a_session_under_two_ids_counts_once;
    enters_successors_late: SuccessorsComeLate breaks a_session_under_two_ids_is_evicted_under_both;
    evicts_nobody: LimitIsIgnored breaks
        beyond_the_limit_the_oldest_sessions_are_revoked beyond_the_limit_a_session_is_refused;
    counts_in_two_steps: LimitIsCheckedBefore breaks the_limit_holds_for_concurrent_sign_ins;
    /// For what is not stored yet, others would go.
    evicts_before_the_write: EvictsAtOnce breaks beyond_the_limit_the_oldest_sessions_are_revoked;
    lists_one_page: ListEndsEarly breaks a_great_many_sessions_are_listed_and_revoked;
    revokes_one_page: RevocationEndsEarly breaks a_great_many_sessions_are_listed_and_revoked;
    brings_in_what_was_revoked: MovingIsAsLater breaks
        what_comes_after_a_revocation_from_before_it_is_revoked;

    scans_one_page: ScanEndsEarly breaks
        a_scan_sees_every_session a_scan_sees_what_stays_while_others_come_and_go;
    scans_without_owners: ScanForgetsTheOwner breaks a_scan_tells_what_records_hold;
    scans_what_moved: ScanSeesOldIds breaks a_scan_does_not_see_markers;
    scans_what_ended: ScanSeesTheDead breaks a_scan_does_not_see_what_has_ended;
    scans_from_anywhere: ScanTakesAnyCursor breaks a_scan_refuses_what_is_no_cursor;
    scans_one_page_of_owners: ScanOfOwnersEndsEarly breaks a_scan_sees_every_owner;
    scans_former_owners: ScanSeesFormerOwners breaks a_scan_sees_every_owner;
    scans_owners_from_anywhere: ScanOfOwnersTakesAnyCursor breaks a_scan_sees_every_owner;

    tells_nobody: FeedTellsNobody
        breaks a_watch_is_told_of_every_change a_watch_misses_nothing_from_its_beginning;
    finds_under_one_id: FeedFindsNoSuccessor breaks a_session_is_found_wherever_renewals_moved_it;

    loses_an_entry: EntryIsLost breaks a_recorded_entry_is_listed;
    lists_in_the_order_of_recording: HistoryIsUnsorted breaks the_newest_entry_comes_first;
    mixes_histories_up: OneHistoryForAll breaks owners_do_not_see_each_others_history;
    takes_an_entry_twice: EntriesRepeat breaks an_entry_sent_twice_is_listed_once;
    records_in_two_steps: RecordLooksBefore breaks no_concurrent_entry_is_lost;
    keeps_every_entry: NumberIsIgnored breaks beyond_their_number_the_oldest_entries_go;
    lists_what_is_too_old: AgeIsIgnored breaks beyond_their_age_entries_are_not_listed;
    keeps_histories_for_ever: HistoryNeverEnds breaks a_history_ends_with_its_age;
    forgets_nobody: ForgettingIsLost breaks a_forgotten_history_is_gone;
    /// Whoever was forgotten leaves a last trace.
    forgets_what_is_there: ForgetsWhatIsThere breaks what_was_on_its_way_is_forgotten_too;
    shows_one_page_of_histories: HistoriesEndEarly breaks every_history_is_on_a_page;
}

#[test]
fn every_promise_can_be_broken() {
    macro_rules! names {
        (() $($promise:ident)*) => { [$(stringify!($promise)),*] };
    }
    for promise in session_store::__each_promise! { [names] } {
        assert!(BROKEN.contains(&promise), "no fault here proves that {promise} can fail");
    }
}

/// `all` goes on after a broken promise, and names those and only those that were broken.
#[tokio::test(flavor = "multi_thread")]
async fn all_names_the_broken_promises() {
    let faulty = Faulty::new(Fault::CreateForgetsTheOwner);
    let broken = conformance::all(Arc::new(faulty)).await.expect_err("one promise is broken");
    assert_eq!(broken.promises.len(), 1, "{broken}");
    assert_eq!(broken.promises[0].0, "every_field_survives");
    assert!(broken.to_string().contains("every_field_survives: "), "{broken}");
}

/// A `MemoryStore` with one fault.
#[derive(Debug)]
struct Faulty {
    fault: Fault,
    inner: MemoryStore,
    creates: AtomicUsize,
    successors: Mutex<HashMap<SessionKey, SessionKey>>,
    /// What a scan shows besides.
    ghosts: Mutex<Vec<SessionSummary>>,
    /// Owners of whom entries were removed.
    former_owners: Mutex<Vec<OwnerHash>>,
    /// A history in the order of recording, for a fault that the inner store's could not have.
    recorded: Mutex<Vec<(OwnerHash, HistoryEntry)>>,
}

impl Faulty {
    fn new(fault: Fault) -> Self {
        Self {
            fault,
            inner: MemoryStore::new(),
            creates: AtomicUsize::new(0),
            successors: Mutex::default(),
            ghosts: Mutex::default(),
            former_owners: Mutex::default(),
            recorded: Mutex::default(),
        }
    }

    fn key(&self, key: &SessionKey) -> SessionKey {
        match self.fault {
            Fault::KeysByLineage => {
                let name = format!("{}{}", &key.storage_name()[..7], "A".repeat(32));
                SessionKey::from_storage_name(&name).expect("seven characters of one, and a digest")
            }
            Fault::FollowsTheMarker => self.successors.lock().unwrap().get(key).unwrap_or(key).clone(),
            _ => key.clone(),
        }
    }

    fn ttl(&self, ttl: Ttl) -> Ttl {
        if self.fault == Fault::NeverExpires { Ttl::new(Duration::from_secs(3600)) } else { ttl }
    }

    async fn found(&self, key: &SessionKey) -> Option<Record> {
        match self.inner.load(key).await {
            Ok(Loaded::Found(record)) => Some(record),
            _ => None,
        }
    }
}

#[async_trait]
impl SessionStore for Faulty {
    async fn load(&self, key: &SessionKey) -> Result<Loaded, Error> {
        self.inner.load(&self.key(key)).await
    }

    async fn create(&self, key: &SessionKey, record: &Record, ttl: Ttl) -> Result<Created, Error> {
        let (key, mut record) = (&self.key(key), record.clone());
        let before = self.creates.fetch_add(1, Ordering::Relaxed);
        match self.fault {
            Fault::CreateIsLost => return Ok(Created::Created),
            Fault::FullStoreRefuses if before >= 60 => return Ok(Created::Created),
            Fault::ForgetsReplays if self.inner.load(key).await? != Loaded::Absent => {
                return Ok(Created::Taken);
            }
            Fault::CreateForgetsTheOwner => record.owner = None,
            Fault::CreateOverwrites => drop(self.inner.delete(key).await?),
            _ => {}
        }
        self.inner.create(key, &record, self.ttl(ttl)).await
    }

    async fn update(&self, update: Update<'_>) -> Result<Updated, Error> {
        let (Update { key, record, ttl, follow, .. }, expected) = (update, update.expected());
        let (key, mut record, ttl) = (&self.key(key), record.clone(), self.ttl(ttl));
        let present = self.found(key).await;
        match (self.fault, present) {
            (Fault::UpdateCreates, None) => drop(self.inner.create(key, &record, ttl).await?),
            (Fault::LastWriteWins, Some(present)) => record.previous_revision = Some(present.revision),
            (Fault::UpdateKeepsTheOwner, Some(present)) => record.owner = present.owner,
            (Fault::ForgetsReplays, None) if self.inner.load(key).await? == Loaded::Moved => {
                return Ok(Updated::Moved);
            }
            (Fault::ForgetsReplays, Some(present)) if present.revision != expected => {
                return Ok(Updated::Stale(present));
            }
            (Fault::CheckThenAct, Some(present)) if present.revision == expected => {
                tokio::task::yield_now().await;
                record.previous_revision = self.found(key).await.map(|changed| changed.revision);
            }
            _ => {}
        }
        let update = Update::new(key, &record, ttl);
        if follow { self.follow(update).await } else { self.inner.update(update).await }
    }

    async fn touch(&self, touch: Touch<'_>) -> Result<bool, Error> {
        let Touch { expected, known_end, expires_at, .. } = touch;
        let (key, ttl) = (&self.key(touch.key), self.ttl(touch.ttl));
        let mut known = Record::new(known_end, known_end, Payload::new(1, "{}"));
        known.revision = expected;
        match (self.fault, self.found(key).await) {
            (Fault::TouchIsLost, _) => return Ok(true),
            (Fault::TouchCreates, None) => {
                let data = Payload::new(1, "{}");
                self.inner.create(key, &Record::new(expires_at, expires_at, data), ttl).await?;
            }
            (Fault::TouchIgnoresTheRevision, Some(present)) => known.revision = present.revision,
            (Fault::TouchShortens, Some(mut present)) => {
                present.expires_at = expires_at;
                self.inner.delete(key).await?;
                self.inner.create(key, &present, ttl).await?;
            }
            (Fault::TouchesAlways, Some(present)) => known.expires_at = present.expires_at,
            _ => {}
        }
        self.inner.touch(Touch::new(key, &known, expires_at, ttl)).await
    }

    async fn rotate(&self, mut rotation: Rotation<'_>) -> Result<Updated, Error> {
        let (old, new) = (self.key(rotation.old), self.key(rotation.new));
        let mut record = rotation.record.clone();
        (rotation.old, rotation.new, rotation.ttl) = (&old, &new, self.ttl(rotation.ttl));
        match (self.fault, self.inner.load(&old).await?) {
            (Fault::RotationIgnoresTheRevision, Loaded::Found(present)) => {
                record.previous_revision = Some(present.revision);
                rotation.record = &record;
            }
            (Fault::RotationCreates, Loaded::Absent) => {
                self.inner.create(&new, rotation.record, rotation.ttl).await?;
                return Ok(Updated::Updated);
            }
            (Fault::RotationLeavesNoMarker, Loaded::Found(_)) => {
                self.inner.delete(&old).await?;
                self.inner.create(&new, rotation.record, rotation.ttl).await?;
                return Ok(Updated::Updated);
            }
            (Fault::ForgetsReplays, Loaded::Moved) => return Ok(Updated::Moved),
            (Fault::ScanSeesOldIds, Loaded::Found(present)) => self.haunt(&old, &present),
            _ => {}
        }
        self.successors.lock().unwrap().insert(old.clone(), new.clone());
        self.inner.rotate(rotation).await
    }

    async fn delete(&self, key: &SessionKey) -> Result<bool, Error> {
        let key = &self.key(key);
        match (self.fault, self.inner.load(key).await?) {
            (Fault::DeleteIsLost, _) | (Fault::DeleteStopsAtTheMarker, Loaded::Moved) => Ok(true),
            (Fault::ScanSeesTheDead, Loaded::Found(present)) => {
                self.haunt(key, &present);
                self.inner.delete(key).await
            }
            _ => self.inner.delete(key).await,
        }
    }

    fn owners(&self) -> Option<&dyn OwnerIndex> {
        Some(self)
    }

    fn scan(&self) -> Option<&dyn Scan> {
        use Fault::{
            ScanEndsEarly, ScanForgetsTheOwner, ScanOfOwnersEndsEarly, ScanOfOwnersTakesAnyCursor,
            ScanSeesFormerOwners, ScanSeesOldIds, ScanSeesTheDead, ScanTakesAnyCursor,
        };
        let faults = [
            ScanEndsEarly,
            ScanForgetsTheOwner,
            ScanOfOwnersEndsEarly,
            ScanOfOwnersTakesAnyCursor,
            ScanSeesFormerOwners,
            ScanSeesOldIds,
            ScanSeesTheDead,
            ScanTakesAnyCursor,
        ];
        faults.contains(&self.fault).then_some(self)
    }

    fn history(&self) -> Option<&dyn History> {
        Some(self)
    }

    fn feed(&self) -> Option<&dyn Feed> {
        [Fault::FeedTellsNobody, Fault::FeedFindsNoSuccessor].contains(&self.fault).then_some(self)
    }
}

#[async_trait]
impl Feed for Faulty {
    fn watch(&self, key: &SessionKey) -> Watch {
        match self.fault {
            Fault::FeedTellsNobody => Watches::default().watch(key),
            _ => self.inner.feed().unwrap().watch(key),
        }
    }

    async fn find(&self, key: &SessionKey) -> Result<Option<(SessionKey, Record)>, Error> {
        match self.fault {
            Fault::FeedFindsNoSuccessor => Ok(self.found(key).await.map(|record| (key.clone(), record))),
            // So slowly that what is deleted meanwhile has to be told of.
            _ => {
                let found = self.inner.feed().unwrap().find(key).await;
                tokio::time::sleep(Duration::from_millis(1)).await;
                found
            }
        }
    }
}

impl Faulty {
    async fn follow(&self, mut update: Update<'_>) -> Result<Updated, Error> {
        let successor = |key: &SessionKey| self.successors.lock().unwrap().get(key).cloned();
        let next = successor(update.key);
        let mut record = update.record.clone();
        let target = next.as_ref().unwrap_or(update.key);
        match self.fault {
            Fault::FollowIsIgnored => return self.inner.update(update).await,
            Fault::FollowNeedsAMarker if self.inner.load(update.key).await? != Loaded::Moved => {
                return Ok(Updated::Missing);
            }
            Fault::FollowLooksBefore => {
                let is_moved = self.inner.load(update.key).await? == Loaded::Moved;
                tokio::task::yield_now().await;
                if !is_moved {
                    return self.inner.update(update).await;
                }
            }
            Fault::FollowsChains => {
                let mut last = update.key.clone();
                while let Some(next) = successor(&last) {
                    last = next;
                }
                update.key = &last;
                return self.inner.update(update).await;
            }
            Fault::FollowIgnoresTheRevision => {
                if let Some(present) = self.found(target).await {
                    record.previous_revision = Some(present.revision);
                    update.record = &record;
                }
            }
            Fault::FollowCreates if self.found(target).await.is_none() => {
                self.inner.create(target, update.record, update.ttl).await?;
            }
            _ => {}
        }
        self.inner.update(update.following()).await
    }

    fn haunt(&self, key: &SessionKey, record: &Record) {
        self.ghosts.lock().unwrap().push(SessionSummary::new(key.clone(), record));
    }
}

#[async_trait]
impl Scan for Faulty {
    async fn page(&self, mut cursor: Option<&Cursor>, size: usize) -> Result<Page, Error> {
        if self.fault == Fault::ScanTakesAnyCursor {
            cursor = None;
        }
        let mut page = self.inner.scan().unwrap().page(cursor, size).await?;
        page.sessions.extend(self.ghosts.lock().unwrap().iter().cloned());
        match self.fault {
            Fault::ScanEndsEarly => page.next = None,
            Fault::ScanForgetsTheOwner => page.sessions.iter_mut().for_each(|it| it.owner = None),
            _ => {}
        }
        Ok(page)
    }

    async fn usage(&self) -> Result<Usage, Error> {
        self.inner.scan().unwrap().usage().await
    }

    async fn owners_page(&self, mut cursor: Option<&Cursor>, size: usize) -> Result<OwnersPage, Error> {
        if self.fault == Fault::ScanOfOwnersTakesAnyCursor {
            cursor = None;
        }
        let mut page = self.inner.scan().unwrap().owners_page(cursor, size).await?;
        match self.fault {
            Fault::ScanOfOwnersEndsEarly => page.next = None,
            Fault::ScanSeesFormerOwners => page.owners.extend(self.former_owners.lock().unwrap().iter()),
            _ => {}
        }
        Ok(page)
    }
}

impl Faulty {
    fn records_by_itself(&self) -> bool {
        use Fault::{EntriesRepeat, ForgetsWhatIsThere, HistoryIsUnsorted, RecordLooksBefore};
        [EntriesRepeat, ForgetsWhatIsThere, HistoryIsUnsorted, RecordLooksBefore].contains(&self.fault)
    }
}

#[async_trait]
impl History for Faulty {
    async fn record(
        &self,
        owner: OwnerHash,
        entry: &HistoryEntry,
        mut bounds: HistoryBounds,
    ) -> Result<(), Error> {
        if self.records_by_itself() {
            let mut recorded = self.recorded.lock().unwrap().clone();
            if self.fault == Fault::RecordLooksBefore {
                tokio::task::yield_now().await;
            }
            recorded.insert(0, (owner, entry.clone()));
            *self.recorded.lock().unwrap() = recorded;
            return Ok(());
        }
        match self.fault {
            Fault::EntryIsLost => return Ok(()),
            Fault::NumberIsIgnored => bounds.entries = HistoryBounds::MOST_ENTRIES,
            Fault::HistoryNeverEnds => bounds.age = HistoryBounds::LONGEST_AGE,
            _ => {}
        }
        self.inner.record(self.remembered(owner), entry, bounds).await
    }

    async fn list(
        &self,
        owner: OwnerHash,
        mut bounds: HistoryBounds,
        now: Timestamp,
    ) -> Result<Vec<HistoryEntry>, Error> {
        if self.records_by_itself() {
            let recorded = self.recorded.lock().unwrap().clone();
            let own =
                recorded.into_iter().filter(|(known, _)| *known == owner).map(|(_, entry)| entry).collect();
            return Ok(if self.fault == Fault::HistoryIsUnsorted { own } else { bounds.newest(own, now) });
        }
        if self.fault == Fault::AgeIsIgnored {
            bounds.age = HistoryBounds::LONGEST_AGE;
        }
        History::list(&self.inner, self.remembered(owner), bounds, now).await
    }

    async fn forget(&self, owner: OwnerHash, now: Timestamp) -> Result<u64, Error> {
        if self.records_by_itself() {
            self.recorded.lock().unwrap().retain(|(known, _)| *known != owner);
        }
        if self.fault == Fault::ForgettingIsLost {
            return Ok(0);
        }
        self.inner.forget(self.remembered(owner), now).await
    }

    async fn page(&self, cursor: Option<&Cursor>, size: usize) -> Result<HistoryPage, Error> {
        let mut page = History::page(&self.inner, cursor, size).await?;
        if self.fault == Fault::HistoriesEndEarly {
            page.next = None;
        }
        Ok(page)
    }
}

impl Faulty {
    fn remembered(&self, owner: OwnerHash) -> OwnerHash {
        if self.fault == Fault::OneHistoryForAll { everybody() } else { owner }
    }

    fn owner(&self, owner: OwnerHash) -> OwnerHash {
        if self.fault == Fault::OneOwnerForAll { everybody() } else { owner }
    }
}

fn everybody() -> OwnerHash {
    OwnerHash::of(&Owner::new("everybody").unwrap())
}

#[async_trait]
impl OwnerIndex for Faulty {
    async fn insert(&self, owner: OwnerHash, mut entering: IndexInsert<'_>) -> Result<IndexInserted, Error> {
        let owner = self.owner(owner);
        match self.fault {
            Fault::EntriesNeverEnd => entering.life = Duration::from_secs(3600),
            Fault::EntriesShorten => {
                OwnerIndex::remove(&self.inner, owner, &[entering.entry.clone()], &[]).await?;
            }
            Fault::RevocationIsForgotten => {
                let revoked = self.inner.revoked(owner).await?;
                OwnerIndex::remove(&self.inner, owner, &revoked, &[]).await?;
            }
            Fault::SuccessorsGetIn => entering.replaces = None,
            Fault::SuccessorsComeLate if entering.stage == Stage::Before && entering.replaces.is_some() => {
                return Ok(IndexInserted::new(Verdict::Inserted, false));
            }
            Fault::ReplacedStay if entering.stage == Stage::After => entering.replaces = None,
            Fault::TwoIdsCountTwice
                if self.inner.owners().unwrap().list(owner, None).await?.entries.len() >= 5
                    && entering.limit.is_some() =>
            {
                return Ok(IndexInserted::new(Verdict::Full, false));
            }
            Fault::LimitIsIgnored => entering.limit = None,
            Fault::EvictsAtOnce if entering.limit.is_some() => {
                self.inner.insert(owner, entering).await?;
                entering.stage = Stage::After;
            }
            Fault::MovingIsAsLater if entering.stage == Stage::Moving => entering.stage = Stage::Later,
            Fault::LimitIsCheckedBefore => {
                let present = self.inner.owners().unwrap().list(owner, None).await?.entries.len();
                tokio::task::yield_now().await;
                match entering.limit.take() {
                    Some(limit) if present >= limit.sessions as usize => {
                        return Ok(IndexInserted::new(Verdict::Full, false));
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        self.inner.insert(owner, entering).await
    }

    async fn list(&self, owner: OwnerHash, after: Option<&Cursor>) -> Result<Owned, Error> {
        let mut page = self.inner.owners().unwrap().list(self.owner(owner), after).await?;
        match self.fault {
            Fault::ListEndsEarly => page.next = None,
            Fault::NothingIsPending => page.pending.clear(),
            Fault::AllIsPending => page.pending.clone_from(&page.entries),
            _ => {}
        }
        Ok(page)
    }

    async fn revoked(&self, owner: OwnerHash) -> Result<Vec<Entry>, Error> {
        self.inner.revoked(self.owner(owner)).await
    }

    async fn revoke(&self, owner: OwnerHash, which: Revocation<'_>) -> Result<(), Error> {
        let which = if self.fault == Fault::NobodyIsSpared { Revocation::All } else { which };
        if self.fault == Fault::RevocationEndsEarly && !matches!(which, Revocation::One(_)) {
            for entry in &self.inner.owners().unwrap().list(owner, None).await?.entries {
                if !matches!(which, Revocation::AllBut(spared) if spared == entry) {
                    self.inner.revoke(owner, Revocation::One(entry)).await?;
                }
            }
            return Ok(());
        }
        self.inner.revoke(self.owner(owner), which).await
    }

    async fn remove(&self, owner: OwnerHash, gone: &[Entry], missing: &[Entry]) -> Result<(), Error> {
        match self.fault {
            Fault::RemovalIsLost => Ok(()),
            Fault::ScanSeesFormerOwners => {
                self.former_owners.lock().unwrap().push(owner);
                OwnerIndex::remove(&self.inner, owner, gone, missing).await
            }
            Fault::MissingGo => OwnerIndex::remove(&self.inner, owner, &[gone, missing].concat(), &[]).await,
            _ => OwnerIndex::remove(&self.inner, owner, gone, missing).await,
        }
    }
}
