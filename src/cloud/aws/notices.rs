//! Notices: the claims on them in CloudWatch Logs, topics of SNS, and webhooks whose URL is in Secrets Manager.

use std::net::IpAddr;
use std::time::Duration;

use aws_sdk_cloudwatchlogs::config::retry::RetryConfig;
use aws_sdk_sns::types::MessageAttributeValue;
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use chrono::DateTime;
use serde::Deserialize;
use url::{Host, Url};

use super::AwsCloud;
use super::call::{Access, Bucket, call};
use super::{foreign, tls};
use crate::cloud::{Observed, Result};
use crate::domain::notice::Claim;
use crate::domain::{CloudError, Destination, ErrorClass, FleetName, Message};

/// The retention of the claims' log group in days. It has no events, only the names of streams.
const RETENTION: i32 = 1;

/// How long a webhook may take.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);

const POST: &str = "PostWebhook";
const READ_SECRET: &str = "GetSecretValue";

impl AwsCloud {
    pub(super) async fn claim_notice(&self, fleet: &FleetName, name: &str) -> Result<()> {
        let group = fleet.notices_group();
        match self.create_stream_once(&group, name).await {
            Err(error) if error.is(ErrorClass::NotFound) => {
                self.create_group(fleet, &group, RETENTION).await?;
                self.create_stream_once(&group, name).await
            }
            result => result,
        }
    }

    /// Creates a log stream, whose name is unique in its group. The SDK does not repeat the request: after a lost response, its repetition would
    /// find the stream and take it for another engine's.
    /// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogStream.html>
    pub(super) async fn create_stream_once(&self, group: &str, name: &str) -> Result<()> {
        let request = self.logs.create_log_stream().log_group_name(group).log_stream_name(name);
        let once = aws_sdk_cloudwatchlogs::config::Builder::new().retry_config(RetryConfig::disabled());
        let request = request.customize().config_override(once).send();
        call(&self.limits, Bucket::Other, Access::Write, "CreateLogStream", request).await.map(|_| ())
    }

    pub(super) async fn notice_claims(
        &self,
        fleet: &FleetName,
        notice: &str,
    ) -> Result<Observed<Vec<Claim>>> {
        let (group, prefix) = (fleet.notices_group(), format!("{notice}/"));
        let (mut claims, mut token) = (Vec::new(), None);
        loop {
            let request = self.logs.describe_log_streams().log_group_name(&group);
            let request = request.log_stream_name_prefix(&prefix).set_next_token(token).send();
            let page = call(&self.limits, Bucket::Log, Access::Read, "DescribeLogStreams", request).await?;
            claims.extend(page.value.log_streams().iter().filter_map(|stream| {
                let at = DateTime::from_timestamp_millis(stream.creation_time()?)?;
                Some(Claim { name: stream.log_stream_name()?.into(), at })
            }));
            token = page.value.next_token().map(str::to_owned);
            if token.is_none() {
                return Ok(Observed { value: claims, as_of: page.as_of });
            }
        }
    }

    pub(super) async fn send_notice(&self, destination: &Destination, message: &Message) -> Result<()> {
        match destination {
            Destination::Topic(arn) => self.publish(destination, arn, message).await,
            Destination::Webhook(secret) => {
                let url = self.webhook(destination, secret).await?;
                self.post(&url, message).await
            }
        }
    }

    /// A topic may be in another Region, where its requests go.
    async fn publish(&self, destination: &Destination, topic: &str, message: &Message) -> Result<()> {
        let attribute = |value: &str| {
            let built = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            built.map_err(|error| invalid("Publish", "BadRequest", &error.to_string()))
        };
        let request = self.sns.publish().topic_arn(topic).subject(message.subject()).message(message.body());
        let request = request
            .message_attributes("event", attribute(message.event)?)
            .message_attributes("fleet", attribute(&message.fleet)?)
            .message_attributes("id", attribute(&message.id)?);
        let mut once = aws_sdk_sns::config::Builder::new().retry_config(RetryConfig::disabled());
        if let Some(region) = destination.region() {
            once = once.region(aws_sdk_sns::config::Region::new(region.to_owned()));
        }
        let request = request.customize().config_override(once).send();
        call(&self.limits, Bucket::Other, Access::Write, "Publish", request).await.map(|_| ())
    }

    /// Reads the URL of a webhook.
    async fn webhook(&self, destination: &Destination, secret: &str) -> Result<Url> {
        let mut region = aws_sdk_secretsmanager::config::Builder::new();
        if let Some(name) = destination.region() {
            region = region.region(aws_sdk_secretsmanager::config::Region::new(name.to_owned()));
        }
        let request = self.secrets.get_secret_value().secret_id(secret);
        let request = request.customize().config_override(region).send();
        let found = call(&self.limits, Bucket::Other, Access::Read, READ_SECRET, request).await?;
        let value = found.value.secret_string().unwrap_or_default();
        parse_url(value)
            .map_err(|why| invalid(READ_SECRET, "InvalidWebhook", &format!("secret {secret} {why}")))
    }

    async fn post(&self, url: &Url, message: &Message) -> Result<()> {
        let host = url.host_str().unwrap_or_default();
        let connector = match &self.webhooks {
            Some(connector) => connector.clone(),
            None => tls::connector(None).map_err(|error| invalid(POST, "BadRequest", &error))?,
        };
        let body = serde_json::json!({ "text": message.slack_text() }).to_string();
        let request = request(url, body).map_err(|error| invalid(POST, "BadRequest", &error))?;
        let response = match tokio::time::timeout(WEBHOOK_TIMEOUT, connector.call(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(not_connected(host, &error)),
            Err(_) => {
                let message = format!("{host} has not answered within {} s", WEBHOOK_TIMEOUT.as_secs());
                return Err(CloudError::new(ErrorClass::Unknown, POST, "Timeout", message));
            }
        };
        let status = response.status().as_u16();
        let Some(class) = class_of(status) else { return Ok(()) };
        let message = format!("{host} refuses the notice");
        Err(CloudError::new(class, POST, format!("HTTP {status}"), message))
    }
}

fn invalid(operation: &'static str, code: &str, message: &str) -> CloudError {
    CloudError::new(ErrorClass::Invalid, operation, code, message)
}

fn request(url: &Url, body: String) -> std::result::Result<HttpRequest, String> {
    let mut request = HttpRequest::new(SdkBody::from(body));
    // The error of an invalid URI contains it.
    request.set_uri(url.as_str()).map_err(|_| "the URL of the webhook cannot be used".to_owned())?;
    request.set_method("POST").map_err(|error| error.to_string())?;
    request.headers_mut().insert("content-type", "application/json");
    Ok(request)
}

/// Classifies the answer of a webhook; `None` if it has taken the notice.
fn class_of(status: u16) -> Option<ErrorClass> {
    match status {
        200..300 => None,
        404 | 410 => Some(ErrorClass::NotFound),
        429 => Some(ErrorClass::Throttled),
        // What a server failed at may have happened.
        500.. => Some(ErrorClass::Unknown),
        // A redirection is not followed, because it could lead the notice elsewhere.
        _ => Some(ErrorClass::Invalid),
    }
}

/// Describes a failed connection without the URL.
fn not_connected(host: &str, error: &ConnectorError) -> CloudError {
    if let Some((code, message)) = foreign::connection(error) {
        return CloudError::new(
            ErrorClass::Transient,
            POST,
            code,
            message.replace("to AWS", &format!("to {host}")),
        );
    }
    let causes = foreign::causes(error);
    let is_unsent = ["client error (Connect)", "tcp connect", "dns error", "error trying to connect"];
    if is_unsent.iter().any(|text| causes.contains(text)) {
        return CloudError::new(
            ErrorClass::Transient,
            POST,
            "Unreachable",
            format!("{host} cannot be reached"),
        );
    }
    let message = format!("the connection to {host} was closed before the response");
    CloudError::new(ErrorClass::Unknown, POST, "NoResponse", message)
}

/// A secret with fields, as Secrets Manager's console makes them.
#[derive(Deserialize)]
struct Fields {
    url: String,
}

/// Parses the value of a secret: the URL of a webhook, or JSON with the field `url`.
fn parse_url(secret: &str) -> std::result::Result<Url, &'static str> {
    const RULE: &str = "must be the https URL of a webhook, or JSON with the field url";
    let secret = secret.trim();
    let text = if secret.starts_with('{') {
        serde_json::from_str::<Fields>(secret).map_err(|_| RULE)?.url
    } else {
        secret.to_owned()
    };
    let url = Url::parse(text.trim()).map_err(|_| RULE)?;
    let is_loopback = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => return Err(RULE),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must be a URL without a user and a password");
    }
    if url.scheme() == "https" || (url.scheme() == "http" && is_loopback) { Ok(url) } else { Err(RULE) }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("https://hooks.slack.com/services/T0/B0/x", true)]
    #[case(" {\"url\": \"https://hooks.slack.com/services/T0/B0/x\", \"team\": 7}\n", true)]
    #[case("http://127.0.0.1:8080/hook", true)]
    #[case("http://[::1]:8080/hook", true)]
    #[case("http://localhost/hook", true)]
    #[case("http://hooks.slack.com/services/T0/B0/x", false)]
    #[case("http://127.0.0.1.example/hook", false)]
    #[case("https://user:pass@host/hook", false)]
    #[case("file:///etc/passwd", false)]
    #[case("{\"link\": \"https://host/\"}", false)]
    #[case("{\"url\": 7}", false)]
    #[case("hooks.slack.com", false)]
    #[case("", false)]
    fn secret_is_an_https_url(#[case] secret: &str, #[case] is_valid: bool) {
        assert_eq!(parse_url(secret).is_ok(), is_valid);
    }

    #[test]
    fn status_of_a_webhook_is_classified() {
        let classes = [200, 204, 301, 403, 404, 410, 429, 500, 503].map(class_of);
        let [invalid, gone, unknown] =
            [ErrorClass::Invalid, ErrorClass::NotFound, ErrorClass::Unknown].map(Some);
        let expected =
            [None, None, invalid, invalid, gone, gone, Some(ErrorClass::Throttled), unknown, unknown];
        assert_eq!(classes, expected);
    }
}
