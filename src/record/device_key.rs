//! The key of the browser that a session is bound to, kept beside the session's data.

use std::fmt;

use super::{Extensions, Record};
use crate::clock::Timestamp;
use crate::random;

/// The tag of the entry.
const TAG: u8 = 0x02;
/// Of a point of P-256, compressed (SEC 1, 2.3.3).
pub(crate) const POINT_LENGTH: usize = 33;
const NAME_LENGTH: usize = 12;
const TIME_LENGTH: usize = 6;
const LENGTH: usize = POINT_LENGTH + NAME_LENGTH + 2 * TIME_LENGTH;

/// A browser's key, and what is known of it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct DeviceKey {
    /// The public key.
    pub(crate) point: [u8; POINT_LENGTH],
    /// What the browser calls the binding. A renewal of the session changes neither this nor the key.
    pub(crate) name: [u8; NAME_LENGTH],
    /// When it was registered.
    pub(crate) since: Timestamp,
    /// The time of the newest challenge that it has answered. None is accepted twice.
    pub(crate) answered: Timestamp,
}

impl DeviceKey {
    pub(crate) fn new(point: [u8; POINT_LENGTH], since: Timestamp, answered: Timestamp) -> Self {
        Self { point, name: random::bytes(), since, answered }
    }

    /// That of a session that is bound.
    pub(crate) fn of(record: &Record) -> Option<Self> {
        let mut bytes = record.extensions.get(TAG)?;
        let key = Self {
            point: take(&mut bytes)?,
            name: take(&mut bytes)?,
            since: time_from_bytes(take(&mut bytes)?),
            answered: time_from_bytes(take(&mut bytes)?),
        };
        Some(key)
    }

    pub(crate) fn write_to(&self, extensions: &Extensions) -> Extensions {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.extend(self.point);
        bytes.extend(self.name);
        bytes.extend(time_to_bytes(self.since));
        bytes.extend(time_to_bytes(self.answered));
        extensions.with(TAG, &bytes)
    }
}

impl fmt::Debug for DeviceKey {
    // It tells one device from another.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceKey(..)")
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

/// Milliseconds, big-endian: enough for 8,900 years.
pub(crate) fn time_to_bytes(time: Timestamp) -> [u8; TIME_LENGTH] {
    let [_, _, bytes @ ..] = time.as_millis().to_be_bytes();
    bytes
}

pub(crate) fn time_from_bytes(bytes: [u8; TIME_LENGTH]) -> Timestamp {
    let mut millis = [0; 8];
    millis[2..].copy_from_slice(&bytes);
    Timestamp::from_millis(u64::from_be_bytes(millis))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Payload;

    #[test]
    fn a_binding_takes_60_bytes_and_is_read_again() {
        let at = Timestamp::from_millis(1_795_252_959_517);
        let key = DeviceKey::new([7; POINT_LENGTH], at, at);
        let mut record = Record::new(at, at, Payload::new(1, "{}"));
        record.extensions = key.write_to(&key.write_to(&Extensions::default()));
        assert_eq!(record.extensions.as_bytes().len(), 60);
        assert_eq!(DeviceKey::of(&record), Some(key));
        record.extensions = Extensions::default().with(TAG, &[2; 20]);
        assert_eq!(DeviceKey::of(&record), None);
    }
}
