//! `--sort`: by what, and from which end.

use clap::ValueEnum;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Field {
    Key,
    Owner,
    Label,
    /// When it began
    Created,
    /// When it was last used
    Seen,
    /// When it ends unless it is used again
    Ends,
    /// How large its data is
    Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sorting {
    pub(crate) field: Field,
    /// The last or largest first.
    pub(crate) descends: bool,
}

/// A field, or one with `-` before it. clap is given all of them, so that its error lists them, and shells complete them.
pub(super) fn parser() -> impl TypedValueParser<Value = Sorting> {
    let ascending = Field::value_variants().iter().filter_map(Field::to_possible_value);
    let both = ascending.flat_map(|value| {
        let descending = PossibleValue::new(format!("-{}", value.get_name())).hide(true);
        [value, descending]
    });
    PossibleValuesParser::new(both).try_map(|text| {
        let name = text.strip_prefix('-').unwrap_or(&text);
        let field = Field::from_str(name, false)?;
        Ok::<_, String>(Sorting { field, descends: text.starts_with('-') })
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use clap::error::ErrorKind;

    use super::*;
    use crate::arguments::{Arguments, Command};

    fn sorting(arguments: &[&str]) -> Result<Option<Sorting>, ErrorKind> {
        let all = ["session-store", "list"].iter().chain(arguments);
        match Arguments::try_parse_from(all).map_err(|error| error.kind())?.command {
            Command::List(list) => Ok(list.sorting()),
            _ => unreachable!("it is a list"),
        }
    }

    #[test]
    fn either_end_comes_first() {
        let by = |descends| Ok(Some(Sorting { field: Field::Bytes, descends }));
        assert_eq!(sorting(&[]), Ok(None));
        assert_eq!(sorting(&["--sort", "bytes"]), by(false));
        assert_eq!(sorting(&["--sort", "-bytes"]), by(true));
        assert_eq!(sorting(&["-s-bytes"]), by(true));
        assert_eq!(sorting(&["-rs", "bytes"]), by(true));
        assert_eq!(sorting(&["--sort", "-bytes", "--reverse"]), by(false));
        for wrong in [&["--sort", "--bytes"][..], &["--sort", "size"], &["--reverse"]] {
            assert!(sorting(wrong).is_err(), "{wrong:?}");
        }
    }
}
