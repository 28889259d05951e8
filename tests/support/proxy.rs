//! A proxy between the binary and an emulator, which refuses what a test wants refused.

use std::collections::BTreeMap;
use std::io::Write as _;

use super::http::{Request, response, serve};

/// Returns the code and message of an error for an action of EC2, RDS or CloudWatch Logs, or `None` to pass it through.
pub(crate) type Rule = fn(action: &str) -> Option<(&'static str, &'static str)>;

/// Starts a proxy in front of `upstream` (`host:port`), if any, and returns its URL.
pub(crate) fn start(upstream: Option<String>, rule: Rule) -> String {
    let address = serve(move |request, mut client| {
        let bytes = match (rule(&action(request)), &upstream) {
            (Some((code, message)), _) => refusal(request, code, message),
            (None, Some(upstream)) => request.forward(upstream)?,
            (None, None) => Vec::new(),
        };
        client.write_all(&bytes)
    });
    format!("http://{address}")
}

/// Returns the action of a request in the query protocols or in the JSON protocols.
fn action(request: &Request) -> String {
    if let Some((_, action)) = request.header("x-amz-target").rsplit_once('.') {
        return action.to_owned();
    }
    let parameters: BTreeMap<_, _> = form_urlencoded::parse(&request.body).into_owned().collect();
    parameters.get("Action").cloned().unwrap_or_default()
}

/// Returns the error in the form of the service.
fn refusal(request: &Request, code: &str, message: &str) -> Vec<u8> {
    let error = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
    let (kind, body) = if !request.header("x-amz-target").is_empty() {
        ("application/x-amz-json-1.1", serde_json::json!({ "__type": code, "message": message }).to_string())
    } else if request.header("authorization").contains("/rds/aws4_request") {
        ("text/xml", format!("<ErrorResponse>{error}<RequestId>0</RequestId></ErrorResponse>"))
    } else {
        ("text/xml", format!("<Response><Errors>{error}</Errors><RequestID>0</RequestID></Response>"))
    };
    response("400 Bad Request", &[("Content-Type", kind)], &body)
}
