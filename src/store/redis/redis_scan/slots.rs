//! Sets of a cluster's slots, and their form in a cursor.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::store::redis::name::{SLOTS, Slot};

const WORD: usize = 64;

/// A bit for each slot.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct SlotSet([u64; SLOTS as usize / WORD]);

impl SlotSet {
    pub(super) const NONE: Self = Self([0; SLOTS as usize / WORD]);
    pub(super) const ALL: Self = Self([u64::MAX; SLOTS as usize / WORD]);

    pub(super) fn contains(&self, slot: Slot) -> bool {
        let slot = usize::from(slot);
        self.0[slot / WORD] >> (slot % WORD) & 1 == 1
    }

    pub(super) fn insert(&mut self, slot: Slot) {
        let slot = usize::from(slot);
        self.0[slot / WORD] |= 1 << (slot % WORD);
    }

    pub(super) fn remove(&mut self, slot: Slot) {
        let slot = usize::from(slot);
        self.0[slot / WORD] &= !(1 << (slot % WORD));
    }

    pub(super) fn keep(&mut self, others: &Self) {
        self.0.iter_mut().zip(others.0).for_each(|(word, other)| *word &= other);
    }

    pub(super) fn remove_all(&mut self, others: &Self) {
        self.0.iter_mut().zip(others.0).for_each(|(word, other)| *word &= !other);
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = Slot> {
        (0..SLOTS).filter(|slot| self.0[usize::from(*slot) / WORD] != 0 && self.contains(*slot))
    }

    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::NONE
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
        let mut set = Self::NONE;
        if let Some((first, bits)) = text.split_once('*') {
            let first = slot(first)?;
            for (nth, byte) in URL_SAFE_NO_PAD.decode(bits).ok()?.into_iter().enumerate() {
                for bit in (0..8).filter(|bit| byte >> bit & 1 == 1) {
                    let slot = Slot::try_from(usize::from(first) + nth * 8 + bit).ok();
                    set.insert(slot.filter(|slot| *slot < SLOTS)?);
                }
            }
        } else if !text.is_empty() {
            for run in text.split(',') {
                let (first, last) = run.split_once('-').unwrap_or((run, run));
                (slot(first)?..=slot(last)?).for_each(|slot| set.insert(slot));
            }
        }
        Some(set)
    }

    fn runs(&self) -> String {
        let slots: Vec<_> = self.iter().collect();
        let runs = slots.chunk_by(|one, next| one + 1 == *next).map(|run| match run {
            [first, .., last] => format!("{first}-{last}"),
            run => run[0].to_string(),
        });
        runs.collect::<Vec<_>>().join(",")
    }

    fn bits(&self) -> Option<String> {
        let (first, last) = (self.iter().next()?, self.iter().next_back()?);
        let mut bytes = vec![0_u8; usize::from(last - first) / 8 + 1];
        for slot in self.iter().map(|slot| slot - first) {
            bytes[usize::from(slot) / 8] |= 1 << (slot % 8);
        }
        Some(format!("{first}*{}", URL_SAFE_NO_PAD.encode(bytes)))
    }
}

impl FromIterator<Slot> for SlotSet {
    fn from_iter<I: IntoIterator<Item = Slot>>(slots: I) -> Self {
        let mut set = Self::NONE;
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
            (SlotSet::NONE, ""),
            (SlotSet::ALL, "0-16383"),
            ([7, 8, 9, 16383].into_iter().collect(), "7-9,16383"),
            (scattered, "100*SZIkSZI"),
        ] {
            assert_eq!(set.to_string(), text);
            assert_eq!(SlotSet::parse(text), Some(set));
        }
        for bad in ["16384", "-", "9-7", "1,", "0-16384", "16383*_w", "16384*", "1*=", "x*AA", "1*AA,2"] {
            let parsed = SlotSet::parse(bad);
            assert!(parsed.is_none_or(|set| set.is_empty()), "{bad}");
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
