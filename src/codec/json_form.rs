//! Walks through data: finds what JSON has no form for, estimates what it takes in memory, and tells
//! its shape.
//!
//! Merging goes through JSON, whatever the codec, and that has no form for floats that are not finite
//! (`serde_json` would silently write `null`), integers of more than 64 bits, maps whose keys are
//! not scalars, and an optional value that is there and empty (`Some(())`, which is read again as
//! `None`), and does not read again what is nested too deep.

use serde::ser::{self, Serialize};
use std::fmt::Display;

use super::shapes::{Bag, Shape};

/// `serde_json` reads 127 levels. A variant of an enum takes one, and another one if it has several parts.
const MAX_DEPTH: u8 = 120;

/// Options and newtypes have no level in any codec. Around a value there may be two for each level.
pub(super) const MAX_WRAPPERS: u8 = 240;

/// A bound for what a value takes beside its text: one of `serde_json`'s, with its place in a map or
/// in a list that has grown to twice its length. The value of a struct's field takes far less.
pub(super) const VALUE_SIZE: usize = 160;

/// Walks `data` and refuses the first value without a JSON form.
pub(super) fn check<T: Serialize + ?Sized>(data: &T) -> Result<Seen, Fault> {
    data.serialize(Walk {
        place: Place::Value,
        keys: Place::Key,
        depth: 0,
        wrappers: 0,
        size: size_of_place(data),
        shape: Shape::default(),
        elements: Bag::default(),
        tag: None,
    })
}

/// What a walk through data saw.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// About how many bytes the data takes in memory, rather too many than too few but for large elements
    /// of lists that have no parts to show, such as `None`.
    pub(super) size: usize,
    pub(super) shape: Shape,
}

/// What a value takes where it is, in a list that has grown to twice its length. Lists show their own
/// elements behind references: of those only the parts are known.
fn size_of_place<T: ?Sized>(value: &T) -> usize {
    VALUE_SIZE.max(2 * size_of_val(value))
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Fault(String);

impl ser::Error for Fault {
    fn custom<M: Display>(message: M) -> Self {
        Self(message.to_string())
    }
}

/// Where a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Value,
    /// In a `Some`.
    Option,
    /// The key of a map.
    Key,
    /// The key of a map that does not know how many entries it has: what `#[serde(flatten)]` makes of a
    /// struct. Such keys are fields, so they belong to the shape.
    Field,
    /// The name of a variant, which belongs to the shape, or something else of which the size is unknown.
    Name,
}

/// A value that is visited, or one that has parts, while these are.
#[derive(Clone, Copy)]
struct Walk {
    place: Place,
    /// Of the keys of a map.
    keys: Place,
    depth: u8,
    wrappers: u8,
    /// Of the value with the parts that were visited so far.
    size: usize,
    shape: Shape,
    /// The shapes of a list's elements.
    elements: Bag,
    /// The key of a map under which serde names the variant of which the map is.
    tag: Option<Shape>,
}

/// Whether serde itself names a variant by this: no field, key or element has a type without a size.
fn is_name<T: ?Sized>(_: &T) -> bool {
    size_of::<&T>() > size_of::<usize>()
}

impl Walk {
    /// The beginning of a part's walk.
    fn within(&self, place: Place, size: usize) -> Self {
        let (shape, elements) = (Shape::default(), Bag::default());
        Self { place, keys: Place::Key, size, shape, elements, tag: None, ..*self }
    }

    fn visit<T: Serialize + ?Sized>(&mut self, part: &T) -> Result<Shape, Fault> {
        let place = if is_name(part) { Place::Name } else { Place::Value };
        let seen = part.serialize(self.within(place, size_of_place(part)))?;
        self.size += seen.size;
        Ok(seen.shape)
    }

    /// Visits a part that has a place of its own.
    fn part<T: Serialize + ?Sized>(&mut self, part: &T) -> Result<(), Fault> {
        let shape = self.visit(part)?;
        self.shape.add(shape);
        Ok(())
    }

    /// Visits one of any number of parts.
    fn element<T: Serialize + ?Sized>(&mut self, part: &T) -> Result<(), Fault> {
        let shape = self.visit(part)?;
        self.elements.add(shape);
        Ok(())
    }

    /// Goes into something that has parts.
    fn deeper(self, kind: u64) -> Result<Self, Fault> {
        if matches!(self.place, Place::Key | Place::Field) {
            return Err(Fault("the key of a map is neither a text nor a number".to_owned()));
        }
        if self.depth == MAX_DEPTH {
            return Err(Fault(format!("it is nested more than {MAX_DEPTH} levels deep")));
        }
        Ok(Self { depth: self.depth + 1, shape: Shape::of(kind), ..self })
    }

    /// Goes into an option or a newtype.
    fn wrapped(self) -> Result<Self, Fault> {
        if self.wrappers == MAX_WRAPPERS {
            let message = format!("it is nested in more than {MAX_WRAPPERS} options and newtypes");
            return Err(Fault(message));
        }
        Ok(Self { wrappers: self.wrappers + 1, ..self })
    }

    /// What it is in a variant of an enum.
    fn variant(self, kind: u64, index: u32) -> Result<Self, Fault> {
        let mut walk = self.deeper(kind)?;
        walk.shape.add(Shape::of(index.into()));
        Ok(walk)
    }

    fn integer<N: Display + Copy>(self, kind: u64, value: N) -> Done
    where
        u64: TryFrom<N>,
        i64: TryFrom<N>,
    {
        if u64::try_from(value).is_ok() || i64::try_from(value).is_ok() {
            return Ok(self.scalar(kind));
        }
        Err(Fault(format!("the number {value} has more than 64 bits")))
    }

    fn scalar(self, kind: u64) -> Seen {
        Seen { size: self.size, shape: Shape::of(kind) }
    }

    fn nothing(self, kind: u64) -> Done {
        if self.place == Place::Option {
            return Err(Fault("a `Some` of nothing, such as `Some(())`, is read again as `None`".to_owned()));
        }
        Ok(self.scalar(kind))
    }

    fn seen(mut self) -> Seen {
        self.shape.add(self.elements.shape());
        Seen { size: self.size, shape: self.shape }
    }
}

type Done = Result<Seen, Fault>;

macro_rules! accept {
    ($($method:ident($argument:ty) = $kind:literal;)*) => {$(
        fn $method(self, _: $argument) -> Done {
            Ok(self.scalar($kind))
        }
    )*};
}

macro_rules! compound {
    ($($compound:ident::$method:ident by $visit:ident;)*) => {$(
        impl ser::$compound for Walk {
            type Ok = Seen;
            type Error = Fault;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
                self.$visit(value)
            }
            fn end(self) -> Done {
                Ok(self.seen())
            }
        }
    )*};
}

macro_rules! fields {
    ($($compound:ident)*) => {$(
        impl ser::$compound for Walk {
            type Ok = Seen;
            type Error = Fault;
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Fault> {
                self.shape.add(Shape::of_text(name));
                self.part(value)
            }
            fn end(self) -> Done {
                Ok(self.seen())
            }
        }
    )*};
}

// The number of each kind tells it from the others in a shape, and nothing else.
impl ser::Serializer for Walk {
    type Ok = Seen;
    type Error = Fault;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    accept! {
        serialize_bool(bool) = 1;
        serialize_i8(i8) = 2;
        serialize_i16(i16) = 2;
        serialize_i32(i32) = 2;
        serialize_i64(i64) = 2;
        serialize_u8(u8) = 3;
        serialize_u16(u16) = 3;
        serialize_u32(u32) = 3;
        serialize_u64(u64) = 3;
        serialize_char(char) = 4;
    }

    fn serialize_f32(self, value: f32) -> Done {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Done {
        if value.is_finite() {
            Ok(self.scalar(5))
        } else {
            Err(Fault(format!("the number {value} has no JSON form")))
        }
    }

    fn serialize_i128(self, value: i128) -> Done {
        self.integer(6, value)
    }

    fn serialize_u128(self, value: u128) -> Done {
        self.integer(7, value)
    }

    fn serialize_str(self, text: &str) -> Done {
        let shape = if matches!(self.place, Place::Field | Place::Name) {
            Shape::of_text(text)
        } else {
            Shape::of(8)
        };
        Ok(Seen { size: self.size + text.len(), shape })
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Done {
        Ok(Seen { size: self.size + bytes.len(), shape: Shape::of(9) })
    }

    fn serialize_none(self) -> Done {
        self.nothing(10)
    }

    fn serialize_unit(self) -> Done {
        self.nothing(11)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Done {
        self.nothing(12)
    }

    fn serialize_unit_variant(self, _: &'static str, index: u32, _: &'static str) -> Done {
        let mut shape = Shape::of(13);
        shape.add(Shape::of(index.into()));
        Ok(Seen { size: self.size, shape })
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        let place = if matches!(self.place, Place::Value | Place::Name) { Place::Option } else { self.place };
        let mut seen = value.serialize(Self { place, ..self.wrapped()? })?;
        seen.shape.add(Shape::of(14));
        Ok(seen)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Done {
        value.serialize(self.wrapped()?)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Done {
        let mut walk = self.variant(15, index)?;
        let seen = value.serialize(walk.within(Place::Value, walk.size))?;
        walk.shape.add(seen.shape);
        Ok(Seen { shape: walk.shape, ..seen })
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, Fault> {
        self.deeper(16)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Fault> {
        self.deeper(17)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Fault> {
        self.deeper(18)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Fault> {
        self.deeper(0)?.variant(19, index)
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Self, Fault> {
        let keys = if length.is_none() { Place::Field } else { Place::Key };
        Ok(Self { keys, ..self.deeper(20)? })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Fault> {
        self.deeper(21)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Fault> {
        self.deeper(0)?.variant(22, index)
    }

    fn collect_str<T: Display + ?Sized>(self, text: &T) -> Done {
        match self.place {
            Place::Field | Place::Name => self.serialize_str(&text.to_string()),
            _ => Ok(self.scalar(8)),
        }
    }
}

compound! {
    SerializeSeq::serialize_element by element;
    SerializeTuple::serialize_element by part;
    SerializeTupleStruct::serialize_field by part;
    SerializeTupleVariant::serialize_field by part;
}

fields! { SerializeStruct SerializeStructVariant }

impl ser::SerializeMap for Walk {
    type Ok = Seen;
    type Error = Fault;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Fault> {
        // Its place in the map is counted with the value's.
        let seen = key.serialize(self.within(self.keys, 0))?;
        self.size += seen.size;
        if self.keys == Place::Field {
            self.shape.add(seen.shape);
            return Ok(());
        }
        self.elements.add(seen.shape);
        if is_name(key) || self.tag.is_some() {
            let name = key.serialize(self.within(Place::Field, 0))?.shape;
            // A key of the data that is the tag's makes a shape of its own: it would be there twice.
            if self.tag.is_none_or(|tag| tag == name) {
                self.shape.add(name);
            }
            self.tag = self.tag.or(Some(name));
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        if self.keys == Place::Field || is_name(value) { self.part(value) } else { self.element(value) }
    }

    fn end(self) -> Done {
        Ok(self.seen())
    }
}
