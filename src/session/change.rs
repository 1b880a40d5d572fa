//! The change that a request made to a session's data, and how it reaches what is stored.

use serde_json::Value;

use super::SessionData;
use crate::codec::{self, Codec};
use crate::error::{Conflict, Error};
use crate::merge::{ConflictPolicy, apply_difference, three_way};
use crate::record::Payload;

/// What a request did to the data of its session.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// Nothing.
    None,
    /// It led from one encoding of `T` to another.
    Edit { before: Payload, after: Payload },
}

impl Change {
    /// Whether there is one.
    pub(crate) fn is_some(&self) -> bool {
        matches!(self, Self::Edit { .. })
    }

    /// The stored data with this change made to it, and whatever `T` doesn't know left in place.
    pub(crate) fn apply_to<T: SessionData>(&self, codec: Codec, stored: &Payload) -> Result<Payload, Error> {
        let Self::Edit { before, after } = self else {
            return Ok(stored.clone());
        };
        if before == stored {
            return Ok(after.clone());
        }
        let Some(mut target) = Codec::describe(stored) else {
            return Ok(after.clone());
        };
        apply_difference(&typed::<T>(before)?, &typed::<T>(after)?, &mut target);
        // Data that has no JSON form can't be patched through it: then the plain encoding stands.
        Ok(encode_checked::<T>(codec, &target).unwrap_or_else(|| after.clone()))
    }

    /// `theirs` with this change of `base` made to it too, as `policy` says.
    pub(crate) fn reconcile<T: SessionData>(
        &self,
        codec: Codec,
        policy: &ConflictPolicy<T>,
        base: &Payload,
        theirs: &Payload,
    ) -> Result<Payload, Error> {
        let Self::Edit { before, after } = self else {
            return Ok(theirs.clone());
        };
        if base == theirs {
            return self.apply_to::<T>(codec, theirs);
        }
        match policy {
            ConflictPolicy::Reject => Err(Conflict::Fields.into()),
            ConflictPolicy::Merge => {
                let base = stored_form::<T>(base)?;
                let mut ours = base.clone();
                apply_difference(&typed::<T>(before)?, &typed::<T>(after)?, &mut ours);
                let merged =
                    three_way(&base, &ours, &stored_form::<T>(theirs)?).map_err(|_| Conflict::Fields)?;
                encode_checked::<T>(codec, &merged).ok_or_else(|| Conflict::Fields.into())
            }
            ConflictPolicy::With(decide) => {
                let decode = |payload| Codec::decode::<T>(payload).map_err(|_| Conflict::Fields);
                let their_data = decode(theirs)?;
                let resolved =
                    decide(&decode(base)?, &decode(after)?, &their_data).ok_or(Conflict::Fields)?;
                let (before, after) = (codec.encode(&their_data)?, codec.encode(&resolved)?);
                Self::Edit { before, after }.apply_to::<T>(codec, theirs)
            }
        }
    }

    /// The data of a session that starts from nothing with this change made to it.
    pub(crate) fn apply_to_default<T: SessionData>(&self, codec: Codec) -> Result<Payload, Error> {
        let nothing = codec.encode(&T::default())?;
        let Self::Edit { before, after } = self else {
            return Ok(nothing);
        };
        if *before == nothing {
            return Ok(after.clone());
        }
        let mut target = typed::<T>(&nothing)?;
        apply_difference(&typed::<T>(before)?, &typed::<T>(after)?, &mut target);
        encode_checked::<T>(codec, &target).ok_or_else(|| Conflict::Fields.into())
    }
}

/// What this program's type makes of `payload`, as JSON.
fn typed<T: SessionData>(payload: &Payload) -> Result<Value, Error> {
    let data: T = Codec::decode(payload).map_err(|reason| Error::Encode { reason: reason.to_owned() })?;
    codec::to_value(&data)
}

/// What is stored, as JSON: as it is where the codec allows, else as this program's type sees it.
fn stored_form<T: SessionData>(payload: &Payload) -> Result<Value, Error> {
    Codec::describe(payload).map_or_else(|| typed::<T>(payload), Ok)
}

/// The encoding of `value`, if it decodes as the session's type again.
fn encode_checked<T: SessionData>(codec: Codec, value: &Value) -> Option<Payload> {
    let described = codec.encode(value).ok()?;
    if Codec::describe(&described).is_some() {
        return Codec::decode::<T>(&described).is_ok().then_some(described);
    }
    let data: T = serde_json::from_value(value.clone()).ok()?;
    codec.encode(&data).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Account {
        name: String,
        visits: u32,
        #[serde(default)]
        items: Vec<String>,
    }

    fn account(name: &str, visits: u32) -> Account {
        Account { name: name.into(), visits, items: vec![] }
    }

    fn edit(codec: Codec, before: &Account, after: &Account) -> Change {
        Change::Edit { before: codec.encode(before).unwrap(), after: codec.encode(after).unwrap() }
    }

    fn describing_codecs() -> Vec<Codec> {
        vec![
            Codec::Json,
            #[cfg(feature = "messagepack")]
            Codec::MessagePack,
        ]
    }

    #[test]
    fn members_that_the_type_does_not_know_survive_a_save_and_a_merge() {
        for codec in describing_codecs() {
            let stored = json!({"name": "ada", "visits": 1, "added_by_a_newer_version": [1, 2]});
            let stored = codec.encode(&stored).unwrap();
            let change = edit(codec, &account("ada", 1), &account("ada", 2));

            let saved = change.apply_to::<Account>(codec, &stored).unwrap();
            let expected = json!({"name": "ada", "visits": 2, "added_by_a_newer_version": [1, 2]});
            assert_eq!(Codec::describe(&saved), Some(expected));

            let theirs = json!({"name": "bob", "visits": 1, "added_by_a_newer_version": [3]});
            let theirs = codec.encode(&theirs).unwrap();
            let merged =
                change.reconcile(codec, &ConflictPolicy::<Account>::Merge, &stored, &theirs).unwrap();
            let expected = json!({"name": "bob", "visits": 2, "added_by_a_newer_version": [3]});
            assert_eq!(Codec::describe(&merged), Some(expected));
        }
    }

    #[test]
    fn the_fast_path_stores_our_encoding_as_it_is() {
        let (before, after) = (account("ada", 1), account("ada", 2));
        let stored = Codec::Json.encode(&before).unwrap();
        let saved = edit(Codec::Json, &before, &after).apply_to::<Account>(Codec::Json, &stored).unwrap();
        assert_eq!(saved, Codec::Json.encode(&after).unwrap());
    }

    #[cfg(feature = "bincode")]
    #[test]
    fn bincode_merges_through_the_type() {
        let encode = |data: &Account| Codec::Bincode.encode(data).unwrap();
        let change = edit(Codec::Bincode, &account("ada", 1), &account("ada", 2));
        let merged = change
            .reconcile(
                Codec::Bincode,
                &ConflictPolicy::<Account>::Merge,
                &encode(&account("ada", 1)),
                &encode(&account("bob", 1)),
            )
            .unwrap();
        assert_eq!(Codec::decode(&merged), Ok(account("bob", 2)));
    }

    #[test]
    fn policies_decide() {
        let encode = |data: &Account| Codec::Json.encode(data).unwrap();
        let (base, theirs) = (encode(&account("ada", 1)), encode(&account("ada", 5)));
        let change = edit(Codec::Json, &account("ada", 1), &account("ada", 2));
        let resolve = |policy| change.reconcile::<Account>(Codec::Json, &policy, &base, &theirs);

        assert!(matches!(resolve(ConflictPolicy::Reject), Err(Error::Conflict(Conflict::Fields))));
        let sum = ConflictPolicy::with(|base: &Account, ours: &Account, theirs: &Account| {
            Some(Account { visits: ours.visits + theirs.visits - base.visits, ..theirs.clone() })
        });
        assert_eq!(Codec::decode(&resolve(sum).unwrap()), Ok(account("ada", 6)));
        let never = ConflictPolicy::with(|_: &Account, _: &Account, _: &Account| None);
        assert!(matches!(resolve(never), Err(Error::Conflict(Conflict::Fields))));
        // Where their data is what we started from there is nothing to reconcile.
        let alone = change.reconcile::<Account>(Codec::Json, &ConflictPolicy::Reject, &base, &base);
        assert_eq!(Codec::decode(&alone.unwrap()), Ok(account("ada", 2)));
    }

    #[test]
    fn a_change_alone_moves_to_an_empty_session() {
        let before = Account { items: vec!["somebody else's".into()], ..account("bob", 7) };
        let after = Account { name: "ada".into(), ..before.clone() };
        let data = edit(Codec::Json, &before, &after).apply_to_default::<Account>(Codec::Json).unwrap();
        assert_eq!(Codec::decode(&data), Ok(account("ada", 0)));
    }
}
