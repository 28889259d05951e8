//! Parameters and results of the port's operations.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::domain::format::format_count;
use crate::domain::text::Untrusted;
use crate::domain::{Fleet, FleetName, Parsed, Record, RecordId, SubnetId, Unreadable};

/// A value that was read, with AWS's time of the response (its `Date` header).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed<T> {
    pub value: T,
    /// `None` if the response has no time.
    pub as_of: Option<DateTime<Utc>>,
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    pub value: Vec<T>,
    /// Resources with names of the fleet whose tags do not say so.
    pub unreadable: Vec<Unreadable>,
    /// AWS's time of the response; `None` if it has none.
    pub as_of: Option<DateTime<Utc>>,
}

impl<T> Page<T> {
    #[must_use]
    pub fn new(value: Vec<T>, as_of: Option<DateTime<Utc>>) -> Self {
        Self { value, unreadable: Vec::new(), as_of }
    }

    /// Converts the readable items.
    #[must_use]
    pub fn map<U>(self, change: impl FnOnce(Vec<T>) -> Vec<U>) -> Page<U> {
        Page { value: change(self.value), unreadable: self.unreadable, as_of: self.as_of }
    }

    /// Parses items, and leaves out those that are not the fleet's.
    pub fn parse<'a, A: 'a>(
        items: impl IntoIterator<Item = &'a A>,
        as_of: Option<DateTime<Utc>>,
        parse: impl Fn(&'a A) -> Parsed<T>,
    ) -> Self {
        let mut page = Self::new(Vec::new(), as_of);
        for parsed in items.into_iter().filter_map(parse) {
            match parsed {
                Ok(item) => page.value.push(item),
                Err(unreadable) => page.unreadable.push(unreadable),
            }
        }
        page
    }
}

/// A launch template of a fleet.
#[derive(Debug, Clone, PartialEq)]
pub enum Template {
    /// The base launch template.
    Fleet(Box<Fleet>),
    /// A record, a retirement or a replacement.
    Record(Box<Record>),
}

impl Template {
    #[must_use]
    pub fn record(self) -> Option<Record> {
        match self {
            Self::Fleet(_) => None,
            Self::Record(record) => Some(*record),
        }
    }
}

/// A request for an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchInstance {
    /// The record from which to launch. EC2 rejects the request once the record is deleted.
    pub record: RecordId,
    /// The client token; see [`RecordId::client_token`].
    pub token: String,
    /// Overrides the record's subnet.
    pub subnet: Option<SubnetId>,
    /// Overrides the record's instance type.
    pub instance_type: Option<String>,
}

/// The parts of a fleet's base launch template that checks read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BaseTemplate {
    pub instance_type: Option<Untrusted>,
    /// The ids of the instances' security groups.
    pub security_groups: Vec<Untrusted>,
    /// The name or ARN of the instance profile.
    pub instance_profile: Option<Untrusted>,
    /// The name of the key pair for SSH.
    pub key_name: Option<Untrusted>,
    /// What records leave out, and why.
    pub corrections: Vec<String>,
    /// Why nothing can be launched from the template, one sentence each.
    pub problems: Vec<String>,
}

/// A VPC security group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityGroup {
    pub id: Untrusted,
    pub name: Untrusted,
    /// The id of the VPC.
    pub vpc: Untrusted,
    /// The ranges by which inbound rules admit the internet, such as `0.0.0.0/0`; see [`crate::domain::ip_ranges`].
    pub open_to: Vec<String>,
    /// The prefix lists of inbound rules that cannot be read.
    pub unread: Vec<Untrusted>,
}

/// One event of an environment's log; its text may have several lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The event's id, unique in its log group; empty for lines of Live Tail, which have none.
    pub id: String,
    pub at: DateTime<Utc>,
    /// The origin, such as `bootstrap` or the name of a service.
    pub source: Untrusted,
    pub text: Untrusted,
}

/// Selects log lines of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery {
    pub fleet: FleetName,
    pub record: RecordId,
    /// Selects the lines of one source.
    pub source: Option<String>,
    pub since: DateTime<Utc>,
}

/// The maximum number of stored lines that one read returns.
pub const MAX_LOG_LINES: usize = 10_000;

/// The memory of a line beside its text, in bytes, roughly.
const LINE_OVERHEAD: usize = 128;

impl LogLine {
    /// Returns the approximate memory in bytes.
    #[must_use]
    pub(crate) fn memory(&self) -> usize {
        self.text.raw().len() + LINE_OVERHEAD
    }
}

/// The stored lines of a log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredLines {
    /// Oldest first.
    pub lines: Vec<LogLine>,
    pub left_out: Option<LeftOut>,
}

impl StoredLines {
    /// Keeps the newest [`MAX_LOG_LINES`] of all lines of a log, which are sorted by time.
    #[must_use]
    pub fn newest_of(mut lines: Vec<LogLine>) -> Self {
        let surplus = lines.len().saturating_sub(MAX_LOG_LINES);
        lines.drain(..surplus);
        Self { lines, left_out: (surplus > 0).then_some(LeftOut::Older(surplus)) }
    }
}

/// Lines that a log leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// So many lines before those that follow.
    Older(usize),
    /// More than this number of lines before those that follow.
    MoreThan(usize),
    /// Lines before those that follow, because AWS refuses to read them.
    Unreadable,
    /// Lines after those that were read.
    Newer,
    /// From here on AWS delivers a sample of the lines, because there are too many.
    Sampled,
    /// The end of a sample.
    SampleEnded,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Older(1) => write!(f, "1 older line left out"),
            Self::Older(count) => write!(f, "{} older lines left out", format_count(*count)),
            Self::MoreThan(0) => write!(f, "older lines left out, because there are too many"),
            Self::MoreThan(count) => write!(f, "more than {} older lines left out", format_count(*count)),
            Self::Unreadable => write!(f, "older lines left out, because they cannot be read"),
            Self::Newer => write!(f, "newer lines left out, because there are too many"),
            Self::Sampled => {
                write!(f, "from here on, AWS delivers only a sample of the lines, because there are too many")
            }
            Self::SampleEnded => write!(f, "from here on, AWS delivers all lines again"),
        }
    }
}

/// An item of a followed log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogItem {
    /// A batch of lines, sorted by time.
    Lines(Vec<LogLine>),
    /// A batch of lines from before all others so far, sorted by time, and what is left out before them for good.
    Older { lines: Vec<LogLine>, left_out: Option<LeftOut> },
    /// How the following lines are read: `live tail`, or `polling` with the reason.
    Mode(String),
    /// Lines are missing here.
    LeftOut(LeftOut),
    /// The connection broke, with the reason, and is made again. The lines of the meantime follow then.
    Interrupted(String),
    /// AWS refuses the credentials, with the reason. The log goes on once there are others, with the lines of the meantime.
    Paused(String),
}
