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

    /// Streams the log lines that exist now and those that arrive later, until the stream is dropped. An error ends the stream.
    #[must_use]
    pub(crate) fn follow_logs(&self, query: LogQuery) -> BoxStream<'_, Result<LogItem>> {
        self.cloud.follow(query)
    }
}
