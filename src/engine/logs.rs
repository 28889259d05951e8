//! An environment's logs, for the front ends.

use futures::stream::BoxStream;

use super::Engine;
use crate::cloud::{LogItem, LogQuery, Result, StoredLines};

impl Engine {
    /// Returns the newest log lines that exist now.
    ///
    /// # Errors
    /// Returns the error of the log service.
    pub async fn logs(&self, query: &LogQuery) -> Result<StoredLines> {
        self.cloud.logs(query).await
    }

    /// Streams the newest log lines that exist now and those that arrive later, until the stream is dropped; beside them about `older_bytes` of
    /// older lines. An error ends the stream.
    #[must_use]
    pub(crate) fn follow_logs(&self, query: LogQuery, older_bytes: usize) -> BoxStream<'_, Result<LogItem>> {
        self.cloud.follow(query, older_bytes)
    }
}
