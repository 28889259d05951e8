//! No variable of the environment and no configuration file ends the binary with a panic, and an empty value is none.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;
use std::process::Command;

use crate::support::account::init;
use crate::support::binary::{Run, command};
use crate::support::moto::Moto;
use crate::support::recorder::Recorder;

/// The variables that decide how AWS is reached, and as whom.
const DECISIVE: &str = "AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_CA_BUNDLE AWS_CONFIG_FILE AWS_ENDPOINT_URL \
    AWS_ENDPOINT_URL_EC2 AWS_EXECUTION_ENV AWS_PROFILE AWS_REGION AWS_SDK_UA_APP_ID AWS_SHARED_CREDENTIALS_FILE HATCHERY_FLEET \
    HATCHERY_LOG HATCHERY_OWNER HOME HTTP_PROXY ALL_PROXY SSL_CERT_FILE XDG_CONFIG_HOME";

/// The other variables that the binary and its libraries read.
const OTHERS: &str = "AWS_ACCOUNT_ID AWS_ACCOUNT_ID_ENDPOINT_MODE AWS_AUTH_SCHEME_PREFERENCE AWS_CONTAINER_AUTHORIZATION_TOKEN \
    AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE AWS_CONTAINER_CREDENTIALS_FULL_URI AWS_CONTAINER_CREDENTIALS_RELATIVE_URI AWS_DEFAULT_REGION \
    AWS_DISABLE_CLOCK_SKEW_CORRECTION AWS_DISABLE_REQUEST_COMPRESSION AWS_EC2_METADATA_DISABLED AWS_EC2_METADATA_SERVICE_ENDPOINT \
    AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE AWS_IGNORE_CONFIGURED_ENDPOINT_URLS AWS_LAMBDA_FUNCTION_NAME AWS_LOGIN_CACHE_DIRECTORY \
    AWS_MAX_ATTEMPTS AWS_NEW_RETRIES_2026 AWS_REQUEST_CHECKSUM_CALCULATION AWS_REQUEST_MIN_COMPRESSION_SIZE_BYTES \
    AWS_RESPONSE_CHECKSUM_VALIDATION AWS_RETRY_MODE AWS_ROLE_ARN AWS_ROLE_SESSION_NAME AWS_SIGV4A_SIGNING_REGION_SET \
    AWS_USE_DUALSTACK_ENDPOINT AWS_USE_FIPS_ENDPOINT AWS_WEB_IDENTITY_TOKEN_FILE COLORTERM COLUMNS HTTPS_PROXY NO_PROXY LANG LC_ALL \
    LINES NO_COLOR PATH RUST_BACKTRACE SSL_CERT_DIR TERM TMUX TZ USER";

/// Values that none of them should have.
fn values() -> Vec<OsString> {
    let texts = ["", "nonsense", "a\nb \u{1b}[31mé", "/"];
    texts.into_iter().map(OsString::from).chain([OsString::from_vec(vec![0xff, b'a'])]).collect()
}

/// Files that AWS's tools would explain or ignore.
const CONFIGS: [&[u8]; 14] = [
    b"[default]\nendpoint_url =\nregion =\nca_bundle =\nretry_mode =\nmax_attempts =\n",
    b"[default]\nendpoint_url = nonsense\n",
    b"[default]\nservices = local\n\n[services local]\nec2 =\n  endpoint_url =\n",
    b"[default]\nservices = local\n\n[services local]\nec2 =\n  endpoint_url = ftp://x\n",
    b"[default]\nregion = eu west/1\n",
    b"[default]\nretry_mode = nonsense\nmax_attempts = abc\nuse_fips_endpoint = maybe\n",
    b"[default]\ncredential_process =\n",
    b"[default]\nsso_session = none\nsso_account_id = x\nsso_role_name = y\n",
    b"[default]\nrole_arn = x\nsource_profile = default\n",
    b"[default\n",
    b"region = eu-west-1\n",
    b"[default]\nno equals sign\n",
    b"[default]\nregion = \xff\n",
    b"\x00\x01\x02",
];

fn run(command: &mut Command) -> Run {
    let output = command.args(["ls"]).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Run { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

/// Returns what is wrong with how a run ended.
fn complaint(run: &Run) -> Option<String> {
    let is_panic = run.code == 101 || run.err.contains("panicked") || run.err.contains("RUST_BACKTRACE");
    let is_silent = run.code != 0 && run.err.trim().is_empty();
    let is_raw = run.err.contains('\u{1b}');
    // A failure that could not be explained better.
    let is_vague = run.err.contains("the connection was closed before the response");
    (is_panic || is_silent || is_raw || is_vague || ![0, 1, 2, 3, 4].contains(&run.code))
        .then(|| format!("{run:#?}"))
}

/// Runs several cases at once, because most of their time is waiting.
fn assert_no_complaint<T: Sync + std::fmt::Debug>(table: &[T], run: impl Fn(&T) -> Run + Sync) {
    use rayon::prelude::*;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(8).build().unwrap();
    let found = |case: &T| Some(format!("{case:?}: {}", complaint(&run(case))?));
    let complaints: Vec<_> = pool.install(|| table.par_iter().filter_map(found).collect());
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_variable_makes_it_panic() {
    let moto = Moto::start();
    init(&moto, "dev", &["--spare", "0"]).await;
    let mut table: Vec<(Vec<&str>, OsString)> = Vec::new();
    for value in values() {
        table.extend(DECISIVE.split_whitespace().map(|name| (vec![name], value.clone())));
        table.push((OTHERS.split_whitespace().collect(), value));
    }
    assert_no_complaint(&table, |(names, value)| {
        run(command(&moto).envs(names.iter().map(|name| (name, value))))
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn no_configuration_makes_it_panic() {
    let moto = Moto::start();
    init(&moto, "dev", &["--spare", "0"]).await;
    let home = tempfile::tempdir().unwrap();
    let write = |name: String, content: &[u8]| {
        let path = home.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let mut table = Vec::new();
    for (index, content) in CONFIGS.into_iter().enumerate() {
        table.push(("AWS_CONFIG_FILE", write(format!("config{index}"), content)));
        table.push(("AWS_SHARED_CREDENTIALS_FILE", write(format!("credentials{index}"), content)));
    }
    table.push(("AWS_CONFIG_FILE", home.path().to_owned()));
    for with_keys in [true, false] {
        assert_no_complaint(&table, |(variable, path)| {
            let mut command = command(&moto);
            if !with_keys {
                command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_ENDPOINT_URL");
                command.env("AWS_ENDPOINT_URL_STS", moto.url()).env_remove("AWS_REGION");
            }
            run(command.env(variable, path).args(["--region", "eu-west-1"]))
        });
    }
}

/// How an empty variable is taken.
#[derive(Debug, Clone, Copy)]
enum Empty {
    /// It is as if it were not set.
    Unset,
    /// It is refused with this exit code, and with this in the sentence.
    Refused(i32, &'static str),
}
use Empty::{Refused, Unset};

/// As version 2.36 of the AWS CLI takes them, beside a profile with everything; and hatchery's own.
const EMPTY: [(&str, Empty); 28] = [
    ("AWS_PROFILE", Refused(4, "AWS_PROFILE is set, but empty")),
    ("AWS_DEFAULT_PROFILE", Refused(4, "AWS_DEFAULT_PROFILE is set, but empty")),
    ("AWS_REGION", Refused(2, "AWS_REGION is set, but empty; set it to a value, or unset it")),
    ("AWS_DEFAULT_REGION", Refused(2, "AWS_DEFAULT_REGION is set, but empty")),
    ("AWS_CA_BUNDLE", Refused(2, "AWS_CA_BUNDLE is set, but empty; set it")),
    // A file of no name is no file, and the default one is not read.
    ("AWS_CONFIG_FILE", Refused(2, "no Region is set")),
    ("AWS_SHARED_CREDENTIALS_FILE", Refused(4, "there are no credentials")),
    ("AWS_ACCESS_KEY_ID", Unset),
    ("AWS_SECRET_ACCESS_KEY", Unset),
    ("AWS_SESSION_TOKEN", Unset),
    ("AWS_SECURITY_TOKEN", Unset),
    ("AWS_ENDPOINT_URL", Unset),
    ("AWS_ENDPOINT_URL_EC2", Unset),
    ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", Unset),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", Unset),
    ("AWS_ROLE_ARN", Unset),
    ("AWS_ROLE_SESSION_NAME", Unset),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", Unset),
    ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", Unset),
    ("AWS_EC2_METADATA_DISABLED", Unset),
    ("AWS_LOGIN_CACHE_DIRECTORY", Unset),
    ("AWS_USE_FIPS_ENDPOINT", Unset),
    ("AWS_USE_DUALSTACK_ENDPOINT", Unset),
    ("HTTPS_PROXY", Unset),
    ("NO_PROXY", Unset),
    ("HATCHERY_FLEET", Unset),
    ("HATCHERY_LOG", Unset),
    ("HATCHERY_OWNER", Unset),
];

#[tokio::test(flavor = "multi_thread")]
async fn empty_variables_are_taken_as_by_the_aws_cli() {
    let moto = Moto::start();
    init(&moto, "dev", &["--spare", "0"]).await;
    let recorder = Recorder::start(moto.address());
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    let config = format!("[default]\nregion = eu-west-1\nendpoint_url = {}\n", recorder.url());
    std::fs::write(home.path().join(".aws/config"), config).unwrap();
    let keys = "[default]\naws_access_key_id = AKIAFILE\naws_secret_access_key = not-a-secret\n";
    std::fs::write(home.path().join(".aws/credentials"), keys).unwrap();
    let complaints: Vec<_> = EMPTY
        .iter()
        .filter_map(|(name, expected)| {
            let mut command = command(&moto);
            command.env_clear().env("HOME", home.path()).env("AWS_EC2_METADATA_DISABLED", "true");
            let run = run(command.env(name, ""));
            let signatures: Vec<_> =
                recorder.take().iter().map(|call| call.request.header("authorization").to_owned()).collect();
            let is_right = match expected {
                Refused(code, part) => run.code == *code && run.err.contains(part) && signatures.is_empty(),
                Unset => {
                    let is_of_profile =
                        |header: &String| header.contains("AKIAFILE/") && header.contains("/eu-west-1/");
                    run.code == 0 && !signatures.is_empty() && signatures.iter().all(is_of_profile)
                }
            };
            (!is_right).then(|| format!("{name}: {expected:?}, {run:#?}, {signatures:?}"))
        })
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_named() {
    let moto = Moto::start();
    let with = |variable: &str, value: &str| run(command(&moto).env(variable, value));
    with("AWS_ENDPOINT_URL", "localhost:4566")
        .fails(2, &["AWS_ENDPOINT_URL", "https://", "\"localhost:4566\""]);
    with("AWS_ENDPOINT_URL_EC2", "nonsense").fails(2, &["the endpoint of EC2", "\"nonsense\""]);
    let not_text = OsString::from_vec(vec![0xff, b'a']);
    for (name, code, part) in [
        ("AWS_PROFILE", 4, "the profile \"�a\", which AWS_PROFILE names, is not in"),
        ("AWS_REGION", 2, "not a valid Region"),
        ("AWS_ACCESS_KEY_ID", 4, "the access key"),
        ("HATCHERY_FLEET", 2, "HATCHERY_FLEET is not UTF-8"),
    ] {
        run(command(&moto).env(name, &not_text)).fails(code, &[part]);
    }
    with("AWS_ACCESS_KEY_ID", "a\u{1b}b").fails(4, &["the access key", "copy the credentials"]);
    with("AWS_SESSION_TOKEN", "a\nb").fails(4, &["session token", "copy the credentials"]);
    let broken = |content: &[u8]| {
        let config = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(config.path(), content).unwrap();
        with("AWS_CONFIG_FILE", Path::to_str(config.path()).unwrap())
    };
    broken(b"[default]\nregion = \xff\n").fails(4, &["cannot read the AWS configuration", "UTF-8"]);
    broken(b"[default\n").fails(4, &["cannot parse ~/.aws/config, line 1"]);
}
