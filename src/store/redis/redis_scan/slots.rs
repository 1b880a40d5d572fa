//! Sets of a cluster's slots, and their form in a cursor.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::store::redis::name::{SLOTS, Slot};

#[derive(Clone, PartialEq, Eq)]
pub(super) struct SlotSet(Vec<bool>);

impl SlotSet {
    pub(super) fn none() -> Self {
        Self(vec![false; usize::from(SLOTS)])
    }

    pub(super) fn all() -> Self {
        Self(vec![true; usize::from(SLOTS)])
    }

    pub(super) fn contains(&self, slot: Slot) -> bool {
        self.0[usize::from(slot)]
    }

    pub(super) fn insert(&mut self, slot: Slot) {
        self.0[usize::from(slot)] = true;
    }

    pub(super) fn remove(&mut self, slot: Slot) {
        self.0[usize::from(slot)] = false;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Slot> {
        (0..SLOTS).filter(|slot| self.contains(*slot))
    }

    pub(super) fn len(&self) -> usize {
        self.iter().count()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    pub(super) fn retain(&mut self, keep: impl Fn(Slot) -> bool) {
        for (is_in, slot) in self.0.iter_mut().zip(0..) {
            *is_in &= keep(slot);
        }
    }

    /// As many of the lowest as take up to `room` characters.
    pub(super) fn shortened(&self, room: usize) -> Self {
        let mut set = self.clone();
        while set.to_string().len() > room {
            set = set.iter().take(set.len() / 2).collect();
        }
        set
    }

    /// `0-99,105`, or `<first>*<one bit for each slot from there, as base64>`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let slot = |text: &str| text.parse().ok().filter(|slot: &Slot| *slot < SLOTS);
        let mut set = Self::none();
        if let Some((first, bits)) = text.split_once('*') {
            let bytes = URL_SAFE_NO_PAD.decode(bits).ok()?;
            let bits = bytes.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1));
            for (nth, _) in bits.enumerate().filter(|(_, is_in)| *is_in) {
                *set.0.get_mut(usize::from(slot(first)?) + nth)? = true;
            }
        } else if !text.is_empty() {
            for run in text.split(',') {
                let (first, last) = run.split_once('-').unwrap_or((run, run));
                set.0.get_mut(usize::from(slot(first)?)..=usize::from(slot(last)?))?.fill(true);
            }
        }
        Some(set)
    }

    fn runs(&self) -> String {
        let mut runs = Vec::new();
        let mut start = 0;
        for run in self.0.chunk_by(|one, next| one == next) {
            let last = start + run.len() - 1;
            match (run[0], run.len()) {
                (false, _) => {}
                (true, 1) => runs.push(start.to_string()),
                (true, _) => runs.push(format!("{start}-{last}")),
            }
            start = last + 1;
        }
        runs.join(",")
    }

    fn bits(&self) -> Option<String> {
        let first = self.0.iter().position(|is_in| *is_in)?;
        let last = self.0.iter().rposition(|is_in| *is_in)?;
        let byte = |bits: &[bool]| bits.iter().rfold(0, |byte, is_in| byte << 1 | u8::from(*is_in));
        let bytes: Vec<u8> = self.0[first..=last].chunks(8).map(byte).collect();
        Some(format!("{first}*{}", URL_SAFE_NO_PAD.encode(bytes)))
    }
}

impl FromIterator<Slot> for SlotSet {
    fn from_iter<I: IntoIterator<Item = Slot>>(slots: I) -> Self {
        let mut set = Self::none();
        slots.into_iter().for_each(|slot| set.insert(slot));
        set
    }
}

/// The shorter of the two forms.
impl fmt::Display for SlotSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = self.runs();
        let bits = self.bits().filter(|bits| bits.len() < runs.len());
        f.write_str(&bits.unwrap_or(runs))
    }
}

impl fmt::Debug for SlotSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}", self.runs())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_set_has_the_shorter_of_two_forms() {
        let scattered: SlotSet = (100..140).step_by(3).collect();
        for (set, text) in [
            (SlotSet::none(), ""),
            (SlotSet::all(), "0-16383"),
            ([7, 8, 9, 16383].into_iter().collect(), "7-9,16383"),
            (scattered, "100*SZIkSZI"),
        ] {
            assert_eq!(set.to_string(), text);
            assert_eq!(SlotSet::parse(text), Some(set));
        }
        for bad in ["16384", "-", "9-7", "1,", "0-16384", "16383*_w", "16384*", "1*=", "x*AA", "1*AA,2"] {
            let parsed = SlotSet::parse(bad);
            assert!(parsed.is_none() || parsed.is_some_and(|set| set.is_empty()), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_set_is_read_back(runs in prop::collection::vec((0..SLOTS, 1..200_u16), 0..2000)) {
            let runs = runs.into_iter().flat_map(|(first, length)| first..SLOTS.min(first + length));
            let set: SlotSet = runs.collect();
            let text = set.to_string();
            prop_assert!(text.len() <= 2733, "{}", text.len());
            prop_assert_eq!(SlotSet::parse(&text), Some(set.clone()));
            for room in [0, 10, 1000] {
                let short = set.shortened(room);
                prop_assert!(short.to_string().len() <= room && short.iter().all(|slot| set.contains(slot)));
            }
        }
    }
}
