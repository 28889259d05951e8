//! The setting `notify`: where engines send the news of a fleet.

use std::fmt;
use std::str::FromStr;

use super::tags::MAX_VALUE_CHARS;

/// The prefix of a secret in the setting.
const SECRET: &str = "secret:";

/// Where engines send notices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// The ARN of a standard SNS topic.
    Topic(String),
    /// The name or the ARN of the Secrets Manager secret whose value is the URL of a webhook. The URL itself admits everyone who knows it, and
    /// everyone who may describe the fleet reads its tags.
    Webhook(String),
}

impl Destination {
    /// Returns the Region of an ARN, or `None` for a secret that is named, which is in the fleet's Region.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        let (Self::Topic(name) | Self::Webhook(name)) = self;
        name.strip_prefix("arn:")?.split(':').nth(2)
    }
}

impl FromStr for Destination {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str =
            "use the ARN of an SNS topic, or secret:NAME of the Secrets Manager secret with a webhook's URL";
        let is_url = ["http://", "https://"].iter().any(|scheme| {
            let text = text.strip_prefix(SECRET).unwrap_or(text);
            text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        });
        if is_url {
            return Err(
                "the URL of a webhook is a secret, and a setting is not; store the URL in AWS Secrets Manager and use secret:NAME",
            );
        }
        if text.len() > MAX_VALUE_CHARS {
            return Err("use up to 256 characters");
        }
        if let Some(name) = text.strip_prefix(SECRET) {
            let name = name.trim();
            let is_secret = match arn(name, "secretsmanager") {
                Some(resource) => resource.strip_prefix("secret:").is_some_and(is_secret_name),
                None => !name.contains(':') && is_secret_name(name),
            };
            return if is_secret { Ok(Self::Webhook(name.to_owned())) } else { Err(RULE) };
        }
        let topic = arn(text, "sns").ok_or(RULE)?;
        // The suffix of a FIFO topic is part of its name, and lower-case.
        if topic.strip_suffix(".fifo").is_some() {
            return Err("a FIFO topic delivers to queues only; use a standard topic");
        }
        let is_topic =
            !topic.is_empty() && topic.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        if is_topic { Ok(Self::Topic(text.to_owned())) } else { Err(RULE) }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(arn) => f.write_str(arn),
            Self::Webhook(name) => write!(f, "{SECRET}{name}"),
        }
    }
}

/// Returns the resource of a service's ARN in a Region and an account.
fn arn<'a>(text: &'a str, service: &str) -> Option<&'a str> {
    let mut parts = text.splitn(6, ':');
    let [prefix, partition, of, region, account] = [(); 5].map(|()| parts.next().unwrap_or_default());
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    let is_arn = prefix == "arn" && partition.starts_with("aws") && is_word(partition) && is_word(region);
    parts.next().filter(|_| is_arn && of == service && is_account)
}

/// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html>
fn is_secret_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_+=.@-".contains(&b))
}

/// Hides a URL behind its host in an error, because the rest of it is a secret.
#[must_use]
pub(crate) fn without_path(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}/…")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("arn:aws:sns:eu-west-1:123456789012:news", "topic")]
    #[case("arn:aws-us-gov:sns:us-gov-west-1:123456789012:News_1-a", "topic")]
    #[case("secret:slack/hatchery", "secret")]
    #[case("secret:arn:aws:secretsmanager:eu-west-1:123456789012:secret:slack/hook-AbCdEf", "secret")]
    #[case("https://hooks.slack.com/services/T0/B0/x", "Secrets Manager and use secret:NAME")]
    #[case("secret:HTTPS://hooks.slack.com/services/T0/B0/x", "Secrets Manager and use secret:NAME")]
    #[case("arn:aws:sns:eu-west-1:123456789012:news.fifo", "FIFO")]
    #[case("arn:aws:sns:eu-west-1:123456789012:", "use the ARN")]
    #[case("arn:aws:sns:eu-west-1:123456789012:a:0b1c", "use the ARN")]
    #[case("arn:aws:sqs:eu-west-1:123456789012:news", "use the ARN")]
    #[case("arn:aws:sns:eu-west-1:12345:news", "use the ARN")]
    #[case("secret:", "use the ARN")]
    #[case("secret:a b", "use the ARN")]
    #[case("secret:arn:aws:sns:eu-west-1:123456789012:news", "use the ARN")]
    #[case("news", "use the ARN")]
    fn destination_is_a_topic_or_a_secret(#[case] text: &str, #[case] expected: &str) {
        match text.parse::<Destination>() {
            Ok(destination) => {
                let kind = if matches!(destination, Destination::Topic(_)) { "topic" } else { "secret" };
                assert_eq!((destination.to_string().as_str(), kind), (text, expected));
            }
            Err(rule) => assert!(rule.contains(expected), "{text}: {rule}"),
        }
    }

    #[test]
    fn arn_names_its_region() {
        let region = |text: &str| text.parse::<Destination>().unwrap().region().map(str::to_owned);
        assert_eq!(region("arn:aws:sns:eu-west-1:123456789012:news"), Some("eu-west-1".to_owned()));
        assert_eq!(region("secret:slack"), None);
    }

    #[rstest]
    #[case("https://hooks.slack.com/services/T0/x", "https://hooks.slack.com/…")]
    #[case("https://user:pass@host?token=x", "https://host/…")]
    #[case("news", "news")]
    fn error_hides_the_path(#[case] text: &str, #[case] shown: &str) {
        assert_eq!(without_path(text), shown);
    }
}
