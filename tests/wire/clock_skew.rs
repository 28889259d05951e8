//! A clock that is wrong is called that, by the time of AWS's answer.

use std::io::Write as _;
use std::net::Shutdown;
use std::time::SystemTime;

use chrono::{DateTime, TimeDelta, Utc};
use rstest::rstest;

use crate::support::binary::{Run, command_through};
use crate::support::http::{response, serve};
use crate::support::moto::Moto;

/// Runs the binary against a server that refuses everything, with a clock that is ahead by this much; `None` if it tells no time.
fn run(code: &'static str, ahead: Option<TimeDelta>, arguments: &[&str]) -> Run {
    let moto = Moto::start();
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
    command_through(&moto, &format!("http://{address}")).args(arguments).output().unwrap().into()
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
