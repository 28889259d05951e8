//! What the tags remember of notices that were sent.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use strum::IntoEnumIterator as _;

use crate::domain::tags::{self, Tags, key};
use crate::domain::text::Untrusted;

/// The kind of an event. Its word is in the name of the claim and in the key of the tag.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    strum::Display,
    strum::IntoStaticStr,
    strum::EnumIter,
)]
#[strum(serialize_all = "kebab-case")]
pub enum NoticeKind {
    Ready,
    Failed,
    #[strum(serialize = "expires-30m")]
    FirstWarning,
    #[strum(serialize = "expires-5m")]
    LastWarning,
    PoolEmpty,
}

/// The notices of a record that were sent, by the part of their names after the record.
pub type Notified = BTreeSet<Untrusted>;

/// Parses the tag of a record that remembers its notices. What a later version remembers is left out.
#[must_use]
pub(in crate::domain) fn parse_notified(tags: &Tags) -> Notified {
    let words = tags.get(key::NOTIFIED).into_iter().flat_map(|value| value.split(' '));
    words.filter(|word| NoticeKind::iter().any(|kind| kind.is_of(word))).map(Into::into).collect()
}

/// The mark of a fleet whose pool is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolEmpty {
    pub since: DateTime<Utc>,
    /// Whether a notice was sent.
    pub is_told: bool,
}

impl PoolEmpty {
    const TOLD: &str = "told";

    #[must_use]
    pub fn parse(fleet: &Tags) -> Option<Self> {
        let value = fleet.get(key::POOL_EMPTY)?;
        let (since, rest) = value.split_once(' ').unwrap_or((value, ""));
        let since = DateTime::parse_from_rfc3339(since).ok()?.to_utc();
        Some(Self { since, is_told: rest == Self::TOLD })
    }

    #[must_use]
    pub fn to_tag(self) -> String {
        let since = tags::format_time(self.since);
        if self.is_told { format!("{since} {}", Self::TOLD) } else { since }
    }
}

impl NoticeKind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether the part of a notice's name after the record is that of this kind.
    pub(super) fn is_of(self, name: &str) -> bool {
        name.split('/').next() == Some(self.as_str())
    }
}
