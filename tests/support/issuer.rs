//! A server that issues credentials: IAM Identity Center's portal and its OIDC service, AWS Sign-In, and the STS operations that moto does
//! not refuse.

use std::io::Write as _;
use std::net::Shutdown;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::http::{Request, response, serve};

/// A code that STS takes.
pub(crate) const MFA_CODE: &str = "123456";

/// The message with which STS refuses a role.
pub(crate) const REFUSED: &str =
    "User: arn:aws:iam::123456789012:user/amy is not authorized to perform: sts:AssumeRole";

pub(crate) struct Issuer {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Issuer {
    /// Starts a server for which the access token `good` is the only valid one.
    pub(crate) fn start() -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let address = serve(move |request, mut client| {
            let body = String::from_utf8_lossy(&request.body).into_owned();
            seen.lock().unwrap().push(format!("{} {body}", request.route()));
            client.write_all(&answer(request, &body))?;
            client.shutdown(Shutdown::Both)
        });
        Self { url: format!("http://{address}"), requests }
    }

    /// The environment variables that lead to it.
    pub(crate) fn env(&self) -> Vec<(&'static str, String)> {
        [
            "AWS_ENDPOINT_URL_SSO",
            "AWS_ENDPOINT_URL_SSO_OIDC",
            "AWS_ENDPOINT_URL_SIGNIN",
            "AWS_ENDPOINT_URL_STS",
        ]
        .map(|variable| (variable, self.url.clone()))
        .into()
    }

    /// Returns the requests so far: method, path and body.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn answer(request: &Request, body: &str) -> Vec<u8> {
    let route = request.route();
    if route.contains("/federation/credentials") {
        if route.contains("role_name=Forbidden") {
            return error("403 Forbidden", "ForbiddenException", &json!({ "message": "No access" }));
        }
        if request.header("x-amz-sso_bearer_token") == "good" {
            let keys = json!({
                "accessKeyId": "ASIASSO", "secretAccessKey": "s", "sessionToken": "t", "expiration": 4_102_444_800_000_i64,
            });
            return ok(&json!({ "roleCredentials": keys }).to_string());
        }
        let message = json!({ "message": "Session token not found or invalid" });
        return error("401 Unauthorized", "UnauthorizedException", &message);
    }
    if route.contains("/token") {
        let body = json!({ "error": "invalid_grant", "error_description": "Invalid grant provided" });
        return error("400 Bad Request", "InvalidGrantException", &body);
    }
    if body.contains("Action=AssumeRole") {
        return assume_role(body);
    }
    response("404 Not Found", &[], "")
}

fn assume_role(body: &str) -> Vec<u8> {
    let xml = [("Content-Type", "text/xml")];
    if !body.contains(&format!("TokenCode={MFA_CODE}")) {
        let error = format!(
            "<Error><Type>Sender</Type><Code>AccessDenied</Code><Message>{REFUSED}</Message></Error>"
        );
        return response("403 Forbidden", &xml, &format!("<ErrorResponse>{error}</ErrorResponse>"));
    }
    let keys = "<AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
        <Expiration>2099-01-01T00:00:00Z</Expiration>";
    let result = format!("<AssumeRoleResult><Credentials>{keys}</Credentials></AssumeRoleResult>");
    response("200 OK", &xml, &format!("<AssumeRoleResponse>{result}</AssumeRoleResponse>"))
}

fn ok(body: &str) -> Vec<u8> {
    response("200 OK", &[("Content-Type", "application/json")], body)
}

fn error(status: &str, kind: &str, body: &Value) -> Vec<u8> {
    response(status, &[("Content-Type", "application/json"), ("x-amzn-ErrorType", kind)], &body.to_string())
}
