//! The page of the audit log: all events that were read, filtered, newest first.

use super::filter::split_term;
use super::form::Query;
use crate::domain::AuditEvent;
use crate::domain::history::AuditLog;

/// Separates the searchable texts of an event. Sanitised texts do not contain it.
const SEPARATOR: char = '\u{1}';

/// The names of the texts of an event, each with the index of its text.
const FIELDS: [(&str, usize); 7] =
    [("who", 0), ("actor", 0), ("action", 1), ("target", 2), ("result", 3), ("outcome", 3), ("why", 4)];

/// The page's filter, selection and scroll position.
#[derive(Debug, Clone, Default)]
pub struct ActivityView {
    pub(crate) filter: Query,
    /// The lower-case texts of each event of the log, oldest first.
    texts: Vec<String>,
    /// The events that match the filter, as indices of the log, newest first.
    visible: Vec<usize>,
    /// The index of the selected event in `visible`.
    pub(crate) selected: usize,
    /// The selected event, to find it again when others come.
    event: Option<AuditEvent>,
    /// The index of the first row in `visible`.
    pub(crate) offset: usize,
}

impl ActivityView {
    pub(crate) fn new(log: &AuditLog) -> Self {
        let mut view = Self::default();
        view.refresh(log);
        view
    }

    /// Returns the number of events that match the filter.
    pub(crate) fn len(&self) -> usize {
        self.visible.len()
    }

    /// Returns the matching events from an offset on, newest first.
    pub(crate) fn rows<'l>(&self, log: &'l AuditLog) -> impl Iterator<Item = &'l AuditEvent> {
        self.visible.iter().skip(self.offset).filter_map(|index| log.events().get(*index))
    }

    pub(crate) fn selected_event<'l>(&self, log: &'l AuditLog) -> Option<&'l AuditEvent> {
        log.events().get(*self.visible.get(self.selected)?)
    }

    /// Takes a changed log. The selected event stays selected, unless it is the newest: then the newest stays.
    pub(crate) fn refresh(&mut self, log: &AuditLog) {
        self.texts = log.events().iter().map(searchable).collect();
        self.apply_filter(log);
    }

    /// Applies a changed filter.
    pub(crate) fn apply_filter(&mut self, log: &AuditLog) {
        let filter = self.filter.text().to_lowercase();
        let terms: Vec<&str> = filter.split_whitespace().collect();
        let events = 0..self.texts.len();
        self.visible = events
            .rev()
            .filter(|index| terms.iter().all(|term| matches(&self.texts[*index], term)))
            .collect();
        let found = self.event.as_ref().filter(|_| self.selected > 0).and_then(|event| {
            let events = log.events();
            // Newest first, so that the times descend.
            let from = self.visible.partition_point(|index| events[*index].at > event.at);
            let same = self.visible[from..].iter().take_while(|index| events[**index].at == event.at);
            same.enumerate().find(|(_, index)| events[**index] == *event).map(|(after, _)| from + after)
        });
        let on_screen = self.selected.saturating_sub(self.offset);
        self.selected = found.unwrap_or(self.selected).min(self.visible.len().saturating_sub(1));
        self.offset = self.selected.saturating_sub(on_screen);
        self.event = self.selected_event(log).cloned();
    }

    pub(crate) fn move_by(&mut self, by: isize, log: &AuditLog) {
        self.select(self.selected.saturating_add_signed(by), log);
    }

    pub(crate) fn select(&mut self, index: usize, log: &AuditLog) {
        self.selected = index.min(self.visible.len().saturating_sub(1));
        self.event = self.selected_event(log).cloned();
    }

    /// Scrolls so that the selected row is visible in a table of this height and no empty rows are at its end.
    pub(crate) fn keep_in_view(&mut self, height: usize) {
        let height = height.max(1);
        self.offset = self.offset.min(self.visible.len().saturating_sub(height));
        if self.selected < self.offset {
            self.offset = self.selected;
        } else if self.selected >= self.offset + height {
            self.offset = self.selected + 1 - height;
        }
    }
}

fn searchable(event: &AuditEvent) -> String {
    let action = format!("{} {}", event.action, event.summary());
    let why = format!("{} {}", event.reason, event.detail);
    let texts = [event.who.to_string(), action, event.target.to_string(), event.outcome.to_string(), why];
    let separator = SEPARATOR.to_string();
    texts.join(&separator).to_lowercase()
}

/// Whether a term, which may name one of the texts, is in an event's texts.
fn matches(texts: &str, term: &str) -> bool {
    match split_term(term, &FIELDS) {
        Some((index, text)) => texts.split(SEPARATOR).nth(index).is_some_and(|found| found.contains(text)),
        None => texts.contains(term),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::domain::Outcome;

    fn event(second: i64, who: &str, action: &str, outcome: Outcome) -> AuditEvent {
        AuditEvent {
            at: chrono::DateTime::from_timestamp(second, 0).unwrap_or_default(),
            who: who.into(),
            action: action.into(),
            target: "dev-12".into(),
            reason: "asked for the Launch".into(),
            outcome,
            detail: "payments f-1 → f-2".into(),
            restore_seconds: None,
            loaded_percent: None,
        }
    }

    fn log() -> AuditLog {
        let mut log = AuditLog::default();
        log.add([
            event(1, "amy", "launch", Outcome::Done),
            event(2, "engine@launcher", "retire-database", Outcome::Failed),
            event(3, "jo", "redeploy", Outcome::Done),
        ]);
        log
    }

    fn filtered(filter: &str) -> Vec<String> {
        let log = log();
        let mut view = ActivityView::new(&log);
        view.filter.input = filter.to_owned().into();
        view.apply_filter(&log);
        view.rows(&log).map(|event| event.who.to_string()).collect()
    }

    #[rstest]
    #[case("", &["jo", "engine@launcher", "amy"])]
    #[case("AMY", &["amy"])]
    #[case("launch", &["jo", "engine@launcher", "amy"])]
    #[case("action:launch", &["amy"])]
    #[case("who:launch result:fail", &["engine@launcher"])]
    #[case("f-2 redeployed", &["jo"])]
    #[case("result:unknown", &[])]
    fn filter_selects(#[case] filter: &str, #[case] expected: &[&str]) {
        assert_eq!(filtered(filter), expected);
    }

    #[test]
    fn selected_event_stays_selected() {
        let mut log = log();
        let mut view = ActivityView::new(&log);
        view.move_by(1, &log);
        log.add([event(3, "ravi", "extend", Outcome::Done), event(4, "lena", "extend", Outcome::Done)]);
        view.refresh(&log);
        assert_eq!(
            view.selected_event(&log).map(|event| event.who.to_string()),
            Some("engine@launcher".to_owned())
        );
        view.move_by(-9, &log);
        log.add([event(5, "marta", "extend", Outcome::Done)]);
        view.refresh(&log);
        assert_eq!(
            view.selected_event(&log).map(|event| event.who.to_string()),
            Some("marta".to_owned()),
            "the newest"
        );
        view.keep_in_view(2);
        assert_eq!((view.len(), view.offset), (6, 0));
    }
}
