//! Time as a dependency, so that expiry is tested by setting a clock and never by sleeping.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment in whole milliseconds since the Unix epoch; as JSON, that number.
///
/// ```
/// use session_store::Timestamp;
/// use std::time::{Duration, UNIX_EPOCH};
///
/// let noon = Timestamp::from_millis(43_200_000);
/// assert_eq!(noon.saturating_add(Duration::from_secs(1)).as_millis(), 43_201_000);
/// assert_eq!(noon.to_system_time(), UNIX_EPOCH + Duration::from_secs(43_200));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "json", derive(serde::Serialize), serde(transparent))]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment `millis` milliseconds after the Unix epoch. See the [example](Self).
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch. See the [example](Self).
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The same moment for the standard library. Saturates at about 292 million years after the epoch.
    ///
    /// ```
    /// use session_store::{Clock, SystemClock};
    /// use std::time::{Duration, SystemTime};
    ///
    /// // As other crates take a moment, such as `time` and `chrono`.
    /// let now: SystemTime = SystemClock.now().to_system_time();
    /// assert!(now.elapsed().is_ok_and(|since| since < Duration::from_secs(60)));
    /// ```
    pub fn to_system_time(self) -> SystemTime {
        let bounded = self.0.min(i64::MAX as u64 / 1000);
        UNIX_EPOCH + Duration::from_millis(bounded)
    }

    pub(crate) fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis_rounded_up(duration)))
    }

    /// `self + duration`, rounded up to a millisecond and saturating. See the [example](Self).
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis_rounded_up(duration)))
    }

    /// The time from `earlier` to this; zero if this is not later.
    ///
    /// ```
    /// use session_store::Timestamp;
    /// use std::time::Duration;
    ///
    /// let (before, after) = (Timestamp::from_millis(1_000), Timestamp::from_millis(4_500));
    /// assert_eq!(after.saturating_since(before), Duration::from_millis(3_500));
    /// assert_eq!(before.saturating_since(after), Duration::ZERO);
    /// ```
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

/// Rounds up, so that no time to live ever becomes zero; saturates at `u64::MAX`.
pub(crate) fn millis_rounded_up(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// Tells the time to the engine.
///
/// Stores that expire keys by themselves (Redis, moka) use their own clocks in addition, so hosts
/// should run NTP.
///
/// ```
/// use session_store::{Clock, SystemClock, Timestamp};
/// use std::time::Duration;
///
/// /// Tomorrow, for a look at what will have expired by then.
/// #[derive(Debug)]
/// struct Tomorrow;
///
/// impl Clock for Tomorrow {
///     fn now(&self) -> Timestamp {
///         SystemClock.now().saturating_add(Duration::from_secs(24 * 3600))
///     }
/// }
/// assert!(Tomorrow.now() > SystemClock.now());
/// ```
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}

/// The clock of the operating system.
///
/// ```
/// use session_store::{Clock, SystemClock};
///
/// let began = SystemClock.now();
/// assert!(SystemClock.now() >= began);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        // A host whose clock stands before 1970 reads as the epoch: everything is still unexpired.
        Timestamp(since_epoch.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// A clock that moves only when it is told to.
///
/// ```
/// use session_store::{Clock, ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::default();
/// let start = clock.now();
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now().saturating_since(start), Duration::from_secs(60));
/// ```
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// Makes a clock that stands at `start`.
    ///
    /// ```
    /// use session_store::{Clock, ManualClock, Timestamp};
    ///
    /// // A test that shows the same dates each time.
    /// let clock = ManualClock::new(Timestamp::from_millis(1_767_225_600_000));
    /// assert_eq!(clock.now().as_millis(), 1_767_225_600_000);
    /// ```
    pub fn new(start: Timestamp) -> Self {
        Self(AtomicU64::new(start.0))
    }

    /// Moves the clock forward by `duration`, rounded up to a millisecond. See the [example](Self), and that of
    /// `SessionManagerBuilder::expiry` for a session that expires.
    pub fn advance(&self, duration: Duration) {
        self.0.fetch_add(millis_rounded_up(duration), Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    /// A clock that stands at the present moment.
    fn default() -> Self {
        Self::new(SystemClock.now())
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}
