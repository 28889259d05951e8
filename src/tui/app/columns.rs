//! The columns of the table of environments: the view draws them, and a click on a title is looked up in them.

use ratatui::layout::Alignment;

use super::environments::{EnvironmentsPane, SortBy, Widest};
use crate::tui::widgets::table::{self, Column};

/// The width of progress bars, in columns.
pub(crate) const BAR: usize = 9;

/// The width of a percentage with the space before it.
pub(crate) const PERCENT: usize = 5;

/// The width of the state with its symbol and a space after it, while there are progress bars.
const STATE_BEFORE_BAR: usize = 13;

/// The sort order of each column, from the left.
const ORDER: [SortBy; 7] = [
    SortBy::Name,
    SortBy::Owner,
    SortBy::State,
    SortBy::Left,
    SortBy::Number,
    SortBy::Services,
    SortBy::Cost,
];

/// The index of the column with the state.
pub(crate) const STATE: usize = 2;

impl EnvironmentsPane {
    /// Returns the width of the state with its symbol, without the progress bar.
    pub(crate) fn status_width(&self) -> usize {
        let Widest { has_progress, status, .. } = self.widest;
        if has_progress { STATE_BEFORE_BAR } else { (status + 2).clamp(7, 13) }
    }

    pub(crate) fn columns(&self) -> Vec<Column> {
        let status = self.status_width();
        let Widest { name, owner, id, has_progress, has_cost, .. } = self.widest;
        let (name, owner, id) = (name.clamp(8, 28), owner.clamp(5, 14), (id + 2).clamp(8, 24));
        let (min_bar, max_bar) = if has_progress { (PERCENT, BAR + PERCENT + 1) } else { (0, 0) };
        let column =
            |title, min, max, priority| Column { title, min, max, alignment: Alignment::Left, priority };
        let right = |column| Column { alignment: Alignment::Right, ..column };
        vec![
            column("NAME", name.min(14), name, 10),
            column("OWNER", owner.min(8), owner, 5),
            column("STATE", status + min_bar, status + max_bar, 9),
            right(column("LEFT", 8, 8, 8)),
            column("DATABASE", id.min(12), id, 4),
            column("SERVICES", 8, usize::MAX, 2),
            right(column("COST", 7, 7, if has_cost { 3 } else { 1 })),
        ]
    }

    /// Returns the order of the column whose title is `x` columns right of the left border of a table with this width inside.
    pub(crate) fn order_at(&self, x: u16, width: u16) -> Option<SortBy> {
        table::column_at(&self.columns(), width, x).map(|index| ORDER[index])
    }
}
