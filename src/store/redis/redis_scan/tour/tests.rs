use super::*;
use proptest::prelude::*;

fn in_cluster() -> Tour {
    let masters = ["ab12", "cd34", "ef56"].into_iter().zip([1, 7, 3]);
    let masters = masters.map(|(id, epoch)| Master { id: id.to_owned(), epoch }).collect();
    let mut owners = vec![Some(0); usize::from(SLOTS)];
    owners[100..200].fill(Some(1));
    owners[16383] = None;
    let importers = BTreeMap::from([(7, vec![2]), (9, vec![1, 2])]);
    let mut needs = vec![Need::Nothing; usize::from(SLOTS)];
    needs[5..50].fill(Need::All);
    needs[9] = Need::Moved;
    let view = View { masters, owners, importers };
    let round = Round { pass: 2, done: 3, view, needs, queue: vec![0, 2], skipped: vec![1] };
    let spot = Spot { run_id: "0123abc".to_owned(), cursor: u64::MAX };
    Tour::Cluster { part: 'n', round, spot }
}

#[test]
fn a_cursor_is_read_back() {
    let tour = in_cluster();
    let text = tour.to_string();
    assert_eq!(
        text,
        "r1;n;0123abc;18446744073709551615;2;3;ab12@1,cd34@7,ef56@3;100x0,100x1,16183x0,1x-;\
         7>2,9>1+2;5xn,4xa,1xm,40xa,16334xn;0,2;1"
    );
    assert_eq!(Tour::parse(&text), Some(tour));
    let one = Tour::One { part: 'n', spot: Spot::default() };
    assert_eq!(one.to_string(), "r1;n;;0");
    assert_eq!(Tour::parse("r1;n;;0"), Some(one));
}

#[test]
fn anything_else_is_no_cursor() {
    let text = in_cluster().to_string();
    for (part, other) in [
        ("r1;", "r2;"),
        (";n;", ";z;"),
        ("0123abc", "a b"),
        ("18446744073709551615", "18446744073709551616"),
        ("18446744073709551615;2;", "0;11;"),
        ("18446744073709551615;2;", "0;0;"),
        ("ab12@1", "ab12"),
        ("ab12@1", "a/b@1"),
        ("100x0", "101x0"),
        ("100x0", "99x0"),
        ("100x0", "99999999999999999999x0"),
        ("100x0", "100x3"),
        ("7>2", "16384>2"),
        ("7>2", "7>3"),
        ("1xm", "1xq"),
        (";0,2;", ";0,3;"),
        (";0,2;", ";;"),
        (";0,2;", ";0,1,2,2;"),
        (";1", ";1;1"),
    ] {
        let changed = if part == ";1" { format!("{text};1") } else { text.replacen(part, other, 1) };
        assert_ne!(changed, text, "{part}");
        assert_eq!(Tour::parse(&changed), None, "{changed}");
    }
    assert_eq!(Tour::parse(&"x".repeat(LONGEST + 1)), None);
}

proptest! {
    #[test]
    fn hostile_text_is_read_or_refused(text in any::<String>(), at in 0..200_usize, cut in 0..200_usize) {
        let _ = Tour::parse(&text);
        let good = in_cluster().to_string();
        let (at, cut) = (at.min(good.len()), cut.min(good.len()));
        let _ = Tour::parse(&format!("{}{text}{}", &good[..at], &good[cut..]));
        if let Some(tour) = Tour::parse(&format!("{}{}", &good[..at], &good[cut..])) {
            prop_assert_eq!(Tour::parse(&tour.to_string()), Some(tour));
        }
    }

    /// Numbers and separators in any order.
    #[test]
    fn what_looks_like_a_cursor_is_read_or_refused(text in "r1;n;[0-9a-f]{0,5};[0-9]{0,3}(;[0-9x,>+@a-]{0,20}){0,8}") {
        if let Some(tour) = Tour::parse(&text) {
            prop_assert!(Tour::parse(&tour.to_string()).is_some());
        }
    }
}
