//! Tests of every promise that [`SessionStore`] makes, for stores of your own.
//!
//! One line in an integration test makes one test of each promise, named after it:
//!
//! ```
//! # use session_store::MemoryStore;
//! session_store::conformance_tests!(MemoryStore::new());
//! # fn main() {}
//! ```
//!
//! The expression makes a store, and may `.await`; it is evaluated for each test. The tests need
//! `tokio` with the features `macros` and `rt-multi-thread` among your dev-dependencies.
//!
//! [`all`] does the same from within a program. Each promise is also a function: it returns an error of the store, and
//! panics if the store breaks the promise. So one that is broken can be debugged on its own:
//!
//! ```
//! use session_store::{MemoryStore, SessionStore, conformance};
//! use std::sync::Arc;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), session_store::Error> {
//! let store: Arc<dyn SessionStore> = Arc::new(MemoryStore::new());
//! conformance::a_late_save_cannot_undo_a_logout(&store).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Tests of an index of owners, a scan, a feed or a history pass on a store that has none.
//!
//! A minor version may add tests, for promises that a store always had to keep.
//!
//! Sessions get fresh random keys, so a store that is in use is safe to test and tests may run
//! concurrently. A bounded store should hold 256 KiB at least. A test takes up to two seconds, as
//! stores expire sessions by real clocks.
#![expect(clippy::missing_panics_doc, reason = "a broken promise panics, as said above")]

mod expiring;
mod following;
mod logging_out;
mod owning;
mod remembering;
mod replaying;
mod rotating;
mod sample;
mod scanning;
mod storing;
mod swapping;
mod watching;

pub use expiring::*;
pub use following::*;
pub use logging_out::*;
pub use owning::*;
pub use remembering::*;
pub use replaying::*;
pub use rotating::*;
pub use scanning::*;
pub use storing::*;
pub use swapping::*;
pub use watching::*;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use crate::error::Error;
use crate::store::SessionStore;
use sample::Store;

/// The one list of all promises, handed to a macro together with its arguments.
#[doc(hidden)]
#[macro_export]
macro_rules! __each_promise {
    ([$($macro:tt)*] $($arguments:tt)*) => {
        $($macro)*! { ($($arguments)*)
            an_unknown_key_is_absent
            a_created_session_loads_as_it_was_stored
            every_field_survives
            a_taken_key_is_left_as_it_is
            one_of_many_concurrent_creates_wins
            sessions_of_one_lineage_are_apart
            a_deleted_session_is_gone
            a_full_store_admits_new_sessions

            an_update_replaces_the_record
            an_update_needs_the_expected_revision
            nothing_but_create_creates
            one_of_two_concurrent_updates_wins
            no_concurrent_increment_is_lost

            a_late_save_cannot_undo_a_logout
            a_late_touch_cannot_undo_a_logout
            a_late_rotation_cannot_undo_a_logout
            a_logout_with_the_old_id_ends_the_rotated_session
            a_logout_follows_a_chain_of_rotations
            a_logout_wins_against_a_concurrent_save
            a_logout_wins_against_a_concurrent_touch
            a_logout_wins_against_a_concurrent_rotation

            a_rotation_moves_the_session
            a_rotation_needs_the_expected_revision
            nothing_but_a_deletion_follows_a_rotation
            one_of_two_concurrent_rotations_wins
            a_rotation_and_a_concurrent_save_exclude_each_other

            an_update_follows_a_rotation
            an_update_that_follows_needs_the_expected_revision
            an_update_that_follows_needs_no_rotation
            an_update_follows_no_chain_of_rotations
            an_update_that_follows_creates_nothing
            an_update_that_follows_sets_the_time_to_live
            an_update_that_follows_is_recognised_when_sent_twice
            an_update_that_follows_and_a_concurrent_save_exclude_each_other
            an_update_that_follows_and_a_concurrent_rotation_miss_nothing
            a_logout_wins_against_a_concurrent_update_that_follows
            no_concurrent_increment_that_follows_is_lost

            a_create_sent_twice_answers_alike
            an_update_sent_twice_answers_alike
            a_rotation_sent_twice_answers_alike
            writes_sent_twice_at_once_answer_alike
            a_write_replayed_after_another_is_recognised
            an_update_replayed_after_a_rotation_is_recognised
            an_update_replayed_after_two_others_is_stale
            a_replayed_rotation_cannot_undo_a_logout

            a_session_ends_with_its_time_to_live
            an_expired_session_stays_expired
            an_update_sets_the_time_to_live
            a_rotation_sets_the_time_to_live
            a_touch_moves_the_end_and_nothing_else
            a_touch_keeps_a_session_alive
            a_touch_never_shortens
            of_touches_at_once_one_counts
            a_touch_needs_the_expected_revision
            the_shortest_and_the_longest_time_to_live_are_kept

            an_entered_session_is_listed
            an_entry_ends_with_its_time_to_live
            an_entry_is_extended_and_never_shortened
            an_entry_is_pending_until_its_session_was_written
            a_revoked_session_is_not_inserted_again
            an_unknown_session_can_be_revoked
            a_revoked_sessions_successor_is_revoked
            a_replaced_entry_is_gone
            a_spared_session_stays
            a_removed_entry_is_gone
            a_missing_session_is_kept_out_for_a_while
            beyond_the_limit_the_oldest_sessions_are_revoked
            beyond_the_limit_a_session_is_refused
            a_session_under_two_ids_counts_once
            a_session_under_two_ids_is_evicted_under_both
            the_limit_holds_for_concurrent_sign_ins
            a_great_many_sessions_are_listed_and_revoked
            what_comes_after_a_revocation_from_before_it_is_revoked

            a_scan_sees_every_session
            a_scan_sees_what_stays_while_others_come_and_go
            a_scan_tells_what_records_hold
            a_scan_does_not_see_markers
            a_scan_does_not_see_what_has_ended
            a_scan_refuses_what_is_no_cursor
            a_scan_sees_every_owner

            a_watch_is_told_of_every_change
            a_watch_misses_nothing_from_its_beginning
            a_session_is_found_wherever_renewals_moved_it

            a_recorded_entry_is_listed
            the_newest_entry_comes_first
            owners_do_not_see_each_others_history
            an_entry_sent_twice_is_listed_once
            no_concurrent_entry_is_lost
            beyond_their_number_the_oldest_entries_go
            beyond_their_age_entries_are_not_listed
            a_history_ends_with_its_age
            a_forgotten_history_is_gone
            what_was_on_its_way_is_forgotten_too
            every_history_is_on_a_page
        }
    };
}

/// Makes one `#[tokio::test]` of each promise, for the store that the expression makes.
///
/// A resource that the store depends on, such as a server process, may come first; each test holds it until
/// it ends:
///
/// ```
/// # use session_store::MemoryStore;
/// # struct Server;
/// # impl Server {
/// #     async fn start() -> Self { Self }
/// #     async fn connect(&self) -> MemoryStore { MemoryStore::new() }
/// # }
/// session_store::conformance_tests! {
///     let server = Server::start().await;
///     server.connect().await
/// }
/// # fn main() {}
/// ```
///
/// See the [module](crate::conformance).
#[macro_export]
macro_rules! conformance_tests {
    (let $guard:ident = $started:expr; $store:expr) => {
        $crate::__each_promise! { [$crate::__conformance_test] let $guard = $started; $store }
    };
    ($store:expr $(,)?) => {
        $crate::conformance_tests! { let _guard = (); $store }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_test {
    ((let $guard:ident = $started:expr; $store:expr) $($promise:ident)*) => {$(
        #[::tokio::test(flavor = "multi_thread")]
        async fn $promise() -> ::std::result::Result<(), $crate::Error> {
            let $guard = $started;
            let store: ::std::sync::Arc<dyn $crate::SessionStore> = ::std::sync::Arc::new($store);
            $crate::conformance::$promise(&store).await
        }
    )*};
}

type Test = fn(Store) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

macro_rules! table {
    (() $($promise:ident)*) => {
        &[$((stringify!($promise), |store| Box::pin(async move { $promise(&store).await }))),*]
    };
}
const PROMISES: &[(&str, Test)] = __each_promise! { [table] };

/// Tests each promise, one after the other, and returns their names.
///
/// # Errors
///
/// [`Broken`] names the promises that the store does not keep.
///
/// ```no_run
/// use session_store::{MemoryStore, conformance};
/// use std::sync::Arc;
///
/// # async fn example() -> Result<(), conformance::Broken> {
/// let kept = conformance::all(Arc::new(MemoryStore::new())).await?;
/// println!("the store keeps all of {kept:#?}");
/// # Ok(())
/// # }
/// ```
pub async fn all(store: Arc<dyn SessionStore>) -> Result<Vec<&'static str>, Broken> {
    let mut kept = Vec::new();
    let mut broken = Vec::new();
    for (promise, test) in PROMISES {
        // A task of its own turns a panic into a value.
        match tokio::spawn(test(Arc::clone(&store))).await {
            Ok(Ok(())) => kept.push(*promise),
            Ok(Err(error)) => broken.push((*promise, error.to_string())),
            Err(panic) => broken.push((*promise, panic.to_string())),
        }
    }
    if broken.is_empty() { Ok(kept) } else { Err(Broken { promises: broken }) }
}

/// The promises that a store breaks; from [`all`].
///
/// ```no_run
/// use session_store::{MemoryStore, conformance};
/// use std::sync::Arc;
///
/// # async fn example() {
/// if let Err(broken) = conformance::all(Arc::new(MemoryStore::new())).await {
///     for (promise, reason) in &broken.promises {
///         eprintln!("{promise}: {reason}");
///     }
/// }
/// # }
/// ```
#[non_exhaustive]
pub struct Broken {
    /// The name of each broken promise, and the failure.
    pub promises: Vec<(&'static str, String)>,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store breaks {} of {} promises", self.promises.len(), PROMISES.len())?;
        self.promises.iter().try_for_each(|(promise, reason)| write!(f, "\n- {promise}: {reason}"))
    }
}

impl fmt::Debug for Broken {
    // What `unwrap` prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Broken {}
