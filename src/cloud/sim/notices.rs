//! Notices: the claims on them, and what their destination gets.

use chrono::{DateTime, Utc};

use super::SimCloud;
use super::faults::call_error;
use super::operations::{CREATE_STREAM, Operation};
use super::scenario::Guarantee;
use super::sent_notices::{Delivery, SentNotice};
use super::state::State;
use crate::cloud::Result;
use crate::domain::notice::Claim;
use crate::domain::{Destination, ErrorClass, Message};

impl SimCloud {
    /// Changes what the destination of the notices does.
    pub fn set_delivery(&self, delivery: Delivery) {
        self.advanced().notices.delivery = delivery;
    }
}

impl State {
    /// Returns the notices that their destination got, oldest first.
    #[must_use]
    pub fn sent_notices(&self) -> &[SentNotice] {
        &self.notices.sent
    }

    /// Returns the names of the log groups that `hatchery doctor --prove` has created.
    pub fn proof_groups(&self) -> impl Iterator<Item = &str> {
        self.notices.proof_groups.keys().map(String::as_str)
    }

    /// Creates a log stream. Names are unique without lag.
    pub(super) fn claim_notice(&mut self, who: &str, name: &str) -> Result<()> {
        if self.notices.claims.contains_key(name) && !self.breaks(Guarantee::UniqueNames) {
            let message = "The specified log stream already exists";
            let code = "ResourceAlreadyExistsException";
            return Err(call_error(ErrorClass::AlreadyExists, CREATE_STREAM, code, message));
        }
        self.notices.claims.insert(name.to_owned(), self.now);
        self.record(who, || format!("created the log stream {name}"));
        Ok(())
    }

    /// Lists the claims as they were at a time.
    pub(super) fn notice_claims(&self, fleet: &str, notice: &str, at: DateTime<Utc>) -> Vec<Claim> {
        let prefix = format!("{fleet}/{notice}/");
        let listed =
            self.notices.claims.range(prefix.clone()..).take_while(|(name, _)| name.starts_with(&prefix));
        let listed = listed.filter(|(_, created)| **created <= at);
        listed.map(|(name, created)| Claim { name: name[fleet.len() + 1..].into(), at: *created }).collect()
    }

    pub(super) fn send_notice(
        &mut self,
        who: &str,
        destination: &Destination,
        message: &Message,
        operation: Operation,
    ) -> Result<()> {
        let (class, code, text) = match self.notices.delivery {
            Delivery::Works | Delivery::NoResponse => {
                let (destination, message) = (destination.clone(), message.clone());
                self.record(who, || format!("sent {}: {}", message.id, message.title));
                self.notices.sent.push(SentNotice {
                    at: self.now,
                    who: who.to_owned(),
                    destination,
                    message,
                });
                if self.notices.delivery == Delivery::Works {
                    return Ok(());
                }
                (ErrorClass::Unknown, "Timeout", "no response in time")
            }
            Delivery::Gone => (ErrorClass::NotFound, "NotFound", "Topic does not exist"),
            Delivery::Denied => {
                (ErrorClass::Auth, "AuthorizationError", "not authorized to perform: SNS:Publish")
            }
        };
        Err(call_error(class, operation, code, text))
    }
}
