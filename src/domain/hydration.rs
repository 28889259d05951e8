//! How much of a restored volume is loaded.

/// How much of a restored volume is loaded. The database answers queries meanwhile, but reads of what is not loaded yet are slow.
///
/// RDS reports the loading only while it lasts, and not for every database. The tag
/// [`LOADING_SEEN`](super::tags::key::LOADING_SEEN) therefore records the first report.
/// <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DBInstance.html>
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Hydration {
    /// RDS has reported no loading so far.
    #[default]
    Unknown,
    /// The percentage that is loaded.
    Loading(u8),
    /// RDS reported the loading earlier, and does so no longer.
    Complete,
}

impl Hydration {
    /// `loaded` is the percentage that RDS reports.
    pub(crate) fn new(loaded: Option<u8>, seen: bool) -> Self {
        match loaded {
            Some(percent) => Self::Loading(percent.min(100)),
            None if seen => Self::Complete,
            None => Self::Unknown,
        }
    }

    /// Returns the percentage that is loaded; `None` if it is unknown.
    #[must_use]
    pub fn percent(self) -> Option<u8> {
        match self {
            Self::Unknown => None,
            Self::Loading(percent) => Some(percent),
            Self::Complete => Some(100),
        }
    }

    /// Returns `73 % warm` or `warm` for the user; `None` if it is unknown.
    #[must_use]
    pub fn describe(self) -> Option<String> {
        match self {
            Self::Unknown => None,
            Self::Loading(percent) => Some(format!("{percent} % warm")),
            Self::Complete => Some("warm".to_owned()),
        }
    }

    /// Whether this percentage is loaded. What is unknown counts as loaded, because RDS may never report it.
    #[must_use]
    pub fn is_at_least(self, percent: u8) -> bool {
        self.percent().is_none_or(|loaded| loaded >= percent)
    }

    /// Returns an order in which launches prefer the last. RDS reports no loading that has ended, so what is unknown is likely to be complete.
    pub(crate) fn rank(self) -> u8 {
        match self {
            Self::Loading(percent) => percent.min(100),
            Self::Unknown => 101,
            Self::Complete => 102,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_report_means_complete_only_after_one() {
        assert_eq!(Hydration::new(None, false), Hydration::Unknown);
        assert_eq!(Hydration::new(Some(73), false).percent(), Some(73));
        assert_eq!(Hydration::new(None, true), Hydration::Complete);
        assert_eq!(Hydration::new(Some(0), true), Hydration::Loading(0));
    }

    #[test]
    fn unknown_is_loaded_enough() {
        assert!(Hydration::Unknown.is_at_least(100));
        assert!(Hydration::Loading(80).is_at_least(80) && !Hydration::Loading(79).is_at_least(80));
        assert!(Hydration::Loading(100).rank() < Hydration::Unknown.rank());
    }
}
