//! A clock that is wrong is called that, by the time of AWS's answer.

use std::io::Write as _;
use std::net::Shutdown;
use std::time::SystemTime;

use chrono::{DateTime, TimeDelta, Utc};
use rstest::rstest;

use crate::support::binary::{Run, command_through};
use crate::support::http::{response, serve};
use crate::support::moto::Moto;

/// Starts a server that refuses everything, with a clock that is ahead by this much; `None` if it tells no time.
fn refusing(code: &'static str, ahead: Option<TimeDelta>) -> String {
    let address = serve(move |request, mut client| {
        let error = format!("<Error><Code>{code}</Code><Message>Signature expired</Message></Error>");
        let body = if request.header("authorization").contains("/ec2/aws4_request") {
            format!("<Response><Errors>{error}</Errors><RequestID>0</RequestID></Response>")
        } else {
            format!("<ErrorResponse>{error}<RequestId>0</RequestId></ErrorResponse>")
        };
        let date = ahead.map(|ahead| DateTime::<Utc>::from(SystemTime::now()) + ahead);
        let date = date.map(|date| date.format("%a, %d %b %Y %H:%M:%S GMT").to_string());
        let mut headers = vec![("Content-Type", "text/xml")];
        headers.extend(date.as_deref().map(|date| ("Date", date)));
        client.write_all(&response("400 Bad Request", &headers, &body))?;
        client.shutdown(Shutdown::Both)
    });
    format!("http://{address}")
}

/// Runs the binary against a server that refuses everything.
fn run(code: &'static str, ahead: Option<TimeDelta>, arguments: &[&str]) -> Run {
    let moto = Moto::start();
    command_through(&moto, &refusing(code, ahead)).args(arguments).output().unwrap().into()
}

const ROLE: &str = "\
[profile dev]
region = eu-west-1
role_arn = arn:aws:iam::123456789012:role/dev
source_profile = base

[profile base]
aws_access_key_id = AKIABASE
aws_secret_access_key = not-a-secret
";

/// Runs the binary with a profile whose role STS refuses. No request but that reaches a server.
fn run_with_role(code: &'static str, ahead: Option<TimeDelta>, arguments: &[&str]) -> Run {
    let moto = Moto::start();
    let config = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(config.path(), ROLE).unwrap();
    let mut command = command_through(&moto, &moto.url());
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    command.env("AWS_CONFIG_FILE", config.path()).env("AWS_ENDPOINT_URL_STS", refusing(code, ahead));
    command.args(arguments).args(["--profile", "dev"]).output().unwrap().into()
}

#[rstest]
#[case("RequestExpired", 120, "2h behind AWS's")]
#[case("RequestTimeTooSkewed", -20, "20m ahead of AWS's")]
#[case("SignatureDoesNotMatch", 16, "16m behind AWS's")]
#[case("InvalidSignatureException", 16, "16m behind AWS's")]
#[case("AuthFailure", -2_880, "2d ahead of AWS's")]
fn refusal_names_the_clock(#[case] code: &'static str, #[case] minutes: i64, #[case] part: &str) {
    run(code, Some(TimeDelta::minutes(minutes)), &["ls"])
        .fails(4, &["the clock of this computer", part, code, "time server"]);
}

#[test]
fn clock_is_not_blamed_without_reason() {
    run("AuthFailure", Some(TimeDelta::minutes(1)), &["ls"]).fails(4, &["check the credentials"]);
    run("UnauthorizedOperation", Some(TimeDelta::hours(2)), &["ls"]).fails(4, &["permission"]);
    run("RequestExpired", None, &["ls"]).fails(4, &["check the clock of this computer"]);
}

#[test]
fn doctor_checks_the_clock_of_a_refusal() {
    let document = run("RequestExpired", Some(TimeDelta::hours(2)), &["doctor", "--json"]).json();
    let findings = document["findings"].as_array().unwrap();
    let clock = findings.iter().find(|finding| finding["check"] == "clock").unwrap();
    assert_eq!(clock["level"], "error");
    assert_eq!(clock["message"], "the clock of this computer is 2h behind AWS's");
    let credentials = findings.iter().find(|finding| finding["check"] == "credentials").unwrap();
    assert!(credentials["message"].as_str().unwrap().contains("ClockSkew"), "{credentials}");
}

/// The calls of the engine are never made here, only the one for their credentials.
#[rstest]
#[case("SignatureDoesNotMatch", 120, "2h behind AWS's")]
#[case("RequestExpired", -20, "20m ahead of AWS's")]
#[case("InvalidSignatureException", 16, "16m behind AWS's")]
fn refusal_of_a_role_names_the_clock(#[case] code: &'static str, #[case] minutes: i64, #[case] part: &str) {
    let run = run_with_role(code, Some(TimeDelta::minutes(minutes)), &["ls"]);
    run.fails(
        4,
        &["cannot assume the role", "role/dev", "the clock of this computer", part, code, "time server"],
    );
}

#[test]
fn clock_is_not_blamed_for_a_role_without_reason() {
    let hours = Some(TimeDelta::hours(2));
    run_with_role("ValidationError", hours, &["ls"]).fails(4, &["refuses to let you assume", "RoleRefused"]);
    run_with_role("ExpiredToken", hours, &["ls"]).fails(4, &["refuses to let you assume", "log in again"]);
    let in_time = Some(TimeDelta::minutes(1));
    run_with_role("SignatureDoesNotMatch", in_time, &["ls"]).fails(4, &["check the credentials"]);
    run_with_role("Throttling", hours, &["ls"]).fails(1, &["role/dev", "wait a minute"]);
}

#[test]
fn doctor_checks_the_clock_of_a_refused_role() {
    let document =
        run_with_role("SignatureDoesNotMatch", Some(TimeDelta::hours(2)), &["doctor", "--json"]).json();
    let findings = document["findings"].as_array().unwrap();
    let clock = findings.iter().find(|finding| finding["check"] == "clock");
    assert_eq!(clock.unwrap()["message"], "the clock of this computer is 2h behind AWS's", "{document}");
}
