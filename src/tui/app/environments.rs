//! The environments of the main screen, with filter, sort order, marks and selection. No key and no frame costs more with more rows: what
//! depends on all of them is computed when they or the filter change.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use super::filter::{Filter, SearchText};
use super::form::Query;
use super::rows::EnvironmentRow;
use super::selection::{Rows, Selection};
use crate::domain::RecordId;
use crate::tui::fuzzy::Rank;
use crate::tui::text;

/// The sort order of the environments; each belongs to a column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum SortBy {
    /// The number in the id, which is the order of the launches.
    #[default]
    Number,
    Name,
    Owner,
    State,
    Left,
    Services,
    Cost,
}

impl SortBy {
    pub(crate) const ALL: [Self; 7] =
        [Self::Number, Self::Name, Self::Owner, Self::State, Self::Left, Self::Services, Self::Cost];

    pub(crate) fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % Self::ALL.len()]
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Name => "name",
            Self::Owner => "owner",
            Self::State => "state",
            Self::Left => "left",
            Self::Services => "services",
            Self::Cost => "cost",
        }
    }

    fn compare(self, a: &EnvironmentRow, b: &EnvironmentRow) -> Ordering {
        match self {
            // The rows are in this order already.
            Self::Number => Ordering::Equal,
            Self::Name => a.name.cmp(&b.name),
            Self::Owner => a.owner.cmp(&b.owner),
            Self::State => (a.state as u8, a.phase).cmp(&(b.state as u8, b.phase)),
            // Rows without an expiry come last.
            Self::Left => (a.expires_at.is_none(), a.expires_at).cmp(&(b.expires_at.is_none(), b.expires_at)),
            Self::Services => a.services.cmp(&b.services),
            Self::Cost => {
                let accrued = |row: &EnvironmentRow| row.cost.map_or(0.0, |cost| cost.accrued);
                accrued(a).total_cmp(&accrued(b))
            }
        }
    }
}

/// What the widths of the columns depend on. Hidden rows count, so that scrolling moves no column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Widest {
    pub(crate) name: usize,
    pub(crate) owner: usize,
    pub(crate) status: usize,
    pub(crate) id: usize,
    pub(crate) has_progress: bool,
    pub(crate) has_cost: bool,
}

impl Widest {
    fn of(rows: &[EnvironmentRow]) -> Self {
        rows.iter().fold(Self::default(), |widest, row| {
            widest.max(Self {
                name: width(&row.name),
                owner: width(&row.owner),
                status: row.status().len(),
                id: text::width(row.id.fleet.as_str()) + 1 + digits(row.id.number.0),
                has_progress: row.progress.is_some(),
                has_cost: row.cost.is_some(),
            })
        })
    }

    /// Returns what has room for both.
    pub(super) fn max(self, other: Self) -> Self {
        Self {
            name: self.name.max(other.name),
            owner: self.owner.max(other.owner),
            status: self.status.max(other.status),
            id: self.id.max(other.id),
            has_progress: self.has_progress || other.has_progress,
            has_cost: self.has_cost || other.has_cost,
        }
    }
}

/// Returns the width of a sanitised text in columns, at once if it is ASCII, as most are.
fn width(sanitised: &str) -> usize {
    if sanitised.is_ascii() { sanitised.len() } else { text::width(sanitised) }
}

/// Returns the number of decimal digits.
fn digits(number: u32) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

/// The environments with their filter, sort order and selection.
#[derive(Debug, Clone, Default)]
pub(crate) struct EnvironmentsPane {
    /// All environments, by number.
    all: Vec<EnvironmentRow>,
    by_record: HashMap<RecordId, usize>,
    /// What these rows need.
    pub(super) own_widest: Widest,
    /// What the columns are made for: the rows of all fleets in the table.
    pub(crate) widest: Widest,
    /// What terms such as `fleet:qa` are compared with: the fleet's label and name, in lower case.
    pub(super) fleet: String,
    /// Whether such a term of the filter is of other fleets.
    pub(super) is_other_fleet: bool,
    /// All rows in sort order, as indices of `all`, and what they are sorted by; empty after the rows changed.
    sorted: Vec<usize>,
    sorted_by: Option<(SortBy, bool)>,
    /// The texts to search; empty until they are needed after the rows changed.
    search: Vec<SearchText>,
    /// The rows that match the filter, as indices of `all`, best first and then in sort order.
    visible: Vec<usize>,
    /// What `visible` was computed for; `None` after the rows changed.
    visible_for: Option<(SortBy, bool, Filter)>,
    pub(crate) selection: Selection<RecordId>,
    pub(crate) filter: Query,
    /// The owner to whose environments the table is limited.
    pub(crate) mine: Option<String>,
    pub(crate) sort: SortBy,
    pub(crate) descending: bool,
    /// The marked environments, listed or not.
    pub(crate) marks: HashSet<RecordId>,
}

/// The rows before a change.
#[derive(Debug, Default)]
pub(crate) struct EarlierRows {
    rows: Vec<Option<EnvironmentRow>>,
    by_record: HashMap<RecordId, usize>,
    /// Whether a row was not where it was asked for.
    has_moved: bool,
}

impl EarlierRows {
    /// Takes the row of a record, which most often is still at `index`.
    pub(crate) fn take(&mut self, index: usize, record: &RecordId) -> Option<EnvironmentRow> {
        let is_at = |row: &Option<EnvironmentRow>| row.as_ref().is_some_and(|row| row.record == *record);
        if self.rows.get(index).is_some_and(is_at) {
            return self.rows[index].take();
        }
        self.has_moved = true;
        self.rows.get_mut(*self.by_record.get(record)?)?.take()
    }
}

/// The visible rows, for the selection.
struct Visible<'a> {
    all: &'a [EnvironmentRow],
    by_record: &'a HashMap<RecordId, usize>,
    visible: &'a [usize],
}

impl Rows<RecordId> for Visible<'_> {
    fn len(&self) -> usize {
        self.visible.len()
    }

    fn key(&self, index: usize) -> Option<RecordId> {
        self.visible.get(index).map(|&index| self.all[index].record.clone())
    }

    fn find(&self, key: &RecordId) -> Option<usize> {
        let index = self.by_record.get(key)?;
        self.visible.iter().position(|other| other == index)
    }
}

impl EnvironmentsPane {
    /// Returns all environments, by number.
    pub(crate) fn all(&self) -> &[EnvironmentRow] {
        &self.all
    }

    /// Replaces the rows. Marks of environments that are gone are removed.
    pub(crate) fn set_rows(&mut self, rows: Vec<EnvironmentRow>, earlier: EarlierRows) {
        self.by_record = if earlier.has_moved || earlier.rows.len() != rows.len() {
            rows.iter().enumerate().map(|(index, row)| (row.record.clone(), index)).collect()
        } else {
            earlier.by_record
        };
        self.own_widest = Widest::of(&rows);
        self.widest = self.own_widest;
        self.all = rows;
        self.search.clear();
        self.sorted_by = None;
        self.visible_for = None;
        let Self { marks, by_record, .. } = self;
        marks.retain(|record| by_record.contains_key(record));
    }

    /// Takes the rows, to reuse them in [`Self::set_rows`].
    pub(crate) fn take_rows(&mut self, reuse: bool) -> EarlierRows {
        let (rows, by_record) = (std::mem::take(&mut self.all), std::mem::take(&mut self.by_record));
        if !reuse {
            return EarlierRows::default();
        }
        EarlierRows { rows: rows.into_iter().map(Some).collect(), by_record, has_moved: false }
    }

    pub(crate) fn find(&self, record: &RecordId) -> Option<&EnvironmentRow> {
        self.by_record.get(record).and_then(|&index| self.all.get(index))
    }

    /// Returns the environments that match the filter, in sort order.
    pub(crate) fn visible(&self) -> impl ExactSizeIterator<Item = &EnvironmentRow> {
        self.visible.iter().map(|&index| &self.all[index])
    }

    /// Whether rows may be hidden.
    pub(crate) fn is_filtered(&self) -> bool {
        self.mine.is_some() || !self.filter.text().is_empty()
    }

    /// Returns the filter as it is parsed.
    pub(crate) fn parsed_filter(&self) -> Filter {
        Filter::new(self.filter.text(), self.mine.as_deref())
    }

    /// Returns the marked environments, by number.
    pub(crate) fn marked(&self) -> Vec<&EnvironmentRow> {
        let mut indices: Vec<_> = self.marks.iter().filter_map(|record| self.by_record.get(record)).collect();
        indices.sort_unstable();
        indices.into_iter().map(|&index| &self.all[index]).collect()
    }

    /// Applies the filter and the sort order again, if either or the rows changed, and keeps the selection. `height` is the table's, in
    /// rows.
    pub(crate) fn filter_and_sort(&mut self, height: usize) {
        let filter = self.parsed_filter();
        let wanted = (self.sort, self.descending, filter);
        if self.visible_for.as_ref() != Some(&wanted) {
            self.sort_rows();
            self.is_other_fleet = !wanted.2.has_fleet(&self.fleet);
            self.visible = if self.is_other_fleet { Vec::new() } else { self.matching(&wanted.2) };
            self.visible_for = Some(wanted);
        }
        self.reselect(height);
    }

    fn sort_rows(&mut self) {
        let (sort, descending) = (self.sort, self.descending);
        if self.sorted_by == Some((sort, descending)) {
            return;
        }
        let all = &self.all;
        let mut sorted: Vec<usize> = (0..all.len()).collect();
        match (sort, descending) {
            (SortBy::Number, false) => {}
            (SortBy::Number, true) => sorted.reverse(),
            // The sort is stable, so rows that compare as equal stay in the order of their numbers.
            (_, false) => sorted.sort_by(|&a, &b| sort.compare(&all[a], &all[b])),
            (_, true) => sorted.sort_by(|&a, &b| sort.compare(&all[b], &all[a])),
        }
        self.sorted = sorted;
        self.sorted_by = Some((sort, descending));
    }

    fn matching(&mut self, filter: &Filter) -> Vec<usize> {
        if *filter == Filter::default() {
            return self.sorted.clone();
        }
        if self.search.len() != self.all.len() {
            self.search = self.all.iter().map(SearchText::new).collect();
        }
        let (mut exact, mut fuzzy) = (Vec::new(), Vec::new());
        for &index in &self.sorted {
            match filter.rank(&self.search[index]) {
                Some(Rank::Exact) => exact.push(index),
                Some(Rank::Fuzzy) => fuzzy.push(index),
                None => {}
            }
        }
        exact.append(&mut fuzzy);
        exact
    }

    /// Runs `change` on the selection with the visible rows.
    fn with_selection(&mut self, change: impl FnOnce(&mut Selection<RecordId>, &Visible<'_>)) {
        let Self { all, by_record, visible, selection, .. } = self;
        change(selection, &Visible { all, by_record, visible });
    }

    pub(crate) fn reselect(&mut self, height: usize) {
        self.with_selection(|selection, rows| selection.reselect(rows, height));
    }

    pub(crate) fn select(&mut self, index: usize, height: usize) {
        self.with_selection(|selection, rows| selection.select(index, rows, height));
    }

    /// Selects an environment by its record; returns whether it is visible.
    pub(crate) fn select_record(&mut self, record: &RecordId, height: usize) -> bool {
        let mut found = false;
        self.with_selection(|selection, rows| {
            if let Some(index) = rows.find(record) {
                selection.select(index, rows, height);
                found = true;
            }
        });
        found
    }

    /// Moves the selection; returns by how many rows more it was to move.
    pub(crate) fn move_by(&mut self, by: isize, height: usize) -> isize {
        let mut rest = 0;
        self.with_selection(|selection, rows| rest = selection.move_by(by, rows, height));
        rest
    }

    /// Sets the name and the label of the fleet, for the filter.
    pub(super) fn set_fleet(&mut self, label: &str, name: &str) {
        self.fleet = format!("{label} {name}").to_lowercase();
        self.visible_for = None;
    }
}
