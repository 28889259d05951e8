//! A selection that follows what it means, not where it stands.

/// The selected row of a table, and how far the table is scrolled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection<K> {
    /// What is selected.
    pub selected: Option<K>,
    /// The first row in sight.
    pub offset: usize,
    /// Where the selected row stood, for when it is gone.
    index: usize,
}

impl<K> Default for Selection<K> {
    fn default() -> Self {
        Self { selected: None, offset: 0, index: 0 }
    }
}

impl<K: Clone + PartialEq> Selection<K> {
    /// The rows are other ones now: finds the selected one again and keeps it at the same height on the screen. One
    /// that is gone hands over to whatever stands in its place.
    pub fn follow(&mut self, keys: &[K], height: usize) {
        let found = self.selected.as_ref().and_then(|selected| keys.iter().position(|key| key == selected));
        if let Some(index) = found {
            let on_screen = self.index.saturating_sub(self.offset);
            self.offset = index.saturating_sub(on_screen);
            self.index = index;
        } else {
            self.index = self.index.min(keys.len().saturating_sub(1));
            self.selected = keys.get(self.index).cloned();
        }
        self.reveal(keys.len(), height);
    }

    /// Selects a row by its place.
    pub fn select(&mut self, index: usize, keys: &[K], height: usize) {
        self.index = index.min(keys.len().saturating_sub(1));
        self.selected = keys.get(self.index).cloned();
        self.reveal(keys.len(), height);
    }

    /// Moves the selection.
    pub fn step(&mut self, by: isize, keys: &[K], height: usize) {
        self.select(self.index.saturating_add_signed(by), keys, height);
    }

    /// Scrolls as far as is needed to have the selected row in sight, and no table past its end.
    pub fn reveal(&mut self, rows: usize, height: usize) {
        let height = height.max(1);
        self.offset = self.offset.min(rows.saturating_sub(height));
        if self.index < self.offset {
            self.offset = self.index;
        } else if self.index >= self.offset + height {
            self.offset = self.index + 1 - height;
        }
    }

    /// Where the selected row stands.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selection_follows_its_row_and_keeps_its_height() {
        let mut cursor = Selection::default();
        cursor.follow(&[1, 2, 3, 4, 5, 6], 3);
        assert_eq!(cursor.selected, Some(1));
        cursor.select(4, &[1, 2, 3, 4, 5, 6], 3);
        assert_eq!((cursor.selected, cursor.offset), (Some(5), 2));
        // Two rows come in above: the same row stays at the same height.
        cursor.follow(&[8, 9, 1, 2, 3, 4, 5, 6], 3);
        assert_eq!((cursor.selected, cursor.index(), cursor.offset), (Some(5), 6, 4));
        // It goes: what stands in its place is selected.
        cursor.follow(&[8, 9, 1, 2, 3, 4, 6], 3);
        assert_eq!((cursor.selected, cursor.index()), (Some(6), 6));
        cursor.follow(&[], 3);
        assert_eq!(cursor.selected, None);
        cursor.follow(&[7], 3);
        assert_eq!((cursor.selected, cursor.offset), (Some(7), 0));
    }
}
