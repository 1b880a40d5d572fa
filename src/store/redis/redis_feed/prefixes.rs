//! Which prefixes servers are asked to tell of.

use super::Keyspace;

/// At each write a server goes through all prefixes that somebody asked for, so it is asked for no more than this.
const MOST: usize = 16;
/// Beyond that it is asked for so few, which are shorter, and tells of other keys too.
const FEW: usize = 4;

/// Prefixes of which none begins like another, so that all names in these keyspaces begin with one of them.
pub(super) fn covering<'k>(keyspaces: impl IntoIterator<Item = &'k dyn Keyspace>) -> Vec<Vec<u8>> {
    cover(keyspaces.into_iter().map(|keys| keys.prefix().as_str()).collect())
}

fn cover(mut prefixes: Vec<&str>) -> Vec<Vec<u8>> {
    prefixes.sort_unstable();
    let mut prefixes: Vec<_> = prefixes.into_iter().map(|prefix| prefix.as_bytes().to_vec()).collect();
    drop_longer(&mut prefixes);
    if prefixes.len() > MOST {
        prefixes = shorten(&prefixes);
    }
    prefixes
}

/// One that begins like another is heard of by that, and the server refuses both together.
fn drop_longer(sorted: &mut Vec<Vec<u8>>) {
    sorted.dedup_by(|longer, shorter| longer.starts_with(shorter));
}

/// What those have in common that stand together, in groups that are apart where neighbours have the least in common.
fn shorten(sorted: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut ends: Vec<_> = (1..sorted.len()).collect();
    ends.sort_by_key(|end| in_common(&sorted[end - 1], &sorted[*end]).len());
    ends.truncate(FEW - 1);
    ends.push(sorted.len());
    ends.sort_unstable();
    let mut begin = 0;
    let mut shorter = Vec::with_capacity(FEW);
    for end in ends {
        shorter.push(in_common(&sorted[begin], &sorted[end - 1]).to_vec());
        begin = end;
    }
    shorter.sort_unstable();
    drop_longer(&mut shorter);
    shorter
}

fn in_common<'p>(one: &'p [u8], another: &[u8]) -> &'p [u8] {
    let length = one.iter().zip(another).take_while(|(one, another)| one == another).count();
    &one[..length]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covered(prefixes: &[&str]) -> Vec<String> {
        cover(prefixes.to_vec()).into_iter().map(|prefix| String::from_utf8(prefix).unwrap()).collect()
    }

    #[test]
    fn none_begins_like_another() {
        for (prefixes, covering) in [
            (&["session:"][..], &["session:"][..]),
            (&["b:", "a:", "a:"], &["a:", "b:"]),
            (&["a:b:", "a:", "a", "b:a"], &["a", "b:a"]),
            (&["a:", ""], &[""]),
            (&[], &[]),
        ] {
            assert_eq!(covered(prefixes), covering, "{prefixes:?}");
        }
    }

    #[test]
    fn many_become_few_that_cover_them_all() {
        let tenants: Vec<_> = (0..1000).map(|number| format!("tenant:{number}:")).collect();
        let mut prefixes: Vec<_> = tenants.iter().map(String::as_str).collect();
        assert_eq!(covered(&prefixes[..MOST]).len(), MOST);
        assert_eq!(covered(&prefixes), ["tenant:"]);
        prefixes.push("session:");
        assert_eq!(covered(&prefixes), ["session:", "tenant:"]);
        let unlike: Vec<_> = ('a'..='z').map(|letter| format!("{letter}:")).collect();
        let unlike: Vec<_> = unlike.iter().map(String::as_str).collect();
        assert_eq!(covered(&unlike), [""]);
    }
}
