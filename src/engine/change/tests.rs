use super::*;
use crate::codec::shapes::Shapes;
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

fn reconcile<T: SessionData>(
    change: &Change,
    codec: Codec,
    policy: &ConflictPolicy<T>,
    base: &Payload,
    theirs: &Payload,
) -> Result<Payload, Error> {
    change.reconcile(Encoder { codec, readable: &Shapes::new() }, policy, base, theirs)
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

        let saved = change.apply_to::<Account>(codec, &stored);
        let expected = json!({"name": "ada", "visits": 2, "added_by_a_newer_version": [1, 2]});
        assert_eq!(Codec::describe(&saved), Some(expected));

        let theirs = json!({"name": "bob", "visits": 1, "added_by_a_newer_version": [3]});
        let theirs = codec.encode(&theirs).unwrap();
        let merged = reconcile(&change, codec, &ConflictPolicy::<Account>::Merge, &stored, &theirs).unwrap();
        let expected = json!({"name": "bob", "visits": 2, "added_by_a_newer_version": [3]});
        assert_eq!(Codec::describe(&merged), Some(expected));
    }
}

#[test]
fn the_fast_path_stores_our_encoding_as_it_is() {
    let (before, after) = (account("ada", 1), account("ada", 2));
    let stored = Codec::Json.encode(&before).unwrap();
    let saved = edit(Codec::Json, &before, &after).apply_to::<Account>(Codec::Json, &stored);
    assert_eq!(saved, Codec::Json.encode(&after).unwrap());
}

#[cfg(feature = "bincode")]
#[test]
fn bincode_merges_through_the_type() {
    let encode = |data: &Account| Codec::Bincode.encode(data).unwrap();
    let change = edit(Codec::Bincode, &account("ada", 1), &account("ada", 2));
    let (base, theirs) = (encode(&account("ada", 1)), encode(&account("bob", 1)));
    let merged =
        reconcile(&change, Codec::Bincode, &ConflictPolicy::<Account>::Merge, &base, &theirs).unwrap();
    assert_eq!(Codec::decode(&merged), Ok(account("bob", 2)));
}

/// JSON has an address as a text, `MessagePack` as bytes.
#[cfg(feature = "messagepack")]
#[test]
fn data_of_another_codec_can_be_changed() {
    use std::collections::BTreeMap;
    use std::net::{IpAddr, Ipv4Addr};
    let (home, away) = (IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv4Addr::BROADCAST));
    let devices = |first: IpAddr| BTreeMap::from([("first".to_owned(), first), ("second".to_owned(), home)]);
    for (ours, stored) in [(Codec::Json, Codec::MessagePack), (Codec::MessagePack, Codec::Json)] {
        let encode = |first| ours.encode(&devices(first)).unwrap();
        let change = Change::Edit { before: encode(home), after: encode(away) };
        let stored = stored.encode(&devices(home)).unwrap();
        let changed = change.apply_to::<BTreeMap<String, IpAddr>>(ours, &stored);
        assert_eq!(Codec::decode(&changed), Ok(devices(away)), "to {ours:?}");
    }
}

#[test]
fn policies_decide() {
    let encode = |data: &Account| Codec::Json.encode(data).unwrap();
    let (base, theirs) = (encode(&account("ada", 1)), encode(&account("ada", 5)));
    let change = edit(Codec::Json, &account("ada", 1), &account("ada", 2));
    let resolve = |policy| reconcile::<Account>(&change, Codec::Json, &policy, &base, &theirs);

    assert!(matches!(resolve(ConflictPolicy::Reject), Err(Error::Conflict(Conflict::Fields))));
    let sum = ConflictPolicy::with(|base: &Account, ours: &Account, theirs: &Account| {
        Some(Account { visits: ours.visits + theirs.visits - base.visits, ..theirs.clone() })
    });
    assert_eq!(Codec::decode(&resolve(sum).unwrap()), Ok(account("ada", 6)));
    let never = ConflictPolicy::with(|_: &Account, _: &Account, _: &Account| None);
    assert!(matches!(resolve(never), Err(Error::Conflict(Conflict::Fields))));
    // Where their data is what we started from there is nothing to reconcile.
    let alone = reconcile::<Account>(&change, Codec::Json, &ConflictPolicy::Reject, &base, &base);
    assert_eq!(Codec::decode(&alone.unwrap()), Ok(account("ada", 2)));
}

#[test]
fn a_change_alone_moves_to_an_empty_session() {
    let before = Account { items: vec!["somebody else's".into()], ..account("bob", 7) };
    let after = Account { name: "ada".into(), ..before.clone() };
    let encoder = Encoder { codec: Codec::Json, readable: &Shapes::new() };
    let data = edit(Codec::Json, &before, &after).apply_to_default::<Account>(encoder).unwrap();
    assert_eq!(Codec::decode(&data), Ok(account("ada", 0)));
}
