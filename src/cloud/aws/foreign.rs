//! Answers and refusals that do not come from AWS: a page to log in to a network, an error page of a proxy.

use std::error::Error;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::tls;
use crate::domain::text;

/// How much of a page is read for its title.
const MAX_PAGE: usize = 16 * 1024;
const MAX_TITLE: usize = 60;

/// A code and a message.
type Problem = (&'static str, String);

/// Says what an answer is that AWS did not give. `None` if it may be AWS's.
pub(super) fn answer(response: &HttpResponse) -> Option<Problem> {
    let status = response.status().as_u16();
    let header = |name| response.headers().get(name).unwrap_or_default();
    let body = response.body().bytes().unwrap_or_default();
    let page = String::from_utf8_lossy(&body[..body.len().min(MAX_PAGE)]);
    if is_html(header("content-type"), &page) {
        let title = title(&page).map(|title| format!(", {title:?}")).unwrap_or_default();
        return Some(("WebPage", format!("the answer is a web page, not AWS's (HTTP {status}{title})")));
    }
    match status {
        300..400 => {
            let host = host(header("location"));
            Some(("Redirected", format!("the answer leads to {host}, not to AWS (HTTP {status})")))
        }
        407 => Some(("ProxyLogin", "the proxy wants a login (HTTP 407)".to_owned())),
        511 => Some(("NetworkLogin", "the network wants a login (HTTP 511)".to_owned())),
        200..300 if response.body().bytes().is_some_and(<[u8]>::is_empty) => {
            Some(("EmptyAnswer", format!("the answer is empty (HTTP {status})")))
        }
        _ => None,
    }
}

/// Why there is no connection to AWS, if it is a proxy or a certificate.
pub(super) fn connection(error: &(dyn Error + 'static)) -> Option<Problem> {
    if let Some((code, message)) = tls::problem(error) {
        return Some((code, message.to_owned()));
    }
    let mut next = Some(error);
    while let Some(error) = next {
        // The error of the tunnel through a proxy has no public type.
        if let Some(reason) = error.to_string().strip_prefix("tunnel error: ") {
            return Some(match reason {
                "proxy authorization required" => {
                    ("ProxyLogin", "the proxy wants a login (HTTP 407)".to_owned())
                }
                "unsuccessful" => ("ProxyRefused", "the proxy refuses the connection to AWS".to_owned()),
                _ => ("ProxyFailed", format!("the proxy cannot be used: {}", text::sanitize(reason))),
            });
        }
        next = error.source();
    }
    None
}

/// The text of an error with its causes.
pub(super) fn causes(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    text::sanitize(&causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
}

fn is_html(content_type: &str, page: &str) -> bool {
    let start: String = page.trim_start().chars().take(15).collect::<String>().to_ascii_lowercase();
    ["text/html", "application/xhtml"].iter().any(|kind| content_type.to_ascii_lowercase().starts_with(kind))
        || ["<!doctype html", "<html"].iter().any(|tag| start.starts_with(tag))
}

fn title(page: &str) -> Option<String> {
    // Only letters of ASCII change, so that both have the same positions.
    let lower = page.to_ascii_lowercase();
    let start = lower.find("<title")?;
    let start = start + lower[start..].find('>')? + 1;
    let end = start + lower[start..].find("</title")?;
    let words: Vec<_> = page[start..end].split_whitespace().collect();
    let title = text::sanitize(&words.join(" "));
    let is_long = title.chars().count() > MAX_TITLE;
    let kept: String = title.chars().take(MAX_TITLE).chain(is_long.then_some('…')).collect();
    (!kept.is_empty()).then_some(kept)
}

fn host(location: &str) -> String {
    let host = url::Url::parse(location).ok().and_then(|url| url.host_str().map(text::sanitize));
    host.unwrap_or_else(|| "another page".to_owned())
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::body::SdkBody;
    use rstest::rstest;

    use super::*;

    fn response(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> HttpResponse {
        let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
        for (name, value) in headers {
            response.headers_mut().insert(*name, *value);
        }
        response
    }

    #[rstest]
    #[case(
        200,
        "text/html; charset=utf-8",
        "<title>\n Hotel\u{1b}[31m Wi-Fi</title>",
        "(HTTP 200, \"Hotel Wi-Fi\")"
    )]
    #[case(403, "", "\n<!DOCTYPE HTML><TITLE lang=en>Blocked</TITLE>", "(HTTP 403, \"Blocked\")")]
    #[case(502, "text/html", "", "a web page, not AWS's (HTTP 502)")]
    #[case(407, "text/plain", "no", "the proxy wants a login")]
    #[case(511, "text/plain", "no", "the network wants a login")]
    #[case(200, "text/xml", "", "the answer is empty")]
    fn foreign_answers_are_described(
        #[case] status: u16,
        #[case] kind: &'static str,
        #[case] body: &str,
        #[case] part: &str,
    ) {
        let (_, message) = answer(&response(status, &[("content-type", kind)], body)).unwrap();
        assert!(message.contains(part), "{message}");
    }

    #[test]
    fn redirect_names_its_host() {
        let elsewhere = response(302, &[("location", "http://login.hotel.example/?back=x")], "");
        assert!(
            answer(&elsewhere).unwrap().1.contains("leads to login.hotel.example, not to AWS (HTTP 302)")
        );
        assert!(answer(&response(307, &[], "")).unwrap().1.contains("leads to another page"));
    }

    #[rstest]
    #[case(200, "<DescribeVpcsResponse/>")]
    #[case(400, "<Response><Errors/></Response>")]
    #[case(503, "")]
    #[case(400, "{\"__type\":\"ThrottlingException\"}")]
    fn answers_of_aws_are_not_foreign(#[case] status: u16, #[case] body: &str) {
        assert_eq!(answer(&response(status, &[("content-type", "text/xml")], body)), None);
    }

    #[test]
    fn long_title_is_cut() {
        let title = title(&format!("<title>{}</title>", "é".repeat(100))).unwrap();
        assert_eq!(title.chars().count(), MAX_TITLE + 1);
    }
}
