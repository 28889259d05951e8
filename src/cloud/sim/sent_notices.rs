//! The claims on notices, and the notices that their destination got.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::domain::{Destination, Message, Tags};

/// A notice that its destination got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentNotice {
    pub at: DateTime<Utc>,
    /// The caller that sent it.
    pub who: String,
    pub destination: Destination,
    pub message: Message,
}

/// What the destination does with notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delivery {
    #[default]
    Works,
    /// The topic or the webhook does not exist.
    Gone,
    /// The caller has no permission to send to it.
    Denied,
    /// The notice is delivered, and the response is lost.
    NoResponse,
}

#[derive(Default)]
pub(super) struct SimNotices {
    /// The log streams by `<fleet>/<name>`, with the time of their creation.
    pub(super) claims: BTreeMap<String, DateTime<Utc>>,
    /// The tags of the log groups that `hatchery doctor --prove` has created.
    pub(super) proof_groups: BTreeMap<String, Tags>,
    pub(super) sent: Vec<SentNotice>,
    pub(super) delivery: Delivery,
}
