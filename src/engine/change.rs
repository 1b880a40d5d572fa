//! The change that a request made to a session's data, and how it reaches what is stored.

use serde_json::Value;

use super::SessionData;
use crate::codec::{self, Codec, Encoder};
use crate::engine::merge::{
    ConflictPolicy, apply_difference, is_each, is_same, remove_unknown, rewrite, three_way, three_way_of_sets,
};
use crate::error::{Conflict, Error};
use crate::record::Payload;

/// What a request did to the data of its session.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// Nothing.
    None,
    /// It led from one encoding of `T` to another.
    Edit { before: Payload, after: Payload },
    /// It began with nothing: this takes the place of whatever is stored.
    Whole(Payload),
}

impl Change {
    /// Whether there is one.
    pub(crate) fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// The encoding of the data after the change.
    pub(crate) fn after(&self) -> Option<&Payload> {
        match self {
            Self::None => None,
            Self::Edit { after, .. } | Self::Whole(after) => Some(after),
        }
    }

    /// The stored data with this change made to it.
    ///
    /// What `T` doesn't know stays in place, where it is certain that `T` doesn't know it. Else what `T`
    /// wrote takes the place of all: a type may read other forms than it writes (renamed fields,
    /// `#[serde(from)]`), and a patched old form would be read as the old data, or as none.
    pub(crate) fn apply_to<T: SessionData>(&self, codec: Codec, stored: &Payload) -> Payload {
        match self {
            Self::None => stored.clone(),
            Self::Whole(after) => after.clone(),
            Self::Edit { before, after } if before == stored => after.clone(),
            Self::Edit { before, after } => {
                patch::<T>(codec, before, after, stored).unwrap_or_else(|| after.clone())
            }
        }
    }

    /// `theirs` with this change of `base` made to it too, as `policy` says.
    pub(crate) fn reconcile<T: SessionData>(
        &self,
        encoder: Encoder<'_>,
        policy: &ConflictPolicy<T>,
        base: &Payload,
        theirs: &Payload,
    ) -> Result<Payload, Error> {
        let codec = encoder.codec;
        let Self::Edit { before, after } = self else {
            return Ok(self.apply_to::<T>(codec, theirs));
        };
        if base == theirs {
            return Ok(self.apply_to::<T>(codec, theirs));
        }
        let their_data: T = Codec::decode(theirs).map_err(|_| Conflict::Fields)?;
        let merged = match policy {
            ConflictPolicy::Reject => return Err(Conflict::Fields.into()),
            ConflictPolicy::Merge => match merge_as_stored::<T>(codec, [before, after], base, theirs) {
                Some(merged) => return Ok(merged),
                None => merge_as_typed::<T>(before, after, &their_data)?,
            },
            ConflictPolicy::With(resolve) => {
                let (Ok(base), Ok(ours)) = (Codec::decode::<T>(base), Codec::decode::<T>(after)) else {
                    return Err(Conflict::Fields.into());
                };
                resolve(&base, &ours, &their_data).ok_or(Conflict::Fields)?
            }
        };
        let (before, after) = (codec.encode_to_compare(&their_data)?, encoder.encode(&merged)?);
        Ok(Self::Edit { before, after }.apply_to::<T>(codec, theirs))
    }

    /// The data of a session that starts from nothing with this change made to it.
    pub(crate) fn apply_to_default<T: SessionData>(&self, encoder: Encoder<'_>) -> Result<Payload, Error> {
        let (before, after) = match self {
            Self::None => return encoder.encode(&T::default()),
            Self::Whole(after) => return Ok(after.clone()),
            Self::Edit { before, after } => (typed::<T>(before)?, typed::<T>(after)?),
        };
        let mut target = codec::to_value(&T::default())?;
        apply_difference(&before, &after, &mut target);
        let data: T = serde_json::from_value(target.clone()).map_err(|_| Conflict::Fields)?;
        if has_changes(&codec::to_value(&data)?, &target, &before, [&after, &after]) {
            encoder.encode(&data)
        } else {
            Err(Conflict::Fields.into())
        }
    }
}

/// `stored` changed as from `before` to `after`, with what `T` doesn't know. `None` where that is not
/// read back as `after` is, or where `stored` has a form that `T` does not write.
fn patch<T: SessionData>(
    codec: Codec,
    before: &Payload,
    after: &Payload,
    stored: &Payload,
) -> Option<Payload> {
    if stored.codec() != after.codec() {
        return None;
    }
    let expected = reread::<T>(codec, after)?;
    let [before, after, stored] = [before, after, stored].map(Codec::describe);
    let (before, after, mut target) = (before?, after?, stored?);
    if !is_of_type::<T>(codec, &target, &before) {
        return None;
    }
    rewrite(&mut target, &before);
    apply_difference(&before, &after, &mut target);
    let patched = codec.encode(&target).ok()?;
    reads_as::<T>(codec, &patched, &expected).then_some(patched)
}

/// Whether `stored` is what `T` writes, but for members that `T` doesn't know: `T` reads the same
/// without them. `written` is how `T` writes what it reads there.
fn is_of_type<T: SessionData>(codec: Codec, stored: &Value, written: &Value) -> bool {
    let mut known = stored.clone();
    if !remove_unknown(&mut known, written) {
        return true;
    }
    match (codec.encode(&known), settled::<T>(codec, written)) {
        (Ok(known), Some(expected)) => reads_as::<T>(codec, &known, &expected),
        _ => false,
    }
}

/// Whether `T` reads in `payload` what it writes as `expected`.
fn reads_as<T: SessionData>(codec: Codec, payload: &Payload, expected: &Value) -> bool {
    // Two elements of a set may have one order that often by chance.
    const MAX_READINGS: usize = 16;
    let mut readings = vec![];
    for _ in 0..MAX_READINGS {
        match reread::<T>(codec, payload) {
            Some(reading) if is_same(&reading, expected) => readings.push(reading),
            _ => return false,
        }
        if is_each(expected, &readings.iter().collect::<Vec<_>>()) {
            return true;
        }
    }
    false
}

/// How `T` writes `value` when it has read it.
fn settled<T: SessionData>(codec: Codec, value: &Value) -> Option<Value> {
    reread::<T>(codec, &codec.encode(value).ok()?)
}

/// How `T` writes `payload` when it has read it.
fn reread<T: SessionData>(codec: Codec, payload: &Payload) -> Option<Value> {
    Codec::describe(&codec.encode_to_compare(&Codec::decode::<T>(payload).ok()?).ok()?)
}

/// Merges two changes of `base` in the form in which they are stored, with what `T` doesn't know, and
/// with sets in their stored order, so that one that nobody changed is the same for both. `None` where that
/// can't be done, as where one of them has a form that `T` does not write.
fn merge_as_stored<T: SessionData>(
    codec: Codec,
    [before, after]: [&Payload; 2],
    base: &Payload,
    theirs: &Payload,
) -> Option<Payload> {
    if [base, theirs].iter().any(|stored| stored.codec() != after.codec()) {
        return None;
    }
    let [before, after, base, theirs] = [before, after, base, theirs].map(Codec::describe);
    let (before, after, base, theirs) = (before?, after?, base?, theirs?);
    let [base_written, ours_written, theirs_written] =
        [&before, &after, &theirs].map(|it| settled::<T>(codec, it));
    let (base_written, ours_written, theirs_written) = (base_written?, ours_written?, theirs_written?);
    if !is_of_type::<T>(codec, &base, &base_written) || !is_of_type::<T>(codec, &theirs, &theirs_written) {
        return None;
    }
    let mut ours = base.clone();
    apply_difference(&before, &after, &mut ours);
    let merged = three_way(&base, &ours, &theirs).ok()?;
    let payload = codec.encode(&merged).ok()?;
    let expected = three_way_of_sets(&base_written, &ours_written, &theirs_written).ok()?;
    reads_as::<T>(codec, &payload, &expected).then_some(payload)
}

/// Merges two changes in the form in which `T` writes them.
fn merge_as_typed<T: SessionData>(before: &Payload, after: &Payload, theirs: &T) -> Result<T, Error> {
    let (before, after, theirs) = (typed::<T>(before)?, typed::<T>(after)?, codec::to_value(theirs)?);
    let merged = three_way(&before, &after, &theirs).map_err(|_| Conflict::Fields)?;
    let data: T = serde_json::from_value(merged.clone()).map_err(|_| Conflict::Fields)?;
    if has_changes(&codec::to_value(&data)?, &merged, &before, [&after, &theirs]) {
        Ok(data)
    } else {
        Err(Conflict::Fields.into())
    }
}

/// `payloads` as JSON in one form. Some types have a form for people and another for programs
/// (`IpAddr`), and sets may have any order, so what is compared has to come the same way: as it is
/// encoded, with what `T` doesn't know, or else as `T` sees it.
pub(super) fn comparable<T: SessionData, const N: usize>(
    payloads: [&Payload; N],
) -> Result<[Value; N], Error> {
    let one_codec = payloads.iter().all(|payload| payload.codec() == payloads[0].codec());
    let described: Option<Vec<_>> = payloads.iter().map(|payload| Codec::describe(payload)).collect();
    let values = match described {
        Some(values) if one_codec => values,
        _ => payloads.iter().map(|payload| typed::<T>(payload)).collect::<Result<_, _>>()?,
    };
    Ok(values.try_into().expect("as many as were given"))
}

/// What `T` makes of `payload`, as JSON.
fn typed<T: SessionData>(payload: &Payload) -> Result<Value, Error> {
    codec::to_value(&Codec::decode::<T>(payload).map_err(|_| Conflict::Fields)?)
}

/// Whether what is `read` of `merged` data has each field as it was merged that one of two changes made
/// different from `before`.
fn has_changes(read: &Value, merged: &Value, before: &Value, changes: [&Value; 2]) -> bool {
    let (Value::Object(read), Value::Object(merged)) = (read, merged) else { return is_same(read, merged) };
    let is_kept = |name: &String| match (read.get(name), merged.get(name)) {
        (Some(read), Some(merged)) => is_same(read, merged),
        (read, merged) => read == merged,
    };
    let names =
        |value: &Value| value.as_object().map(|fields| fields.keys().cloned().collect()).unwrap_or(vec![]);
    changes.iter().all(|after| {
        let mut names = names(before).into_iter().chain(names(after));
        names.all(|name| before.get(&name) == after.get(&name) || is_kept(&name))
    })
}

#[cfg(test)]
mod tests;
