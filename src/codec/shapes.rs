//! Which shapes of data have been seen to be readable again.
//!
//! Some data encodes and does not decode: a map with integer keys in a flattened struct or in a tagged
//! variant, say, since serde keeps such parts in a form of its own while it reads them. To find out,
//! data has to be decoded once more. That is done for the first data of each shape, so a service whose
//! sessions look alike pays for it a few times and no more.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// What data is made of, without what it says: kinds of values, names of fields, variants of enums.
/// Lists and maps of any length have one shape as long as their elements do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape(u64);

impl Shape {
    pub(super) fn of(kind: u64) -> Self {
        let mut shape = Self::default();
        shape.add(Self(kind));
        shape
    }

    pub(super) fn of_text(text: &str) -> Self {
        let mut shape = Self::of(text.len() as u64);
        let (words, rest) = text.as_bytes().as_chunks();
        for word in words {
            shape.add(Self(u64::from_le_bytes(*word)));
        }
        if !rest.is_empty() {
            shape.add(Self(rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))));
        }
        shape
    }

    /// Adds a part, as rustc's own hash does.
    pub(super) fn add(&mut self, part: Self) {
        self.0 = (self.0.rotate_left(5) ^ part.0).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

/// The shapes of a list's elements, however many there are and in whichever order they stand.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bag([u64; 2]);

impl Bag {
    /// Two of 128 bits are set, so two shapes are taken for one once in 4,096 times.
    pub(super) fn add(&mut self, Shape(shape): Shape) {
        self.0[0] |= 1 << (shape >> 58);
        self.0[1] |= 1 << (shape >> 52 & 63);
    }

    pub(super) fn shape(self) -> Shape {
        let mut shape = Shape::of(self.0[0]);
        shape.add(Shape(self.0[1]));
        shape
    }
}

/// How many shapes are remembered: 8 KiB of them, of which a page is made when it is needed, as many managers know a few
/// shapes each. What finds no place is checked each time.
const PAGES: usize = 16;
const PLACES_OF_PAGE: usize = 64;
/// How many places a shape may have, all on one page.
const TRIES: usize = 4;

type Page = [AtomicU64; PLACES_OF_PAGE];

/// Shapes whose data was decoded again. Without a lock: writers ask it.
pub(crate) struct Shapes([OnceLock<Box<Page>>; PAGES]);

impl Shapes {
    pub(crate) fn new() -> Self {
        Self([const { OnceLock::new() }; PAGES])
    }

    pub(super) fn know(&self, shape: Shape) -> bool {
        let page = self.page(shape).get();
        page.is_some_and(|page| places(page, shape).any(|it| it.load(Ordering::Relaxed) == mark(shape)))
    }

    pub(super) fn learn(&self, shape: Shape) {
        let page = self.page(shape).get_or_init(|| Box::new([const { AtomicU64::new(0) }; PLACES_OF_PAGE]));
        let empty = |place: &&AtomicU64| place.load(Ordering::Relaxed) == 0;
        let place = places(page, shape).find(empty).or_else(|| places(page, shape).next());
        place.expect("there are four").store(mark(shape), Ordering::Relaxed);
    }

    fn page(&self, shape: Shape) -> &OnceLock<Box<Page>> {
        &self.0[first_place(shape) / PLACES_OF_PAGE % PAGES]
    }
}

fn places(page: &Page, shape: Shape) -> impl Iterator<Item = &AtomicU64> {
    let first = first_place(shape);
    (first..first + TRIES).map(|place| &page[place % PLACES_OF_PAGE])
}

fn first_place(Shape(shape): Shape) -> usize {
    usize::try_from(shape >> 40).unwrap_or_default()
}

/// An empty place is 0.
fn mark(Shape(shape): Shape) -> u64 {
    shape | 1
}

#[cfg(test)]
mod tests {
    use super::super::json_form::check;
    use super::*;
    use serde::Serialize;
    use std::collections::BTreeMap;

    fn shape(data: &impl Serialize) -> Shape {
        check(data).unwrap().shape
    }

    #[test]
    fn data_of_one_shape_differs_in_what_it_says_and_in_how_much_there_is_of_it() {
        assert_eq!(shape(&vec!["a"]), shape(&vec!["b", "c", "d"]));
        assert_eq!(shape(&BTreeMap::from([("a", 1)])), shape(&BTreeMap::from([("b", 2), ("c", 3)])));
        assert_eq!(shape(&vec![Some(1), None]), shape(&vec![None, Some(2), Some(3), None]));
    }

    #[test]
    fn shapes_tell_kinds_fields_and_variants_apart() {
        #[derive(Serialize)]
        struct One {
            a: u8,
        }
        #[derive(Serialize)]
        struct Other {
            b: u8,
        }
        #[derive(Serialize)]
        enum Either {
            Left,
            Right,
            Number(u8),
            Both { a: u8 },
        }
        #[derive(Serialize)]
        struct Flat {
            #[serde(flatten)]
            more: BTreeMap<&'static str, u8>,
        }
        let flat = |name| Flat { more: BTreeMap::from([(name, 1)]) };
        let shapes = [
            shape(&1_u8),
            shape(&1_u128),
            shape(&-1_i8),
            shape(&1.5),
            shape(&"a"),
            shape(&true),
            shape(&None::<u8>),
            shape(&Some(1_u8)),
            shape(&[1_u8]),
            shape(&vec![1_u8]),
            shape(&Vec::<u8>::new()),
            shape(&vec![vec![1_u8]]),
            shape(&BTreeMap::from([("a", 1_u8)])),
            shape(&BTreeMap::from([(1_u8, 1_u8)])),
            shape(&One { a: 1 }),
            shape(&Other { b: 1 }),
            shape(&flat("a")),
            shape(&flat("b")),
            shape(&Either::Left),
            shape(&Either::Right),
            shape(&Either::Number(1)),
            shape(&Either::Both { a: 1 }),
        ];
        for (index, one) in shapes.iter().enumerate() {
            assert!(!shapes[index + 1..].contains(one), "number {index} has the shape of another");
        }
    }

    #[test]
    fn a_full_table_forgets_and_never_makes_up() {
        let shapes = Shapes::new();
        let numbered = |number| Shape::of(number);
        for number in 0..10_000 {
            assert!(!shapes.know(numbered(number)), "{number}");
            shapes.learn(numbered(number));
            assert!(shapes.know(numbered(number)), "{number}");
        }
    }
}
