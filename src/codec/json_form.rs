//! Walks through data: finds what JSON has no form for, and estimates what it takes in memory.
//!
//! Merging goes through JSON, whatever the codec, and that has no form for floats that are not finite
//! (`serde_json` would silently write `null`), integers of more than 64 bits, and maps whose keys are
//! not scalars, and does not read again what is nested too deep.

use serde::ser::{self, Serialize};
use std::fmt::Display;

/// `serde_json` reads 127 levels. A variant of an enum takes one, and another one if it has several parts.
const MAX_DEPTH: u8 = 120;

/// Options and newtypes have no level in any codec. Around a value there may be two for each level.
pub(super) const MAX_WRAPPERS: u8 = 240;

/// A bound for what a value takes beside its text: one of `serde_json`'s, with its place in a map or
/// in a list that has grown to twice its length. The value of a struct's field takes far less.
pub(super) const VALUE_SIZE: usize = 160;

/// Walks `data` and refuses the first value without a JSON form. Answers about how many bytes it takes
/// in memory, rather too many than too few but for large elements of lists that have no parts to show,
/// such as `None`.
pub(super) fn check<T: Serialize + ?Sized>(data: &T) -> Result<usize, Fault> {
    data.serialize(Walk { depth: 0, wrappers: 0, is_key: false, size: size_of_place(data) })
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

#[derive(Clone, Copy)]
struct Walk {
    depth: u8,
    wrappers: u8,
    is_key: bool,
    /// Of the value with the parts that were visited so far.
    size: usize,
}

impl Walk {
    /// Visits a part.
    fn visit<T: Serialize + ?Sized>(&mut self, part: &T) -> Result<(), Fault> {
        self.size += part.serialize(Self { size: size_of_place(part), ..*self })?;
        Ok(())
    }

    /// Goes into something that has parts.
    fn deeper(self) -> Result<Self, Fault> {
        if self.is_key {
            return Err(Fault("the key of a map is neither a text nor a number".to_owned()));
        }
        if self.depth == MAX_DEPTH {
            return Err(Fault(format!("it is nested more than {MAX_DEPTH} levels deep")));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    /// Goes into a variant with several parts: a list or a map in a map of one.
    fn deeper_twice(self) -> Result<Self, Fault> {
        self.deeper()?.deeper()
    }

    /// Goes into an option or a newtype.
    fn wrapped(self) -> Result<Self, Fault> {
        if self.wrappers == MAX_WRAPPERS {
            let message = format!("it is nested in more than {MAX_WRAPPERS} options and newtypes");
            return Err(Fault(message));
        }
        Ok(Self { wrappers: self.wrappers + 1, ..self })
    }

    fn integer<N: Display + Copy>(self, value: N) -> Done
    where
        u64: TryFrom<N>,
        i64: TryFrom<N>,
    {
        if u64::try_from(value).is_ok() || i64::try_from(value).is_ok() {
            return Ok(self.size);
        }
        Err(Fault(format!("the number {value} has more than 64 bits")))
    }
}

/// The value's size.
type Done = Result<usize, Fault>;

macro_rules! accept {
    ($($method:ident($($argument:ty),*);)*) => {$(
        fn $method(self $(, _: $argument)*) -> Done {
            Ok(self.size)
        }
    )*};
}

macro_rules! open {
    ($go:ident: $($method:ident($($argument:ty),*) -> $compound:ident;)*) => {$(
        type $compound = Self;
        fn $method(self $(, _: $argument)*) -> Result<Self, Fault> {
            self.$go()
        }
    )*};
}

macro_rules! walk_elements {
    ($($compound:ident::$method:ident)*) => {$(
        impl ser::$compound for Walk {
            type Ok = usize;
            type Error = Fault;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
                self.visit(value)
            }
            fn end(self) -> Done {
                Ok(self.size)
            }
        }
    )*};
}

macro_rules! walk_fields {
    ($($compound:ident)*) => {$(
        impl ser::$compound for Walk {
            type Ok = usize;
            type Error = Fault;
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                _: &'static str,
                value: &T,
            ) -> Result<(), Fault> {
                self.visit(value)
            }
            fn end(self) -> Done {
                Ok(self.size)
            }
        }
    )*};
}

impl ser::Serializer for Walk {
    type Ok = usize;
    type Error = Fault;

    fn serialize_f32(self, value: f32) -> Done {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Done {
        if value.is_finite() {
            Ok(self.size)
        } else {
            Err(Fault(format!("the number {value} has no JSON form")))
        }
    }

    fn serialize_i128(self, value: i128) -> Done {
        self.integer(value)
    }

    fn serialize_u128(self, value: u128) -> Done {
        self.integer(value)
    }

    fn serialize_str(self, text: &str) -> Done {
        Ok(self.size + text.len())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Done {
        Ok(self.size + bytes.len())
    }

    accept! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_char(char);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        value.serialize(self.wrapped()?)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Done {
        value.serialize(self.wrapped()?)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Done {
        value.serialize(self.deeper()?)
    }

    open! { deeper:
        serialize_seq(Option<usize>) -> SerializeSeq;
        serialize_tuple(usize) -> SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> SerializeTupleStruct;
        serialize_map(Option<usize>) -> SerializeMap;
        serialize_struct(&'static str, usize) -> SerializeStruct;
    }

    open! { deeper_twice:
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> SerializeTupleVariant;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> SerializeStructVariant;
    }

    fn collect_str<T: Display + ?Sized>(self, _: &T) -> Done {
        Ok(self.size)
    }
}

walk_elements! {
    SerializeSeq::serialize_element
    SerializeTuple::serialize_element
    SerializeTupleStruct::serialize_field
    SerializeTupleVariant::serialize_field
}

walk_fields! { SerializeStruct SerializeStructVariant }

impl ser::SerializeMap for Walk {
    type Ok = usize;
    type Error = Fault;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Fault> {
        // Its place in the map is counted with the value's.
        self.size += key.serialize(Self { is_key: true, size: 0, ..*self })?;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        self.visit(value)
    }

    fn end(self) -> Done {
        Ok(self.size)
    }
}
