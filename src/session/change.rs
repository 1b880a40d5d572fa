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

    /// The stored data with this change made to it, and whatever `T` doesn't know left in place.
    pub(crate) fn apply_to<T: SessionData>(&self, codec: Codec, stored: &Payload) -> Result<Payload, Error> {
        match self {
            Self::None => Ok(stored.clone()),
            Self::Whole(after) => Ok(after.clone()),
            Self::Edit { before, after } if before == stored => Ok(after.clone()),
            Self::Edit { before, after } => {
                let [before, after, mut target] = comparable::<T, 3>([before, after, stored])?;
                apply_difference(&before, &after, &mut target);
                encode_checked::<T>(codec, target)
            }
        }
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
            return self.apply_to::<T>(codec, theirs);
        };
        if base == theirs {
            return self.apply_to::<T>(codec, theirs);
        }
        match policy {
            ConflictPolicy::Reject => Err(Conflict::Fields.into()),
            ConflictPolicy::Merge => {
                let [before, after, base, theirs] = comparable::<T, 4>([before, after, base, theirs])?;
                let mut ours = base.clone();
                apply_difference(&before, &after, &mut ours);
                encode_checked::<T>(codec, three_way(&base, &ours, &theirs).map_err(|_| Conflict::Fields)?)
            }
            ConflictPolicy::With(resolve) => {
                let [base, ours, their_data] = [base, after, theirs].map(Codec::decode::<T>);
                let ((Ok(base), Ok(ours)), Ok(their_data)) = ((base, ours), their_data) else {
                    return Err(Conflict::Fields.into());
                };
                let resolved = resolve(&base, &ours, &their_data).ok_or(Conflict::Fields)?;
                let (before, after) = (codec.encode(&their_data)?, codec.encode(&resolved)?);
                Self::Edit { before, after }.apply_to::<T>(codec, theirs)
            }
        }
    }

    /// The data of a session that starts from nothing with this change made to it.
    pub(crate) fn apply_to_default<T: SessionData>(&self, codec: Codec) -> Result<Payload, Error> {
        self.apply_to::<T>(codec, &codec.encode(&T::default())?)
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
    let data: T = Codec::decode(payload).map_err(|_| Conflict::Fields)?;
    codec::to_value(&data)
}

/// The encoding of `value`, as long as it is still a `T`.
fn encode_checked<T: SessionData>(codec: Codec, value: Value) -> Result<Payload, Error> {
    let described = codec.encode(&value)?;
    if Codec::describe(&described).is_some() && Codec::decode::<T>(&described).is_ok() {
        return Ok(described);
    }
    let data: T = serde_json::from_value(value).map_err(|_| Conflict::Fields)?;
    codec.encode(&data)
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

    /// JSON has an address as a text, `MessagePack` as bytes.
    #[cfg(feature = "messagepack")]
    #[test]
    fn data_of_another_codec_can_be_changed() {
        use std::collections::BTreeMap;
        use std::net::{IpAddr, Ipv4Addr};
        let (home, away) = (IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv4Addr::BROADCAST));
        let devices =
            |first: IpAddr| BTreeMap::from([("first".to_owned(), first), ("second".to_owned(), home)]);
        for (ours, stored) in [(Codec::Json, Codec::MessagePack), (Codec::MessagePack, Codec::Json)] {
            let encode = |first| ours.encode(&devices(first)).unwrap();
            let change = Change::Edit { before: encode(home), after: encode(away) };
            let stored = stored.encode(&devices(home)).unwrap();
            let changed = change.apply_to::<BTreeMap<String, IpAddr>>(ours, &stored).unwrap();
            assert_eq!(Codec::decode(&changed), Ok(devices(away)), "to {ours:?}");
        }
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
