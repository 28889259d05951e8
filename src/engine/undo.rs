//! Takes back an extension that was just confirmed. Each extension has a tag of its own, so only this one is taken back, and those of other users
//! stay.

use chrono::{DateTime, Utc};

use super::extend::{MAX_READ_BACKS, NEAR_EXPIRY, READ_BACK_DELAY, time_of};
use super::{Engine, ExtensionUndo};
use crate::cloud::Result;
use crate::domain::environment::is_instance_of;
use crate::domain::{Record, TagChanges};
use crate::failure::{Failure, Kind};

impl Engine {
    /// Takes an extension back, and returns the expiry that the environment has then.
    ///
    /// # Errors
    /// Returns `Refused` if the environment was extended again or would expire at once, `TooLate` if it is ending, and the error of AWS if the
    /// record cannot be read or written.
    pub async fn undo_extension(&self, extension: &ExtensionUndo) -> Result<DateTime<Utc>, Failure> {
        let id = &extension.environment;
        let what = format!("cannot undo the extension of {id}");
        let record = self.extended_record(extension, &what).await?;
        let others = record.extensions.iter().filter(|(nonce, _)| **nonce != extension.nonce);
        let latest = others.map(|(_, at)| *at).max();
        let expires_at = latest.map_or(extension.earlier, |at| at.max(extension.earlier));
        let changes = TagChanges::undo_extension(&extension.nonce, extension.earlier, &self.nonce());
        let written = self.retry(|| self.cloud.tag_record(&record.id, &changes)).await;
        if written.is_ok() {
            self.mirror_undone(&record, expires_at).await;
        }
        let reason = format!("back to {}", expires_at.format("%F %T UTC"));
        self.log_write("undo-extension", &id.to_string(), &reason, &written).await;
        written.map_err(|error| Failure::cloud(&what, &error))?;
        Ok(expires_at)
    }

    /// Copies the expiry to the instance. If this fails, the next pass of any engine repeats it.
    async fn mirror_undone(&self, record: &Record, expires_at: DateTime<Utc>) {
        let id = &record.environment;
        match self.cloud.instances_of(id).await {
            Ok(read) => {
                let mut instances = read.value;
                instances.retain(|instance| is_instance_of(instance, record) && !instance.state.is_ending());
                self.mirror_expiry(id, &instances, expires_at).await;
            }
            Err(error) => tracing::warn!(%id, %error, "cannot mirror the expiry on the instance"),
        }
    }

    /// Reads the record until it shows the extension, because reads lag.
    async fn extended_record(&self, extension: &ExtensionUndo, what: &str) -> Result<Record, Failure> {
        let id = &extension.environment;
        for _ in 0..MAX_READ_BACKS {
            let read = self.retry(|| self.cloud.record(&id.fleet, &extension.record)).await;
            let read = read.map_err(|error| Failure::cloud(what, &error))?;
            let now = time_of(&read, what)?;
            if let Some(record) = read.value {
                check(&record, extension, now, what)?;
                if record.extensions.keys().any(|nonce| *nonce == extension.nonce) {
                    return Ok(record);
                }
            }
            self.clock.sleep(READ_BACK_DELAY).await;
        }
        let message = format!("{what}: it no longer has this extension");
        Err(Failure::new(Kind::NotFound, message, "see its expiry with: hatchery ls"))
    }
}

/// Refuses to undo an extension if that is too late.
fn check(record: &Record, extension: &ExtensionUndo, now: DateTime<Utc>, what: &str) -> Result<(), Failure> {
    let at_end = "to end the environment: hatchery terminate";
    if let Some(termination) = &record.terminate {
        let message = format!("{what}: {} requested its termination", termination.by);
        return Err(Failure::new(Kind::TooLate, message, "launch a new one"));
    }
    if record.expires_at.is_some_and(|at| at > extension.expires_at) {
        let message = format!("{what}: it was extended again");
        return Err(Failure::new(Kind::Refused, message, at_end));
    }
    if extension.earlier <= now + NEAR_EXPIRY {
        let message = format!("{what}: it would expire at once");
        return Err(Failure::new(Kind::Refused, message, at_end));
    }
    Ok(())
}
