//! What presenter mode says about one environment: neither costs nor addresses.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::domain::Address;
use crate::domain::environment::EnvironmentState;
use crate::domain::format::short_digest;
use crate::domain::text::{Untrusted, sanitize};
use crate::tui::app::model::Model;
use crate::tui::app::rows::{EnvironmentRow, TimeLeft};
use crate::tui::format;

impl Model {
    /// Returns the card of the shown environment; `None` if there is none.
    pub(crate) fn card(&self) -> Option<Card<'_>> {
        let row = self.current()?;
        let digests = row.details.instance.as_ref().map(|instance| &instance.digests);
        let services = row.details.record.services.iter().map(|(name, tag)| ServiceUnderTest {
            name: name.to_string(),
            tag: tag.to_string(),
            digest: digests.and_then(|digests| digests.get(name)).map(short_digest),
        });
        Some(Card {
            row,
            left: self.left_on_card(row),
            services: services.collect(),
            note: row.details.record.note.as_ref().map(|note| without_addresses(&note.to_string())),
            link: Link::new(row),
        })
    }

    fn left_on_card(&self, row: &EnvironmentRow) -> String {
        let until = row
            .expires_at
            .map(|at| format!("until {}", format::short_date_time(at, self.aws_now(), self.styles.zone)));
        let starts = matches!(row.state, EnvironmentState::Launching | EnvironmentState::Starting);
        let left = match &row.left {
            Some(TimeLeft::For(left)) if starts => Some(format!("ready in {left}")),
            Some(TimeLeft::For(left)) => Some(left.clone()),
            Some(TimeLeft::Overdue) => Some("it takes longer than usual".to_owned()),
            Some(TimeLeft::Expired) | None => None,
        };
        let parts: Vec<_> = left.into_iter().chain(until).collect();
        if parts.is_empty() { "unknown".to_owned() } else { parts.join(", ") }
    }
}

/// What presenter mode says about one environment.
#[derive(Debug)]
pub(crate) struct Card<'a> {
    pub(crate) row: &'a EnvironmentRow,
    pub(crate) left: String,
    pub(crate) services: Vec<ServiceUnderTest>,
    pub(crate) note: Option<String>,
    pub(crate) link: Link,
}

/// A service that differs from the image.
#[derive(Debug)]
pub(crate) struct ServiceUnderTest {
    pub(crate) name: String,
    pub(crate) tag: String,
    /// The image that runs, if the instance has reported it.
    pub(crate) digest: Option<String>,
}

/// Where the application is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// It has no URL before its instance runs.
    None,
    /// Its URL has an address in it, or needs a port forward.
    InDashboard,
    Url(String),
}

impl Link {
    fn new(row: &EnvironmentRow) -> Self {
        match &row.addresses[0].1 {
            None => Self::None,
            Some(Address::Url(url)) if !names_instance(url, row) => Self::Url(sanitize(url)),
            Some(_) => Self::InDashboard,
        }
    }
}

/// Whether a URL has an IP address in it. Names such as `ip-10-20-4-12.example.org` have one too.
fn names_instance(url: &str, row: &EnvironmentRow) -> bool {
    let instance = row.details.instance.as_ref();
    let own = instance.into_iter().flat_map(|instance| [&instance.public_ip, &instance.private_ip]).flatten();
    let mut dashed = own.map(|ip: &Untrusted| ip.raw().replace(['.', ':'], "-")).filter(|ip| !ip.is_empty());
    dashed.any(|ip| url.contains(&ip)) || without_addresses(url) != url
}

/// Returns the text with `(address)` for each IP address.
fn without_addresses(text: &str) -> String {
    let v4 = replace_runs(text, |c| c.is_ascii_digit() || c == '.', |run| run.parse::<Ipv4Addr>().is_ok());
    // `d::` of `std::vec` is an address too.
    let is_v6 = |run: &str| run.parse::<Ipv6Addr>().is_ok() && run.contains(|c: char| c.is_ascii_digit());
    replace_runs(&v4, |c| c.is_ascii_hexdigit() || c == ':', is_v6)
}

/// Replaces those runs of the given characters that are an address, without dots around it.
fn replace_runs(text: &str, is_part: impl Fn(char) -> bool, is_address: impl Fn(&str) -> bool) -> String {
    let mut replaced = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| is_part(c) != is_part(first)).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        let core = run.trim_matches('.');
        if is_part(first) && is_address(core) {
            replaced.push_str(&run.replacen(core, "(address)", 1));
        } else {
            replaced.push_str(run);
        }
        rest = after;
    }
    replaced
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("see 10.20.4.99:8080.", "see (address):8080.")]
    #[case("10.0.0.1, 10.0.0.2", "(address), (address)")]
    #[case("http://[fd00::12]:80/", "http://[(address)]:80/")]
    #[case("at 2001:db8::1", "at (address)")]
    #[case("1.2.3 and 1.2.3.4.5 and 300.1.1.1", "1.2.3 and 1.2.3.4.5 and 300.1.1.1")]
    #[case("std::vec at 12:30:05, fé: ok", "std::vec at 12:30:05, fé: ok")]
    #[case("", "")]
    fn addresses_in_a_text_are_replaced(#[case] text: &str, #[case] replaced: &str) {
        assert_eq!(without_addresses(text), replaced);
    }
}
