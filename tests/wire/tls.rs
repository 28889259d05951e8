//! Certificates: a bundle of the user's, and what is said of one that cannot be trusted.

use std::path::Path;
use std::process::Command;

use rstest::rstest;

use crate::support::account::init;
use crate::support::binary::{Run, command, command_through};
use crate::support::moto::Moto;
use crate::support::tls_proxy::TlsProxy;

fn run(command: &mut Command) -> Run {
    command.args(["ls", "--fleet", "dev"]).output().unwrap().into()
}

async fn fleet() -> Moto {
    let moto = Moto::start();
    init(&moto, "dev", &["--spare", "0"]).await;
    moto
}

#[tokio::test(flavor = "multi_thread")]
async fn bundle_replaces_the_certificates_of_the_system() {
    let moto = fleet().await;
    let (proxy, other) =
        (TlsProxy::start(&moto.address(), "valid"), TlsProxy::start(&moto.address(), "valid"));
    let through = |variables: &[(&str, &Path)]| {
        run(command_through(&moto, &proxy.url()).envs(variables.iter().copied()))
    };
    let unknown = ["certificate", "issuer is unknown", "AWS_CA_BUNDLE", "ca_bundle"];
    through(&[]).fails(1, &unknown);
    through(&[("AWS_CA_BUNDLE", &proxy.authority())]).ok();
    through(&[("SSL_CERT_FILE", &proxy.authority())]).ok();
    through(&[("AWS_CA_BUNDLE", &other.authority())]).fails(1, &unknown);
    // As in the AWS CLI, the variable beats the profile.
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("config");
    std::fs::write(&config, format!("[default]\nca_bundle = {}\n", proxy.authority().display())).unwrap();
    through(&[("AWS_CONFIG_FILE", &config)]).ok();
    let both = [("AWS_CONFIG_FILE", config.as_path()), ("AWS_CA_BUNDLE", &other.authority())];
    through(&both).fails(1, &unknown);
    // As there, an empty one is no way to say that the profile's does not count.
    through(&[("AWS_CONFIG_FILE", &config), ("AWS_CA_BUNDLE", Path::new(""))])
        .fails(2, &["AWS_CA_BUNDLE is set, but empty"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bundle_that_cannot_be_used_is_named() {
    let moto = fleet().await;
    let home = tempfile::tempdir().unwrap();
    let empty = home.path().join("empty.pem");
    std::fs::write(&empty, "no certificate\n").unwrap();
    let with = |bundle: &Path| run(command(&moto).env("AWS_CA_BUNDLE", bundle));
    with(&home.path().join("none.pem"))
        .fails(2, &["cannot read the certificates", "none.pem", "AWS_CA_BUNDLE"]);
    with(home.path()).fails(2, &["cannot read the certificates", "AWS_CA_BUNDLE"]);
    with(&empty).fails(2, &["there is no certificate in", "empty.pem", "PEM"]);
    let config = home.path().join("config");
    std::fs::write(&config, format!("[default]\nca_bundle = {}\n", empty.display())).unwrap();
    run(command(&moto).env("AWS_CONFIG_FILE", &config)).fails(2, &["ca_bundle of the profile"]);
}

/// The requests for the credentials of a role go through it too.
#[tokio::test(flavor = "multi_thread")]
async fn proxy_that_opens_tls_is_trusted_for_every_request() {
    let moto = fleet().await;
    let proxy = TlsProxy::start(&moto.address(), "valid");
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("config");
    let text = "[profile role]\nregion = eu-west-1\nrole_arn = arn:aws:iam::123456789012:role/dev\nsource_profile = keys\n\n\
        [profile keys]\naws_access_key_id = testing\naws_secret_access_key = testing\n";
    std::fs::write(&config, text).unwrap();
    let ls = |bundle: Option<&Path>| {
        let mut command = command(&moto);
        command.env_remove("AWS_ENDPOINT_URL").env("HTTPS_PROXY", proxy.proxy_url());
        command.env("AWS_CONFIG_FILE", &config);
        command.envs(bundle.map(|bundle| ("AWS_CA_BUNDLE", bundle)));
        run(command.args(["--profile", "role"]))
    };
    ls(Some(&proxy.authority())).ok();
    ls(None).fails(1, &["certificate", "issuer is unknown", "AWS_CA_BUNDLE"]);
}

#[rstest]
#[case("expired", &["has expired", "check the clock"])]
#[case("early", &["not valid yet", "check the clock"])]
#[case("name", &["for another name", "endpoint URL"])]
#[tokio::test(flavor = "multi_thread")]
async fn wrong_certificates_are_told_apart(#[case] kind: &str, #[case] parts: &[&str]) {
    let moto = fleet().await;
    let proxy = TlsProxy::start(&moto.address(), kind);
    run(command_through(&moto, &proxy.url()).env("AWS_CA_BUNDLE", proxy.authority())).fails(1, parts);
}
