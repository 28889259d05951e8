//! Something between the binary and AWS answers in AWS's place: a network's login page, a proxy.

use std::io::Write as _;
use std::net::Shutdown;

use rstest::rstest;

use crate::support::binary::{Run, command, command_through};
use crate::support::http::{response, serve};
use crate::support::moto::Moto;

const PAGE: &str = "<!DOCTYPE html><html><head><title>Hotel \u{1b}[31mWi-Fi</title></head></html>";

/// `ls` against a server that gives one answer to everything.
fn ls(answer: Vec<u8>) -> Run {
    let moto = Moto::start();
    let address = serve(move |_, mut client| {
        client.write_all(&answer)?;
        client.shutdown(Shutdown::Both)
    });
    command_through(&moto, &format!("http://{address}")).arg("ls").output().unwrap().into()
}

#[rstest]
#[case("200 OK")]
#[case("302 Found")]
#[case("403 Forbidden")]
#[case("407 Proxy Authentication Required")]
#[case("502 Bad Gateway")]
#[case("511 Network Authentication Required")]
fn web_page_is_called_one(#[case] status: &str) {
    let code = format!("HTTP {}, \"Hotel Wi-Fi\"", &status[..3]);
    let run = ls(response(status, &[("Content-Type", "text/html; charset=utf-8")], PAGE));
    run.fails(1, &["a web page, not AWS's", &code, "log in to the network"]);
}

#[rstest]
#[case("200 OK", &[("Content-Type", "text/xml")], "", &["the answer is empty"])]
#[case("302 Found", &[("Location", "http://login.hotel.example/?a=b")], "", &["login.hotel.example", "log in"])]
#[case("407 Proxy Authentication Required", &[], "no", &["the proxy wants a login", "HTTPS_PROXY"])]
#[case("511 Network Authentication Required", &[], "", &["the network wants a login"])]
#[case("403 Forbidden", &[("Content-Type", "application/json")], "{\"error\":\"blocked\"}", &["HTTP 403"])]
fn other_answers_name_their_status(
    #[case] status: &str,
    #[case] headers: &[(&str, &str)],
    #[case] body: &str,
    #[case] parts: &[&str],
) {
    ls(response(status, headers, body)).fails(1, parts);
}

#[test]
fn answer_that_breaks_off_is_temporary() {
    ls(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 900\r\n\r\n<Describe".to_vec())
        .fails(1, &["try again"]);
}

/// The tunnel of HTTPS through a proxy.
#[rstest]
#[case("407 Proxy Authentication Required", &["the proxy wants a login", "HTTPS_PROXY"])]
#[case("403 Forbidden", &["the proxy refuses the connection", "NO_PROXY"])]
fn proxy_that_opens_no_tunnel_is_named(#[case] status: &str, #[case] parts: &[&str]) {
    let moto = Moto::start();
    let answer = response(status, &[("Content-Type", "text/html")], PAGE);
    let address = serve(move |_, mut client| {
        client.write_all(&answer)?;
        client.shutdown(Shutdown::Both)
    });
    let mut ls = command(&moto);
    ls.env_remove("AWS_ENDPOINT_URL").env("HTTPS_PROXY", format!("http://{address}")).arg("ls");
    Run::from(ls.output().unwrap()).fails(1, parts);
}
