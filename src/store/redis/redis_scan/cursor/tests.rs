use proptest::prelude::*;

use super::*;

fn in_cluster() -> ScanCursor {
    let kept = [5, 6, 7, 100].into_iter().collect();
    let mut unseen = SlotSet::ALL;
    unseen.remove_all(&(10..=20).collect());
    let pass = Pass { number: 2, node: "ab12".to_owned(), unseen, kept: Some(kept) };
    let node = NodeCursor { run_id: "0123abc".to_owned(), cursor: u64::MAX };
    ScanCursor { part: 'n', node, pass: Some(pass) }
}

#[test]
fn a_cursor_is_read_back() {
    let mut cursor = in_cluster();
    let text = "r2;n;0123abc@18446744073709551615;2;ab12;0-9,21-16383;5-7,100";
    assert_eq!(cursor.to_string(), text);
    assert_eq!(ScanCursor::parse(text), Some(cursor.clone()));
    cursor.pass.as_mut().unwrap().kept = None;
    let text = text.replace("5-7,100", "open");
    assert_eq!(cursor.to_string(), text);
    assert_eq!(ScanCursor::parse(&text), Some(cursor));
    let one = ScanCursor { part: 'n', node: NodeCursor::default(), pass: None };
    assert_eq!(one.to_string(), "r2;n;@0");
    assert_eq!(ScanCursor::parse("r2;n;@0"), Some(one));
}

#[test]
fn anything_else_is_no_cursor() {
    let text = in_cluster().to_string();
    for (part, other) in [
        ("r2;", "r1;"),
        (";n;", ";Z;"),
        ("0123abc", "a b"),
        ("18446744073709551615", "18446744073709551616"),
        ("@18446744073709551615", ""),
        (";2;", ";11;"),
        (";2;", ";0;"),
        (";2;", ";"),
        ("ab12", "a/b"),
        ("ab12", ""),
        ("0-9", "0-x"),
        ("9,21", "9,,21"),
        ("16383", "16384"),
        ("5-7", "closed"),
        (",100", ",100;1"),
    ] {
        let changed = text.replacen(part, other, 1);
        assert_ne!(changed, text, "{part}");
        assert_eq!(ScanCursor::parse(&changed), None, "{changed}");
    }
    assert_eq!(ScanCursor::parse(&format!("{text}{}", ",1".repeat(LONGEST / 2))), None);
}

/// Slots are as scattered as can be, and what is left out comes to its turn later.
#[test]
fn the_longest_cursor_fits() {
    for step in [2, 3] {
        let unseen: SlotSet = (0..16384).filter(|slot| (slot + slot / 5) % step == 0).collect();
        let kept: SlotSet = unseen.iter().filter(|slot| slot / 3 % 2 == 0).collect();
        let node = NodeCursor { run_id: "r".repeat(64), cursor: u64::MAX };
        let pass = Pass { number: 10, node: "n".repeat(64), unseen, kept: Some(kept.clone()) };
        let text = ScanCursor { part: 'n', node, pass: Some(pass) }.to_string();
        assert!(text.len() <= LONGEST, "{}", text.len());
        let read = ScanCursor::parse(&text).unwrap();
        assert_eq!(read.to_string(), text);
        let left = read.pass.unwrap().kept.unwrap();
        assert!(left.len() * 5 > kept.len() && left.iter().all(|slot| kept.contains(slot)), "{}", left.len());
    }
}

proptest! {
    #[test]
    fn hostile_text_is_read_or_refused(text in any::<String>(), at in 0..200_usize, cut in 0..200_usize) {
        let _ = ScanCursor::parse(&text);
        let good = in_cluster().to_string();
        let (at, cut) = (at.min(good.len()), cut.min(good.len()));
        let _ = ScanCursor::parse(&format!("{}{text}{}", &good[..at], &good[cut..]));
        if let Some(cursor) = ScanCursor::parse(&format!("{}{}", &good[..at], &good[cut..])) {
            prop_assert_eq!(ScanCursor::parse(&cursor.to_string()), Some(cursor));
        }
    }

    /// Numbers and separators in any order.
    #[test]
    fn what_looks_like_a_cursor_is_read_or_refused(
        text in "r2;n;[0-9a-f]{0,5}@[0-9]{1,3}(;[0-9]{1,2};[a-z0-9]{1,4};[0-9,*A-z-]{0,20};[0-9,*A-z-]{0,20})?"
    ) {
        if let Some(cursor) = ScanCursor::parse(&text) {
            let written = cursor.to_string();
            prop_assert_eq!(ScanCursor::parse(&written), Some(cursor));
        }
    }
}
