use std::sync::Arc;
use std::time::Duration;

use super::super::super::dialer::{Address, Dialer};
use super::super::super::standalone::Standalone;
use super::super::super::{Connector, Journal, Settings};
use super::*;
use crate::store::redis::target::Login;

fn host(name: &str) -> Host {
    Host { name: name.to_owned(), port: 6379 }
}

fn member(name: &str) -> Arc<Member> {
    let dialer = Dialer::new(Login::default(), 0, None).unwrap();
    let connector: Arc<dyn Connector> = Arc::new(Standalone::new(Address::Host(host(name)), dialer));
    let settings = Settings::new(Duration::from_secs(1), 1, None);
    Arc::new(Member {
        host: host(name),
        node: Node::new(&connector, &settings, &Arc::new(Journal::default())),
    })
}

fn range(first: Slot, last: Slot, master: &str) -> Range {
    Range { first, last, master: host(master) }
}

fn owner(map: &Map, slot: Slot) -> Option<&str> {
    map.owner(slot).map(|member| member.host.name.as_str())
}

/// Of the lines of a reply in RESP.
fn told(lines: &str) -> RedisResult<Vote<Vec<Range>>> {
    let reply = lines.replace('\n', "\r\n") + "\r\n";
    vote(redis::parse_redis_value(reply.as_bytes()).unwrap(), &host("asked"))
}

#[test]
fn every_slot_has_the_master_of_its_range() {
    let ranges = [range(0, 99, "a"), range(200, 16383, "b")];
    let map = Map::empty().replaced_by(&ranges, vec![member("a"), member("b")]);
    for (slot, expected) in
        [(0, Some("a")), (99, Some("a")), (100, None), (199, None), (200, Some("b")), (16383, Some("b"))]
    {
        assert_eq!(owner(&map, slot), expected, "{slot}");
    }
    assert!(!map.status().connected);
}

#[test]
fn a_moved_slot_is_the_only_change() {
    let map = Map::empty().replaced_by(&[range(0, 16383, "a")], vec![member("a")]);
    let moved = map.with(&member("b"), Some(7));
    assert_eq!((owner(&moved, 6), owner(&moved, 7), owner(&moved, 8)), (Some("a"), Some("b"), Some("a")));
    let guest = map.with(&member("c"), None);
    assert!(guest.member(&host("c")).is_some() && owner(&guest, 7) == Some("a"));
    assert_eq!(moved.with(&member("b"), Some(8)).members().len(), 2);
}

#[test]
fn who_is_new_is_counted_and_who_moves_is_not() {
    let map = Map::empty().replaced_by(&[range(0, 16383, "a")], vec![member("a")]);
    assert_eq!((Map::empty().arrivals(), map.arrivals()), (0, 1));
    let guest = map.with(&member("b"), None);
    assert_eq!((guest.arrivals(), guest.with(&member("b"), Some(7)).arrivals()), (2, 2));
    let ranges = [range(0, 7, "b"), range(8, 16383, "c")];
    assert_eq!(guest.replaced_by(&ranges, vec![member("b"), member("c")]).arrivals(), 3);
    // One without slots to which there is no connection can't be asked for a session.
    assert_eq!(guest.holders(), [(host("a"), true)]);
}

#[test]
fn a_map_agrees_with_what_it_was_made_of_and_nothing_else() {
    let ranges = [range(0, 8000, "a"), range(8001, 16383, "b")];
    let map = Map::empty().replaced_by(&ranges, vec![member("a"), member("b")]);
    assert!(map.agrees_with(&ranges));
    assert!(map.agrees_with(&[range(8001, 16383, "b"), range(0, 10, "a"), range(11, 8000, "a")]));
    for other in [
        &[range(0, 8000, "a")][..],
        &[range(0, 8000, "a"), range(8001, 16382, "b")],
        &[range(0, 8001, "a"), range(8002, 16383, "b")],
        &[range(0, 8000, "b"), range(8001, 16383, "a")],
        &[],
    ] {
        assert!(!map.agrees_with(other), "{other:?}");
    }
    assert!(!Map::empty().agrees_with(&ranges));
}

#[test]
fn the_answer_of_a_node_names_ranges_masters_and_the_epoch() {
    let vote = told(
        "*2\n*2\n*4\n:0\n:5\n*3\n$1\na\n:6379\n$2\nid\n*3\n$1\nr\n:6379\n$2\nid\n\
         *3\n:6\n:7\n*4\n$1\nb\n:6379\n$2\nid\n*0\n$24\ncluster_current_epoch:12",
    )
    .unwrap();
    assert_eq!(vote.epoch, 12);
    assert_eq!(vote.opinion, [range(0, 5, "a"), range(6, 7, "b")]);
}

#[test]
fn a_node_without_a_name_is_the_one_that_was_asked() {
    for name in ["$0\n", "$1\n?", "$-1"] {
        let vote = told(&format!("*2\n*1\n*3\n:0\n:5\n*2\n{name}\n:6379\n$1\nx")).unwrap();
        assert_eq!(vote.opinion, [range(0, 5, "asked")], "{name}");
    }
}

#[test]
fn a_malformed_answer_is_an_error() {
    for slots in [
        "*0",
        "$1\nx",
        "*1\n:1",
        "*1\n*2\n:0\n:5",
        "*1\n*3\n:0\n:16384\n*2\n$1\na\n:6379",
        "*1\n*3\n:6\n:5\n*2\n$1\na\n:6379",
        "*1\n*3\n:0\n:5\n*1\n$1\na",
        "*1\n*3\n:0\n:5\n*2\n$1\na\n:65536",
        "*1\n*3\n:-1\n:5\n*2\n$1\na\n:6379",
    ] {
        assert!(told(&format!("*2\n{slots}\n$1\nx")).is_err(), "{slots}");
    }
}
