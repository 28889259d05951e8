//! Which credentials a request is signed with.

use std::path::Path;
use std::process::Command;

use crate::support::account::init;
use crate::support::binary::{Run, command_through};
use crate::support::moto::Moto;
use crate::support::recorder::Recorder;

/// The profiles of the user. `testing` in the environment is the other account.
const CONFIG: &str = "\
[profile work]
region = eu-west-1
aws_access_key_id = AKIAWORK
aws_secret_access_key = not-a-secret

[profile slow]
region = eu-west-1
credential_process = sh -c 'sleep 7; echo \"{\\\"Version\\\": 1, \\\"AccessKeyId\\\": \\\"AKIASLOW\\\", \\\"SecretAccessKey\\\": \\\"not-a-secret\\\"}\"'
";

/// `ls` with these arguments and environment variables, and the access keys that signed its requests.
fn ls(moto: &Moto, home: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> (Run, Vec<String>) {
    let config = home.join("config");
    std::fs::write(&config, CONFIG).unwrap();
    let recorder = Recorder::start(moto.address());
    let mut command: Command = command_through(moto, recorder.url());
    command.args(["ls", "--fleet", "dev"]).args(arguments).envs(variables.iter().copied());
    command.env("AWS_CONFIG_FILE", &config).env("AWS_SHARED_CREDENTIALS_FILE", home.join("none"));
    let run: Run = command.output().unwrap().into();
    let mut keys: Vec<_> = recorder
        .take()
        .iter()
        .map(|call| {
            let header = call.request.header("authorization").to_owned();
            header.split("Credential=").nth(1).unwrap_or_default().split('/').next().unwrap().to_owned()
        })
        .collect();
    keys.sort();
    keys.dedup();
    (run, keys)
}

#[tokio::test(flavor = "multi_thread")]
async fn named_profile_beats_keys_in_the_environment() {
    let moto = Moto::start();
    init(&moto, "dev", &["--spare", "0"]).await;
    let home = tempfile::tempdir().unwrap();
    let (run, keys) = ls(&moto, home.path(), &["--profile", "work"], &[]);
    run.ok();
    assert_eq!(keys, ["AKIAWORK"]);
    // As in the AWS CLI, the variable does not.
    let (run, keys) = ls(&moto, home.path(), &[], &[("AWS_PROFILE", "work")]);
    run.ok();
    assert_eq!(keys, ["testing"]);
    let (run, keys) = ls(&moto, home.path(), &["--profile", "unknown"], &[]);
    run.fails(4, &["the profile \"unknown\" is not in ~/.aws/config", "there are slow, work"]);
    assert!(keys.is_empty(), "{keys:?}");
    // As in the AWS CLI, it has to exist even beside keys in the environment.
    let (run, keys) = ls(&moto, home.path(), &[], &[("AWS_PROFILE", "unknown")]);
    run.fails(4, &["the profile \"unknown\", which AWS_PROFILE names, is not in ~/.aws/config"]);
    assert!(keys.is_empty(), "{keys:?}");
}

/// It may wait for the user.
#[tokio::test(flavor = "multi_thread")]
async fn slow_credential_process_is_waited_for() {
    let moto = Moto::start();
    init(&moto, "dev", &["--spare", "0"]).await;
    let home = tempfile::tempdir().unwrap();
    let (run, keys) = ls(&moto, home.path(), &["--profile", "slow"], &[]);
    run.ok();
    assert_eq!(keys, ["AKIASLOW"]);
}
