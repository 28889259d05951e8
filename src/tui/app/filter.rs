//! The filter of the environments: words, and terms such as `owner:amy`. All of them must match.

use super::rows::EnvironmentRow;
use crate::tui::fuzzy::{Needle, Rank};

/// What a word of the filter is searched in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Name,
    Owner,
    State,
    Service,
    Note,
    Id,
}

impl Field {
    const ALL: [(&str, Self); 6] = [
        ("name", Self::Name),
        ("owner", Self::Owner),
        ("state", Self::State),
        ("service", Self::Service),
        ("note", Self::Note),
        ("id", Self::Id),
    ];
}

/// The fleet, which is the same for all rows of a fleet.
const FLEET: [(&str, ()); 1] = [("fleet", ())];

/// Splits a term such as `owner:amy` into the field with this name and the text to find in it; `None` if it names no field.
pub(super) fn split_term<'t, F: Copy>(term: &'t str, fields: &[(&str, F)]) -> Option<(F, &'t str)> {
    let (name, text) = term.split_once(':')?;
    let (_, field) = fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    Some((*field, text))
}

/// The texts of a row that a filter searches, in lower case and in the order of [`Field::ALL`].
#[derive(Debug, Clone)]
pub(crate) struct SearchText([String; Field::ALL.len()]);

impl SearchText {
    pub(crate) fn new(row: &EnvironmentRow) -> Self {
        let state = match (row.state.as_str(), row.status()) {
            (state, status) if state == status => state.to_owned(),
            (state, status) => format!("{state} {status}"),
        };
        let note = row.details.record.note.as_ref().map(ToString::to_string).unwrap_or_default();
        let texts =
            [row.name.clone(), row.owner.clone(), state, row.services.clone(), note, row.id.to_string()];
        Self(texts.map(|text| text.to_lowercase()))
    }
}

/// A word of the filter.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    /// `None`: in all fields.
    field: Option<Field>,
    needle: Needle,
}

/// What the environments are filtered by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    terms: Vec<Term>,
    /// Terms such as `fleet:qa`.
    fleets: Vec<Needle>,
    /// The owner to whose environments the table is limited.
    owner: Option<String>,
}

impl Filter {
    pub(crate) fn new(text: &str, owner: Option<&str>) -> Self {
        let (mut terms, mut fleets) = (Vec::new(), Vec::new());
        for word in text.split_whitespace() {
            if let Some(((), text)) = split_term(word, &FLEET) {
                fleets.push(Needle::new(text));
                continue;
            }
            let (field, text) = match split_term(word, &Field::ALL) {
                Some((field, text)) => (Some(field), text),
                None => (None, word),
            };
            terms.push(Term { field, needle: Needle::new(text) });
        }
        Self { terms, fleets, owner: owner.map(str::to_lowercase) }
    }

    /// Whether environments of this fleet can match. `fleet` has its label and name in lower case.
    pub(crate) fn has_fleet(&self, fleet: &str) -> bool {
        self.fleets.iter().all(|needle| needle.rank(fleet).is_some())
    }

    /// Returns how well the row matches, which is how well its worst term does; `None` if one does not match at all.
    pub(crate) fn rank(&self, SearchText(texts): &SearchText) -> Option<Rank> {
        if self.owner.as_ref().is_some_and(|owner| texts[Field::Owner as usize] != *owner) {
            return None;
        }
        self.terms.iter().try_fold(Rank::Exact, |worst, term| {
            let rank = match term.field {
                Some(field) => term.needle.rank(&texts[field as usize])?,
                None => texts.iter().filter_map(|text| term.needle.rank(text)).min()?,
            };
            Some(worst.max(rank))
        })
    }

    /// Returns what to highlight in the text of a field, as ascending ranges of bytes.
    pub(crate) fn ranges(&self, field: Field, text: &str) -> Vec<(usize, usize)> {
        let terms = self.terms.iter().filter(|term| term.field.is_none_or(|other| other == field));
        let mut ranges: Vec<_> = terms.flat_map(|term| term.needle.ranges(text)).collect();
        ranges.sort_unstable();
        let mut joined: Vec<(usize, usize)> = Vec::with_capacity(ranges.len());
        for (from, to) in ranges {
            match joined.last_mut() {
                Some((_, last)) if *last >= from => *last = to.max(*last),
                _ => joined.push((from, to)),
            }
        }
        joined
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("", Some(Rank::Exact))]
    #[case("checkout amy", Some(Rank::Exact))]
    #[case("owner:amy state:ready", Some(Rank::Exact))]
    #[case("Owner:AM", Some(Rank::Exact))]
    #[case("owner:checkout", None)]
    #[case("name:chkfix", Some(Rank::Fuzzy))]
    #[case("amy name:chkfix", Some(Rank::Fuzzy))]
    #[case::tag_of_a_service("payments:f-123", Some(Rank::Exact))]
    #[case("service:ledger", None)]
    #[case("note:voucher id:dev-12", Some(Rank::Exact))]
    #[case("sam", None)]
    fn ranks(#[case] filter: &str, #[case] rank: Option<Rank>) {
        let texts = ["checkout-fix", "amy", "ready", "payments:f-123", "the second voucher", "dev-12"];
        let text = SearchText(texts.map(str::to_owned));
        assert_eq!(Filter::new(filter, None).rank(&text), rank);
        assert_eq!(Filter::new(filter, Some("Amy")).rank(&text), rank);
        assert_eq!(Filter::new(filter, Some("sam")).rank(&text), None);
    }

    #[rstest]
    #[case("", true)]
    #[case("fleet:qa", true)]
    #[case("Fleet:EU amy", true)]
    #[case("fleet:eu fleet:qa", true)]
    #[case("fleet:dev", false)]
    #[case("fleet:eu fleet:dev", false)]
    fn fleets_are_compared_with_label_and_name(#[case] filter: &str, #[case] expected: bool) {
        assert_eq!(Filter::new(filter, None).has_fleet("qa-eu qa"), expected);
    }

    #[test]
    fn ranges_of_terms_are_joined() {
        let filter = Filter::new("check name:eck owner:check", None);
        assert_eq!(filter.ranges(Field::Name, "checkout"), [(0, 5)]);
        assert_eq!(filter.ranges(Field::Service, "checks"), [(0, 5)]);
    }
}
