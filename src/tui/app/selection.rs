//! The selection in a table, by key instead of position, so that it survives changes of the rows.

/// The selected row of a table and the table's scroll position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection<K> {
    pub(crate) selected: Option<K>,
    /// The index of the first visible row.
    pub(crate) offset: usize,
    /// The last known index of the selected row.
    index: usize,
}

impl<K> Default for Selection<K> {
    fn default() -> Self {
        Self { selected: None, offset: 0, index: 0 }
    }
}

/// The rows of a table, without a copy of their keys.
pub(crate) trait Rows<K> {
    fn len(&self) -> usize;
    fn key(&self, index: usize) -> Option<K>;
    fn find(&self, key: &K) -> Option<usize>;
}

impl<K: Clone + PartialEq> Rows<K> for [K] {
    fn len(&self) -> usize {
        <[K]>::len(self)
    }

    fn key(&self, index: usize) -> Option<K> {
        self.get(index).cloned()
    }

    fn find(&self, key: &K) -> Option<usize> {
        self.iter().position(|other| other == key)
    }
}

impl<K> Selection<K> {
    /// Finds the selected row again after the rows changed, and keeps it at the same height on the screen. If the row is
    /// gone, the row that took its position is selected.
    pub(crate) fn reselect(&mut self, rows: &(impl Rows<K> + ?Sized), height: usize) {
        let found = self.selected.as_ref().and_then(|selected| rows.find(selected));
        if let Some(index) = found {
            let on_screen = self.index.saturating_sub(self.offset);
            self.offset = index.saturating_sub(on_screen);
            self.index = index;
        } else {
            self.index = self.index.min(rows.len().saturating_sub(1));
            self.selected = rows.key(self.index);
        }
        self.keep_in_view(rows.len(), height);
    }

    /// Selects the row at an index, or the last row if there are fewer.
    pub(crate) fn select(&mut self, index: usize, rows: &(impl Rows<K> + ?Sized), height: usize) {
        self.index = index.min(rows.len().saturating_sub(1));
        self.selected = rows.key(self.index);
        self.keep_in_view(rows.len(), height);
    }

    /// Moves the selection by a number of rows, at most to either end. Returns by how many rows more it was to move.
    pub(crate) fn move_by(&mut self, by: isize, rows: &(impl Rows<K> + ?Sized), height: usize) -> isize {
        let before = self.index.cast_signed();
        self.select(self.index.saturating_add_signed(by), rows, height);
        if rows.len() == 0 { by } else { before.saturating_add(by).saturating_sub(self.index.cast_signed()) }
    }

    /// Returns the last known index of the selected row.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Scrolls by as few rows as possible so that the selected row is visible and no empty rows are at the end.
    pub(crate) fn keep_in_view(&mut self, rows: usize, height: usize) {
        let height = height.max(1);
        self.offset = self.offset.min(rows.saturating_sub(height));
        if self.index < self.offset {
            self.offset = self.index;
        } else if self.index >= self.offset + height {
            self.offset = self.index + 1 - height;
        }
    }

    /// Returns the selected row's index among the visible rows.
    pub(crate) fn visible_index(&self) -> Option<usize> {
        self.index.checked_sub(self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected_fifth_of_six() -> Selection<u8> {
        let mut selection = Selection::default();
        selection.reselect(&[1, 2, 3, 4, 5, 6][..], 3);
        assert_eq!(selection.selected, Some(1));
        selection.select(4, &[1, 2, 3, 4, 5, 6][..], 3);
        assert_eq!((selection.selected, selection.offset), (Some(5), 2));
        selection
    }

    #[test]
    fn reselect_keeps_the_row_and_its_height() {
        let mut selection = selected_fifth_of_six();
        selection.reselect(&[8, 9, 1, 2, 3, 4, 5, 6][..], 3);
        assert_eq!((selection.selected, selection.index, selection.offset), (Some(5), 6, 4));
    }

    #[test]
    fn reselect_replaces_a_row_that_is_gone() {
        let mut selection = selected_fifth_of_six();
        selection.reselect(&[8, 9, 1, 2, 3, 4, 5, 6][..], 3);
        selection.reselect(&[8, 9, 1, 2, 3, 4, 6][..], 3);
        assert_eq!((selection.selected, selection.index), (Some(6), 6));
        selection.reselect(&[][..], 3);
        assert_eq!(selection.selected, None);
        selection.reselect(&[7][..], 3);
        assert_eq!((selection.selected, selection.offset), (Some(7), 0));
    }
}
