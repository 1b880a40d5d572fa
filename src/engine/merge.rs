//! Reconciles the changes of requests that ran at the same time.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Number, Value};

/// How a change is reconciled with the change of another request that stored the session first.
///
/// A refusal is an [`Error::Conflict`](crate::Error::Conflict) with nothing stored.
///
/// ```
/// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), session_store::Error> {
/// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
/// # let first = manager.begin(None);
/// # first.session().await?.start().await?;
/// # let cookie = first.finish(200).await.set_cookie.expect("a session began");
/// # let (one, other) = (manager.begin(Some(&cookie)), manager.begin(Some(&cookie)));
/// # one.session().await?;
/// # other.session().await?;
/// let (one, other) = (one.session().await?, other.session().await?);
/// one.insert("theme", "dark")?;
/// other.insert("language", "fr")?;
/// one.save().await?;
/// // By default, changes of different fields are merged.
/// other.save().await?;
/// assert_eq!(other.get::<String>("theme").as_deref(), Some("dark"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum ConflictPolicy<T> {
    /// Merge by field of the top level.
    ///
    /// A field that one request changed keeps its change. Where both changed it: equal values
    /// stand, numbers, texts and booleans take the later request's value, lists to which both appended
    /// take both tails, a removal wins over a change, and anything else is refused.
    #[default]
    Merge,
    /// Refuse.
    Reject,
    /// Decide by a function; see [`ConflictPolicy::with`].
    With(Resolve<T>),
}

/// A function of base, ours and theirs.
type Resolve<T> = Arc<dyn Fn(&T, &T, &T) -> Option<T> + Send + Sync>;

impl<T> ConflictPolicy<T> {
    /// Decides by `resolve(base, ours, theirs)`: the data that both requests started from, as this one
    /// changed it, and as the other one stored it. `None` refuses.
    ///
    /// ```
    /// use session_store::ConflictPolicy;
    ///
    /// // A session that is one number, of which the larger one is right.
    /// let policy = ConflictPolicy::with(|_base: &u32, ours: &u32, theirs: &u32| Some(*ours.max(theirs)));
    /// ```
    pub fn with(resolve: impl Fn(&T, &T, &T) -> Option<T> + Send + Sync + 'static) -> Self {
        Self::With(Arc::new(resolve))
    }
}

impl<T> fmt::Debug for ConflictPolicy<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Merge => "Merge",
            Self::Reject => "Reject",
            Self::With(_) => "With(..)",
        })
    }
}

/// Makes to `target` the changes that lead from `base` to `ours`, and no others.
///
/// `target` is what is stored; it may have members that this program's type doesn't know, and keeps
/// them, also those of a list's elements that stay as they were in their places.
pub(crate) fn apply_difference(base: &Value, ours: &Value, target: &mut Value) {
    if base == ours {
        return;
    }
    match (base, ours, &mut *target) {
        (Value::Object(base), Value::Object(ours), Value::Object(target)) => {
            for name in base.keys().filter(|name| !ours.contains_key(*name)) {
                target.remove(name);
            }
            for (name, value) in ours {
                match (base.get(name), target.get_mut(name)) {
                    (Some(before), Some(stored)) => apply_difference(before, value, stored),
                    (Some(before), None) if before == value => {}
                    _ => {
                        target.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        (Value::Array(before), Value::Array(ours), Value::Array(stored)) if all_extend(stored, before) => {
            let elements = ours.iter().enumerate().map(|(index, value)| match before.get(index) {
                Some(unchanged) if unchanged == value => stored[index].clone(),
                _ => value.clone(),
            });
            *target = Value::Array(elements.collect());
        }
        _ => *target = ours.clone(),
    }
}

/// Gives the members of `stored` the form in which they are `written` now, such as another version's tag.
/// Members that are not written stay, and so do numbers, which may be more precise than the type is.
pub(crate) fn rewrite(stored: &mut Value, written: &Value) {
    match (stored, written) {
        (Value::Object(stored), Value::Object(written)) => {
            for (name, value) in stored {
                if let Some(written) = written.get(name) {
                    rewrite(value, written);
                }
            }
        }
        (Value::Number(_), Value::Number(_)) => {}
        (stored, written) if extends(stored, written) || is_same(stored, written) => {}
        (stored, written) => *stored = written.clone(),
    }
}

/// Takes the members out of `stored` that `known` does not have. Answers whether there were any.
pub(crate) fn remove_unknown(stored: &mut Value, known: &Value) -> bool {
    match (stored, known) {
        (Value::Object(stored), Value::Object(known)) => {
            let members = stored.len();
            stored.retain(|name, _| known.contains_key(name));
            let mut removed = stored.len() < members;
            for (name, value) in stored {
                removed |= remove_unknown(value, &known[name]);
            }
            removed
        }
        // A set has its elements in another order.
        (stored @ Value::Array(_), known) if is_same(stored, known) => false,
        (Value::Array(stored), Value::Array(known)) if stored.len() == known.len() => {
            stored.iter_mut().zip(known).fold(false, |removed, (stored, known)| {
                // Not `||`, which would stop at the first.
                removed | remove_unknown(stored, known)
            })
        }
        _ => false,
    }
}

/// Whether two values are the same data: sets have no order, and `5.0` may be stored as `5`.
pub(crate) fn is_same(one: &Value, other: &Value) -> bool {
    one == other || canonical(one) == canonical(other)
}

/// Whether `value` is what was read each time, down to the order of lists and to which numbers are floats.
/// Lists that have another order in another reading are sets, and those have none.
pub(crate) fn is_each(value: &Value, readings: &[&Value]) -> bool {
    let all = |is_so: &dyn Fn(&Value) -> bool| readings.iter().all(|reading| is_so(reading));
    match value {
        Value::Object(members) => {
            all(&|reading| reading.as_object().is_some_and(|read| read.len() == members.len()))
                && members.iter().all(|(name, member)| {
                    let read: Option<Vec<_>> = readings.iter().map(|reading| reading.get(name)).collect();
                    read.is_some_and(|read| is_each(member, &read))
                })
        }
        Value::Array(elements) => {
            let lists: Option<Vec<_>> = readings.iter().map(|reading| reading.as_array()).collect();
            let Some(lists) = lists else { return false };
            let have_one_order = lists.windows(2).all(|two| {
                two[0].len() == two[1].len()
                    && two[0].iter().zip(two[1]).all(|(one, other)| is_same(one, other))
            });
            if !have_one_order {
                return all(&|reading| is_same(value, reading));
            }
            lists.iter().all(|list| list.len() == elements.len())
                && elements.iter().enumerate().all(|(index, element)| {
                    is_each(element, &lists.iter().map(|list| &list[index]).collect::<Vec<_>>())
                })
        }
        _ => all(&|reading| reading == value),
    }
}

/// One form for all values that are the same data.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Array(elements) => {
            let mut elements: Vec<_> = elements.iter().map(canonical).collect();
            elements.sort_by_cached_key(Value::to_string);
            elements.into()
        }
        Value::Object(members) => {
            let sorted: BTreeMap<_, _> = members.iter().collect();
            sorted
                .into_iter()
                .map(|(name, value)| (name.clone(), canonical(value)))
                .collect::<Map<_, _>>()
                .into()
        }
        Value::Number(number) => whole(number).map_or_else(|| value.clone(), Value::from),
        _ => value.clone(),
    }
}

/// The integer that a number is, also where it is written as a float.
fn whole(number: &Number) -> Option<i64> {
    // Beyond this, neighbouring integers are one float.
    const MOST: f64 = 9_007_199_254_740_992.0;
    let float = || number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() <= MOST);
    #[allow(clippy::cast_possible_truncation, reason = "it is a small integer")]
    number.as_i64().or_else(|| float().map(|float| float as i64))
}

/// Whether `stored` is `known` with perhaps more members in its objects.
fn extends(stored: &Value, known: &Value) -> bool {
    match (stored, known) {
        (Value::Object(stored), Value::Object(known)) => {
            known.iter().all(|(name, value)| stored.get(name).is_some_and(|stored| extends(stored, value)))
        }
        (Value::Array(stored), Value::Array(known)) => all_extend(stored, known),
        (Value::Number(stored), Value::Number(known)) => {
            stored == known || whole(stored).is_some_and(|number| whole(known) == Some(number))
        }
        _ => stored == known,
    }
}

fn all_extend(stored: &[Value], known: &[Value]) -> bool {
    stored.len() == known.len() && stored.iter().zip(known).all(|(stored, known)| extends(stored, known))
}

/// Two changes of the same field that can't both stand.
#[derive(Debug, PartialEq)]
pub(crate) struct Contradiction;

/// Merges two changes of `base`, field by field on the top level.
///
/// A field that one side changed takes that side's value. Where both changed it: equal values
/// stand, scalars take ours, arrays to which both only appended take both tails (theirs first, as
/// it was stored first), and a removal wins over a change.
pub(crate) fn three_way(base: &Value, ours: &Value, theirs: &Value) -> Result<Value, Contradiction> {
    let (Value::Object(b), Value::Object(o), Value::Object(t)) = (base, ours, theirs) else {
        return merge_field(Some(base), Some(ours), Some(theirs))?.ok_or(Contradiction);
    };
    let mut merged = Map::new();
    let added_by_us = o.keys().filter(|name| !t.contains_key(*name));
    for name in t.keys().chain(added_by_us) {
        if let Some(value) = merge_field(b.get(name), o.get(name), t.get(name))? {
            merged.insert(name.clone(), value);
        }
    }
    Ok(Value::Object(merged))
}

/// The same, where a list in another order is the same.
pub(crate) fn three_way_of_sets(base: &Value, ours: &Value, theirs: &Value) -> Result<Value, Contradiction> {
    let (mut ours, mut theirs) = (ours.clone(), theirs.clone());
    reorder(&mut theirs, base);
    reorder(&mut ours, base);
    reorder(&mut ours, &theirs);
    three_way(base, &ours, &theirs)
}

/// Gives each field of `value` that is the same as in `model` the model's order.
fn reorder(value: &mut Value, model: &Value) {
    match (value, model) {
        (Value::Object(value), Value::Object(model)) => {
            for (name, value) in value {
                if let Some(model) = model.get(name).filter(|model| is_same(model, value)) {
                    value.clone_from(model);
                }
            }
        }
        (value, model) if is_same(model, value) => value.clone_from(model),
        _ => {}
    }
}

/// The merged value of a field, `None` where it goes away.
fn merge_field(
    base: Option<&Value>,
    ours: Option<&Value>,
    theirs: Option<&Value>,
) -> Result<Option<Value>, Contradiction> {
    if ours == base || ours == theirs {
        return Ok(theirs.cloned());
    }
    if theirs == base {
        return Ok(ours.cloned());
    }
    match (ours, theirs) {
        (None, _) | (_, None) => Ok(None),
        (Some(Value::Array(ours)), Some(Value::Array(theirs))) => {
            let base = match base {
                Some(Value::Array(base)) => base.as_slice(),
                Some(_) => return Err(Contradiction),
                None => &[],
            };
            match (ours.strip_prefix(base), theirs.starts_with(base)) {
                (Some(our_tail), true) => Ok(Some([theirs, our_tail].concat().into())),
                _ => Err(Contradiction),
            }
        }
        (Some(ours), Some(theirs)) if is_scalar(ours) && is_scalar(theirs) => Ok(Some(ours.clone())),
        _ => Err(Contradiction),
    }
}

fn is_scalar(value: &Value) -> bool {
    !value.is_array() && !value.is_object()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn the_table_of_the_design() {
        let merge = |base, ours, theirs| {
            three_way(&json!({ "f": base }), &json!({ "f": ours }), &json!({ "f": theirs }))
                .map(|merged| merged["f"].clone())
                .ok()
        };
        assert_eq!(merge(json!(1), json!(2), json!(1)), Some(json!(2)), "ours alone");
        assert_eq!(merge(json!(1), json!(1), json!(3)), Some(json!(3)), "theirs alone");
        assert_eq!(merge(json!(1), json!(2), json!(2)), Some(json!(2)), "equal changes");
        assert_eq!(merge(json!(1), json!(2), json!(3)), Some(json!(2)), "scalars: ours");
        assert_eq!(merge(json!(null), json!("a"), json!(true)), Some(json!("a")), "any scalars");
        assert_eq!(merge(json!([1]), json!([1, 2]), json!([1, 3])), Some(json!([1, 3, 2])), "appends");
        assert_eq!(merge(json!([1]), json!([]), json!([1, 3])), None, "removal in an array");
        assert_eq!(merge(json!([1]), json!([2]), json!([3])), None, "arrays rewritten");
        assert_eq!(merge(json!({}), json!({"a": 1}), json!({"b": 1})), None, "objects");
        assert_eq!(merge(json!(1), json!([1]), json!(2)), None, "a scalar against an array");
        assert_eq!(merge(json!(1), json!([1]), json!([2])), None, "arrays that were none");
    }

    #[test]
    fn fields_come_and_go() {
        let base = json!({"kept": 1, "gone": 1, "contested": 1});
        let ours = json!({"kept": 1, "mine": 2});
        let theirs = json!({"kept": 1, "gone": 1, "contested": 9, "yours": 3, "mine": 2});
        let merged = three_way(&base, &ours, &theirs);
        assert_eq!(merged, Ok(json!({"kept": 1, "mine": 2, "yours": 3})));
        let new_on_both = three_way(&json!({}), &json!({"a": [1]}), &json!({"a": [2]}));
        assert_eq!(new_on_both, Ok(json!({"a": [2, 1]})));
    }

    #[test]
    fn what_is_no_object_merges_as_one_field() {
        assert_eq!(three_way(&json!([1]), &json!([1, 2]), &json!([1, 3])), Ok(json!([1, 3, 2])));
        assert_eq!(three_way(&json!([1]), &json!({}), &json!([1, 3])), Err(Contradiction));
        assert_eq!(three_way(&json!(null), &json!({"a": 1}), &json!(null)), Ok(json!({"a": 1})));
    }

    #[test]
    fn a_difference_leaves_unknown_members_alone() {
        let mut stored =
            json!({"user": {"name": "ada", "locale": "en"}, "future": [1], "old": 1, "defaulted": 7});
        let base = json!({"user": {"name": "ada"}, "old": 1, "added": 0});
        let ours = json!({"user": {"name": "bob"}, "added": 0});
        apply_difference(&base, &ours, &mut stored);
        // `added` is unchanged and not stored: a default must not become data.
        assert_eq!(stored, json!({"user": {"name": "bob", "locale": "en"}, "future": [1], "defaulted": 7}));
    }

    #[test]
    fn members_of_list_elements_survive_where_the_elements_do() {
        let base = json!([{"item": "tea"}, {"item": "milk"}]);
        let ours = json!([{"item": "tea"}, {"item": "oats"}, {"item": "rye"}]);
        let stored = json!([{"item": "tea", "gift": true}, {"item": "milk", "gift": false}]);
        let mut target = stored.clone();
        apply_difference(&base, &ours, &mut target);
        assert_eq!(target, json!([{"item": "tea", "gift": true}, {"item": "oats"}, {"item": "rye"}]));
        // A list that is not the one we know has nothing to say about our elements.
        let mut target = json!([{"item": "milk", "gift": true}, {"item": "tea", "gift": false}]);
        apply_difference(&base, &ours, &mut target);
        assert_eq!(target, ours);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let scalar =
            prop_oneof![Just(json!(null)), any::<bool>().prop_map(Value::from), (0..4).prop_map(Value::from)];
        scalar.prop_recursive(2, 12, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                any_object_of(inner),
            ]
        })
    }

    fn any_object_of(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
        proptest::collection::btree_map("[a-d]", value, 0..4)
            .prop_map(|fields| fields.into_iter().collect::<Map<_, _>>().into())
    }

    proptest! {
        #[test]
        fn a_change_on_one_side_alone_is_that_sides(base in any_value(), changed in any_value()) {
            prop_assert_eq!(three_way(&base, &changed, &base), Ok(changed.clone()));
            prop_assert_eq!(three_way(&base, &base, &changed), Ok(changed));
        }

        #[test]
        fn equal_changes_stand(base in any_value(), changed in any_value()) {
            prop_assert_eq!(three_way(&base, &changed, &changed), Ok(changed));
        }

        #[test]
        fn changes_of_disjoint_fields_are_both_kept(
            base in any_object_of(any_value()), mine in any_value(), yours in any_value(),
        ) {
            let (mut ours, mut theirs, mut both) = (base.clone(), base.clone(), base.clone());
            ours["mine"] = mine.clone();
            theirs["yours"] = yours.clone();
            both["mine"] = mine;
            both["yours"] = yours;
            prop_assert_eq!(three_way(&base, &ours, &theirs), Ok(both));
        }

        #[test]
        fn a_difference_leads_to_ours(base in any_value(), ours in any_value()) {
            let mut target = base.clone();
            apply_difference(&base, &ours, &mut target);
            prop_assert_eq!(target, ours);
        }
    }
}
