//! Finds floats that are not finite, which JSON would silently write as `null`.

use serde::ser::{self, Serialize};
use std::fmt::Display;

/// Walks `data` and refuses the first float that is infinite or not a number.
pub(super) fn check<T: Serialize + ?Sized>(data: &T) -> Result<(), Fault> {
    data.serialize(Walk)
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Fault(String);

impl ser::Error for Fault {
    fn custom<M: Display>(message: M) -> Self {
        Self(message.to_string())
    }
}

struct Walk;

type Done = Result<(), Fault>;

macro_rules! accept {
    ($($method:ident($($argument:ty),*);)*) => {$(
        fn $method(self $(, _: $argument)*) -> Done {
            Ok(())
        }
    )*};
}

macro_rules! open {
    ($($method:ident($($argument:ty),*) -> $compound:ident;)*) => {$(
        type $compound = Self;
        fn $method(self $(, _: $argument)*) -> Result<Self, Fault> {
            Ok(self)
        }
    )*};
}

macro_rules! walk_elements {
    ($($compound:ident::$method:ident)*) => {$(
        impl ser::$compound for Walk {
            type Ok = ();
            type Error = Fault;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
                check(value)
            }
            fn end(self) -> Done {
                Ok(())
            }
        }
    )*};
}

macro_rules! walk_fields {
    ($($compound:ident)*) => {$(
        impl ser::$compound for Walk {
            type Ok = ();
            type Error = Fault;
            fn serialize_field<T: Serialize + ?Sized>(&mut self, _: &'static str, value: &T) -> Done {
                check(value)
            }
            fn end(self) -> Done {
                Ok(())
            }
        }
    )*};
}

impl ser::Serializer for Walk {
    type Ok = ();
    type Error = Fault;

    fn serialize_f32(self, value: f32) -> Done {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Done {
        if value.is_finite() { Ok(()) } else { Err(Fault(format!("the number {value} has no JSON form"))) }
    }

    accept! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_i128(i128);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_u128(u128);
        serialize_char(char);
        serialize_str(&str);
        serialize_bytes(&[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        check(value)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Done {
        check(value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Done {
        check(value)
    }

    open! {
        serialize_seq(Option<usize>) -> SerializeSeq;
        serialize_tuple(usize) -> SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> SerializeTupleVariant;
        serialize_map(Option<usize>) -> SerializeMap;
        serialize_struct(&'static str, usize) -> SerializeStruct;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> SerializeStructVariant;
    }

    fn collect_str<T: Display + ?Sized>(self, _: &T) -> Done {
        Ok(())
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
    type Ok = ();
    type Error = Fault;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Done {
        check(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        check(value)
    }

    fn end(self) -> Done {
        Ok(())
    }
}
