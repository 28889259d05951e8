//! Notices: the events that a fleet sends to the destination of its setting `notify`. Each is due in every engine's plan and is sent once, by the
//! engine that claims it.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::environment::{Environment, EnvironmentState};
use super::ids::{EnvironmentId, RecordId};
use super::instance::Phase;
use super::policy::Policy;
use super::record::Record;
use super::text::{Untrusted, sanitize};
use super::world::World;

mod claims;
mod sent;

pub use claims::{Claim, NextClaim, TAKE_OVER_AFTER, claim_name, failed_name, sent_name};
pub(in crate::domain) use sent::parse_notified;
pub use sent::{NoticeKind, Notified, PoolEmpty};

/// How long before its expiry an environment is announced to expire.
pub const FIRST_WARNING: Duration = Duration::from_mins(30);
pub const LAST_WARNING: Duration = Duration::from_mins(5);

/// How long an event is news. Without an end, engines would send every past event once `notify` is set.
const NEWS_FOR: Duration = Duration::from_hours(1);

/// How long the pool must be empty. By then all engines see the same mark, although reads lag, and a database that was taken and given back is
/// not announced.
const POOL_SETTLES: Duration = Duration::from_mins(2);

/// The maximum lengths of a notice's title and text in characters.
const MAX_TITLE_CHARS: usize = 120;
const MAX_TEXT_CHARS: usize = 600;

/// A warning before the expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Warning {
    First,
    Last,
}

impl Warning {
    /// Returns the warning that is due when this much time is left.
    #[must_use]
    pub fn due(left: Duration) -> Option<Self> {
        match left {
            _ if left <= LAST_WARNING => Some(Self::Last),
            _ if left <= FIRST_WARNING => Some(Self::First),
            _ => None,
        }
    }
}

/// Whether an environment in this state expires at its expiry: it has not done so yet, and does not end before.
#[must_use]
pub fn can_expire(state: EnvironmentState) -> bool {
    !matches!(state, EnvironmentState::Expired | EnvironmentState::Reaping | EnvironmentState::Terminating)
}

/// Returns what to say of an expiry.
#[must_use]
pub fn expiry_title(name: &impl fmt::Display, left: Duration) -> String {
    let minutes = left.as_secs().div_ceil(60);
    let plural = if minutes == 1 { "" } else { "s" };
    format!("{name} expires in {minutes} minute{plural}")
}

/// Returns what to say of an empty pool.
#[must_use]
pub fn pool_title(fleet: &str) -> String {
    format!("the pool of fleet {fleet} is empty")
}

pub(crate) const POOL_TEXT: &str = "a launch waits until a database is restored";

/// One event to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub kind: NoticeKind,
    /// The environment and its record; `None` for the pool.
    pub of: Option<(RecordId, EnvironmentId)>,
    /// The expiry, or the time since which the pool is empty; `None` for an event that happens once to a record.
    pub episode: Option<DateTime<Utc>>,
    /// What happened, sanitised.
    pub title: String,
    /// Details, sanitised.
    pub text: String,
}

impl Notice {
    /// Returns the name that identifies the event in the fleet, such as `lt-1/expires-5m/20260105T031000Z`.
    #[must_use]
    pub fn name(&self) -> String {
        let of = self.of.as_ref().map_or("pool", |(record, _)| record.as_str());
        format!("{of}/{}", self.event())
    }

    fn event(&self) -> String {
        match self.episode {
            Some(at) => format!("{}/{}", self.kind, at.format("%Y%m%dT%H%M%SZ")),
            None => self.kind.to_string(),
        }
    }

    /// Returns the value of the tag that remembers the notice of an environment, with its other notices. Engines that write it at the same time
    /// overwrite each other, which costs a read of the claims.
    #[must_use]
    pub fn note(&self, notified: &Notified) -> String {
        let others = notified.iter().map(Untrusted::raw).filter(|name| !self.kind.is_of(name));
        others.map(str::to_owned).chain([self.event()]).collect::<Vec<_>>().join(" ")
    }

    /// Whether a record that was read again still has the event, and no memory of the notice.
    #[must_use]
    pub fn is_due(&self, record: &Record, now: DateTime<Utc>) -> bool {
        let holds = match self.kind {
            NoticeKind::Ready => record.failure.is_none(),
            NoticeKind::Failed => record.failure.is_some(),
            NoticeKind::FirstWarning | NoticeKind::LastWarning => {
                record.expires_at == self.episode && self.episode.is_some_and(|at| now < at)
            }
            NoticeKind::PoolEmpty => false,
        };
        holds && record.terminate.is_none() && !record.notified.contains(&Untrusted::new(self.event()))
    }
}

/// Returns the notices of environments that are due and not remembered, by number.
#[must_use]
pub(crate) fn of_environments(
    environments: &[Environment<'_>],
    policy: &Policy,
    now: DateTime<Utc>,
) -> Vec<Notice> {
    let environments = environments.iter().filter(|environment| environment.record.is_environment());
    let all = environments.flat_map(|environment| {
        let done = [ready(environment, now), failed(environment, now), expiry(environment, policy, now)];
        done.into_iter().flatten().filter(|notice| notice.is_due(environment.record, now))
    });
    all.collect()
}

/// Returns the notice of an empty pool, if the fleet's mark of it is old enough and it is not remembered.
#[must_use]
pub(crate) fn of_pool(world: &World, now: DateTime<Utc>) -> Option<Notice> {
    let fleet = &world.fleet;
    let since = fleet.pool_empty.filter(|empty| !empty.is_told)?.since;
    let (kind, title) = (NoticeKind::PoolEmpty, pool_title(fleet.name.as_str()));
    let notice = Notice { kind, of: None, episode: Some(since), title, text: POOL_TEXT.to_owned() };
    (since + POOL_SETTLES <= now && is_news(since, now)).then_some(notice)
}

fn is_news(at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now < at + NEWS_FOR
}

fn notice(
    environment: &Environment<'_>,
    kind: NoticeKind,
    episode: Option<DateTime<Utc>>,
    title: &str,
    details: &str,
) -> Notice {
    let record = environment.record;
    let id = &record.environment;
    let text = format!("{id} of {} in fleet {}{details}", record.owner, id.fleet);
    Notice {
        kind,
        of: Some((record.id.clone(), id.clone())),
        episode,
        title: shorten(title, MAX_TITLE_CHARS),
        text: shorten(&text, MAX_TEXT_CHARS),
    }
}

fn ready(environment: &Environment<'_>, now: DateTime<Utc>) -> Option<Notice> {
    let instance = environment.instance.filter(|_| environment.state == EnvironmentState::Ready)?;
    let took = instance.timeline.get(&Phase::Ready).copied().unwrap_or_default();
    if !is_news(instance.launched_at + Duration::from_secs(took), now) {
        return None;
    }
    let until = environment.record.expires_at.map(|at| format!(", until {}", at.format("%F %R UTC")));
    let title = format!("{} is ready", environment.record.name);
    Some(notice(environment, NoticeKind::Ready, None, &title, &until.unwrap_or_default()))
}

/// An environment is announced as failed once an engine has given it up. Before that it may recover.
fn failed(environment: &Environment<'_>, now: DateTime<Utc>) -> Option<Notice> {
    let failure = environment.record.failure.as_ref().filter(|failure| is_news(failure.at, now))?;
    let title = format!("{} failed", environment.record.name);
    Some(notice(environment, NoticeKind::Failed, None, &title, &format!(": {}", failure.reason)))
}

fn expiry(environment: &Environment<'_>, policy: &Policy, now: DateTime<Utc>) -> Option<Notice> {
    let record = environment.record;
    let expires_at = record.expires_at.filter(|at| now < *at && can_expire(environment.state))?;
    let left = (expires_at - now).to_std().ok()?;
    let warning = Warning::due(left)?;
    // Its user has just asked for a lifetime as short as that.
    let lifetime = (expires_at - record.created_at).to_std().unwrap_or_default();
    if Warning::due(lifetime) >= Some(warning) {
        return None;
    }
    let kind = match warning {
        Warning::First => NoticeKind::FirstWarning,
        Warning::Last => NoticeKind::LastWarning,
    };
    let id = &record.environment;
    let hint = if expires_at < record.created_at + policy.max_lifetime {
        format!("extend it with: hatchery extend {id} --by 2h")
    } else {
        "it cannot be extended, because it has the fleet's max-lifetime".to_owned()
    };
    let details = format!(" ends at {}; {hint}", expires_at.format("%F %R UTC"));
    Some(notice(environment, kind, Some(expires_at), &expiry_title(&record.name, left), &details))
}

/// Sanitises and shortens a text from outside.
fn shorten(text: &str, max_chars: usize) -> String {
    let text = sanitize(text);
    if text.chars().count() <= max_chars {
        return text;
    }
    text.chars().take(max_chars - 1).chain(['…']).collect()
}

/// A notice as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The name of the event in the fleet, by which a receiver recognises a repetition.
    pub id: String,
    /// The word of its kind.
    pub event: &'static str,
    pub fleet: String,
    pub title: String,
    pub text: String,
}

impl Message {
    /// Returns the subject of an SNS message: printable ASCII, less than 100 characters.
    /// <https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>
    #[must_use]
    pub fn subject(&self) -> String {
        let ascii = |c: char| if c.is_ascii() && !c.is_ascii_control() { c } else { '?' };
        format!("hatchery: {}", self.title).chars().map(ascii).take(99).collect()
    }

    #[must_use]
    pub fn body(&self) -> String {
        format!("{}\n{}", self.title, self.text)
    }

    /// Returns the text for Slack, which takes these characters for markup.
    /// <https://docs.slack.dev/messaging/formatting-message-text/#escaping>
    #[must_use]
    pub fn slack_text(&self) -> String {
        self.body().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::tags::{Tags, key};

    #[test]
    fn message_has_the_characters_of_its_receivers() {
        let (title, text) = (format!("<!channel> & größer{}", "x".repeat(200)), "a > b".to_owned());
        let message = Message { id: String::new(), event: "ready", fleet: "dev".to_owned(), title, text };
        let subject = message.subject();
        assert!(subject.starts_with("hatchery: <!channel> & gr??er") && subject.len() == 99, "{subject}");
        let slack = message.slack_text();
        assert!(
            slack.starts_with("&lt;!channel&gt; &amp; größer") && slack.ends_with("\na &gt; b"),
            "{slack}"
        );
    }

    #[test]
    fn marks_round_trip_through_their_tags() {
        let at = DateTime::from_timestamp(1_772_442_000, 0).unwrap();
        for is_told in [false, true] {
            let mark = PoolEmpty { since: at, is_told };
            assert_eq!(
                PoolEmpty::parse(&Tags::from([(key::POOL_EMPTY.to_owned(), mark.to_tag())])),
                Some(mark)
            );
        }
        let notice = |kind, episode| {
            let (of, title, text) = Default::default();
            Notice { kind, of, episode, title, text }
        };
        let parse = |value: &str| parse_notified(&Tags::from([(key::NOTIFIED.to_owned(), value.to_owned())]));
        let first =
            notice(NoticeKind::FirstWarning, Some(at)).note(&parse("expires-30m/20260101T000000Z odd ready"));
        assert_eq!(first, "ready expires-30m/20260302T090000Z");
        assert_eq!(
            notice(NoticeKind::Failed, None).note(&parse(&first)),
            "expires-30m/20260302T090000Z ready failed"
        );
    }

    #[test]
    fn warning_is_due_by_the_time_left() {
        let due = |minutes| Warning::due(Duration::from_mins(minutes));
        assert_eq!(
            [31, 30, 6, 5, 0].map(due),
            [None, Some(Warning::First), Some(Warning::First), Some(Warning::Last), Some(Warning::Last)]
        );
    }
}
