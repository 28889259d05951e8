//! The older stored lines of a followed log, which are read page by page beside the new ones.

use std::time::Duration;

use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;
use futures::future::BoxFuture;

use super::logs::{EventPages, STORED_LINES, parse_older};
use crate::cloud::seen_lines::SeenLines;
use crate::cloud::{LeftOut, LogItem, LogQuery, Result};

/// The result of reading a page.
pub(super) type Read<'a> = (EventPages<'a>, Result<Vec<FilteredLogEvent>>);

/// What follows after a page.
pub(super) enum Next<'a> {
    More(OlderLines<'a>),
    /// Older lines are left out, and are not read later.
    LeftOut,
    /// All lines were read.
    End,
}

pub(super) struct OlderLines<'a> {
    reading: BoxFuture<'a, Read<'a>>,
    /// The memory of the lines that are still read, in bytes.
    bytes: usize,
}

impl<'a> OlderLines<'a> {
    /// Reads on after a delay.
    pub(super) fn after(mut pages: EventPages<'a>, bytes: usize, delay: Duration) -> Self {
        let reading = Box::pin(async move {
            tokio::time::sleep(delay).await;
            let page = pages.next().await;
            (pages, page)
        });
        Self { reading, bytes }
    }

    /// Returns the next page, and the memory of the lines that are still read. Can be dropped and called again.
    pub(super) async fn next(&mut self) -> (Read<'a>, usize) {
        ((&mut self.reading).await, self.bytes)
    }
}

/// Returns the item with the lines of a page, if it has any or is the last one.
pub(super) fn item<'a>(
    query: &LogQuery,
    seen: &mut SeenLines,
    pages: EventPages<'a>,
    events: &[FilteredLogEvent],
    bytes: usize,
) -> (Option<LogItem>, Next<'a>) {
    let lines: Vec<_> =
        parse_older(query, events).into_iter().filter(|line| seen.is_new_older(line)).collect();
    let read: usize = lines.iter().map(crate::cloud::LogLine::memory).sum();
    let next = if pages.is_complete {
        Next::End
    } else if read >= bytes || pages.calls >= STORED_LINES.pages {
        Next::LeftOut
    } else {
        Next::More(OlderLines::after(pages, bytes - read, Duration::ZERO))
    };
    let left_out = matches!(next, Next::LeftOut).then_some(LeftOut::MoreThan(0));
    let item = (!lines.is_empty() || left_out.is_some()).then_some(LogItem::Older { lines, left_out });
    (item, next)
}
