//! Decodes within bounds, whatever the bytes say: how deep values are nested, and how many there are.
//!
//! A format bounds its own depth at best, and none bounds what takes no place in it: an `Option` or a
//! newtype in itself is entered again and again without reading a byte. bincode bounds nothing.

use std::cell::Cell;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};

/// How many levels of lists, maps, structs and variants are read: what `serde_json` reads, and a few more
/// than are written, since a type may read itself in another form than it writes.
const MAX_LEVELS: u8 = 127;
/// How many options and newtypes are read around each other and around those levels.
const MAX_WRAPPERS: u8 = super::json_form::MAX_WRAPPERS;

/// So many elements without a byte of their own are read: bincode gives none to `()` and its like.
pub(super) const MAX_EMPTY: usize = 1 << 18;

/// Decodes a value from `deserializer`, which reads from so many bytes.
pub(super) fn decode<'de, T, D>(deserializer: D, bytes: usize) -> Result<T, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let left = Cell::new(bytes.saturating_add(MAX_EMPTY));
    T::deserialize(Bounded { inner: deserializer, place: Place { levels: 0, wrappers: 0, left: &left } })
}

/// Where a value is.
#[derive(Clone, Copy)]
struct Place<'a> {
    levels: u8,
    wrappers: u8,
    /// How many elements may be announced yet.
    left: &'a Cell<usize>,
}

impl Place<'_> {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.levels == MAX_LEVELS {
            return Err(E::custom("it is nested too deep"));
        }
        Ok(Self { levels: self.levels + 1, ..self })
    }

    fn wrapped<E: Error>(self) -> Result<Self, E> {
        if self.wrappers == MAX_WRAPPERS {
            return Err(E::custom("it is nested too deep"));
        }
        Ok(Self { wrappers: self.wrappers + 1, ..self })
    }

    /// Takes note of a list or a map of so many elements. Answers for how many of them there can be bytes:
    /// for so many, memory may be allocated before they are read.
    fn announce<E: Error>(self, elements: usize) -> Result<usize, E> {
        let left = self.left.get();
        let after = left.checked_sub(elements).ok_or_else(|| E::custom("it announces more than it has"))?;
        self.left.set(after);
        Ok(elements.min(left.saturating_sub(MAX_EMPTY)))
    }
}

/// Whatever serde hands on, at its place.
struct Bounded<'a, X> {
    inner: X,
    place: Place<'a>,
}

/// A visitor, and whether it is the data that says how long a list or a map is that it visits, not the type.
struct BoundedVisitor<'a, V> {
    inner: V,
    place: Place<'a>,
    is_announced: bool,
}

/// The elements of a list or a map.
struct Elements<'a, A> {
    inner: A,
    place: Place<'a>,
    hint: Option<usize>,
}

macro_rules! deserialize {
    ($($method:ident($($name:ident: $argument:ty),*) $announced:literal => $inner:ident;)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, $($name: $argument,)* visitor: V) -> Result<V::Value, D::Error> {
            let visitor = BoundedVisitor { inner: visitor, place: self.place, is_announced: $announced };
            self.inner.$inner($($name,)* visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Bounded<'_, D> {
    type Error = D::Error;

    deserialize! {
        deserialize_any() true => deserialize_any;
        deserialize_bool() true => deserialize_bool;
        deserialize_i8() true => deserialize_i8;
        deserialize_i16() true => deserialize_i16;
        deserialize_i32() true => deserialize_i32;
        deserialize_i64() true => deserialize_i64;
        deserialize_i128() true => deserialize_i128;
        deserialize_u8() true => deserialize_u8;
        deserialize_u16() true => deserialize_u16;
        deserialize_u32() true => deserialize_u32;
        deserialize_u64() true => deserialize_u64;
        deserialize_u128() true => deserialize_u128;
        deserialize_f32() true => deserialize_f32;
        deserialize_f64() true => deserialize_f64;
        deserialize_char() true => deserialize_char;
        deserialize_str() true => deserialize_str;
        // For a text or bytes of its own, bincode allocates what their length says before it looks whether
        // there is so much.
        deserialize_string() true => deserialize_str;
        deserialize_bytes() true => deserialize_bytes;
        deserialize_byte_buf() true => deserialize_bytes;
        deserialize_option() true => deserialize_option;
        deserialize_unit() true => deserialize_unit;
        deserialize_unit_struct(name: &'static str) true => deserialize_unit_struct;
        deserialize_newtype_struct(name: &'static str) true => deserialize_newtype_struct;
        deserialize_seq() true => deserialize_seq;
        deserialize_map() true => deserialize_map;
        deserialize_tuple(length: usize) false => deserialize_tuple;
        deserialize_tuple_struct(name: &'static str, length: usize) false => deserialize_tuple_struct;
        deserialize_struct(name: &'static str, fields: &'static [&'static str]) false => deserialize_struct;
        deserialize_enum(name: &'static str, variants: &'static [&'static str]) true => deserialize_enum;
        deserialize_identifier() true => deserialize_identifier;
        deserialize_ignored_any() true => deserialize_ignored_any;
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! visit {
    ($($method:ident($argument:ty);)*) => {$(
        #[inline]
        fn $method<E: Error>(self, value: $argument) -> Result<V::Value, E> {
            self.inner.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for BoundedVisitor<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    visit! {
        visit_bool(bool);
        visit_i8(i8);
        visit_i16(i16);
        visit_i32(i32);
        visit_i64(i64);
        visit_i128(i128);
        visit_u8(u8);
        visit_u16(u16);
        visit_u32(u32);
        visit_u64(u64);
        visit_u128(u128);
        visit_f32(f32);
        visit_f64(f64);
        visit_char(char);
        visit_str(&str);
        visit_borrowed_str(&'de str);
        visit_string(String);
        visit_bytes(&[u8]);
        visit_borrowed_bytes(&'de [u8]);
        visit_byte_buf(Vec<u8>);
    }

    #[inline]
    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    #[inline]
    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    #[inline]
    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_some(Bounded { inner, place: self.place.wrapped()? })
    }

    #[inline]
    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_newtype_struct(Bounded { inner, place: self.place.wrapped()? })
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let place = self.place.deeper()?;
        let hint = match inner.size_hint() {
            Some(elements) if self.is_announced => Some(place.announce(elements)?),
            hint => hint,
        };
        self.inner.visit_seq(Elements { inner, place, hint })
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let place = self.place.deeper()?;
        let hint = match inner.size_hint() {
            Some(elements) if self.is_announced => Some(place.announce(elements)?),
            hint => hint,
        };
        self.inner.visit_map(Elements { inner, place, hint })
    }

    #[inline]
    fn visit_enum<A: EnumAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(Bounded { inner, place: self.place })
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Bounded<'_, S> {
    type Value = S::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(Bounded { inner, place: self.place })
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Elements<'_, A> {
    type Error = A::Error;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.inner.next_element_seed(Bounded { inner: seed, place: self.place })
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.hint
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Elements<'_, A> {
    type Error = A::Error;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.inner.next_key_seed(Bounded { inner: seed, place: self.place })
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.next_value_seed(Bounded { inner: seed, place: self.place })
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.hint
    }
}

impl<'a, 'de, A: EnumAccess<'de>> EnumAccess<'de> for Bounded<'a, A> {
    type Error = A::Error;
    type Variant = Bounded<'a, A::Variant>;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Bounded<'a, A::Variant>), A::Error> {
        let place = self.place;
        let (value, inner) = self.inner.variant_seed(Bounded { inner: seed, place })?;
        Ok((value, Bounded { inner, place }))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Bounded<'_, A> {
    type Error = A::Error;

    #[inline]
    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.newtype_variant_seed(Bounded { inner: seed, place: self.place.deeper()? })
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, A::Error> {
        let visitor = BoundedVisitor { inner: visitor, place: self.place, is_announced: false };
        self.inner.tuple_variant(length, visitor)
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let visitor = BoundedVisitor { inner: visitor, place: self.place, is_announced: false };
        self.inner.struct_variant(fields, visitor)
    }
}

#[cfg(test)]
mod tests;
