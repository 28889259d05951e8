//! Every way in which credentials cannot be had is told with its own reason, and exit code 4. What comes back is taken.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::error::CredentialsError;
use futures::StreamExt as _;
use hatchery::cloud::Cloud as _;
use hatchery::cloud::aws::AwsCloud;
use rstest::rstest;

use crate::support::account::init;
use crate::support::binary::{Run, command_through};
use crate::support::issuer::{Issuer, MFA_CODE, REFUSED};
use crate::support::moto::Moto;
use crate::support::pty::Terminal;
use crate::support::recorder::Recorder;

/// The file of the session `my corp`, whose name is its SHA-1.
const TOKEN_FILE: &str = "2603e49e9877a1061664a5a7f900ffb84f872d49.json";

const SSO: &str = "\
[profile sso]
region = eu-west-1
sso_session = my corp
sso_account_id = 123456789012
sso_role_name = Dev

[sso-session \"my corp\"]
sso_region = eu-west-1
sso_start_url = https://corp.awsapps.com/start
sso_registration_scopes = sso:account:access
";

const KEYS: &str = "aws_access_key_id = AKIABASE\naws_secret_access_key = not-a-secret\n";

/// A user with files of their own, and the services that issue credentials.
struct User {
    moto: Moto,
    issuer: Issuer,
    home: tempfile::TempDir,
}

impl User {
    async fn new() -> Self {
        let moto = Moto::start();
        init(&moto, "dev", &["--spare", "0"]).await;
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(home.path().join(".aws/sso/cache")).unwrap();
        Self { moto, issuer: Issuer::start(), home }
    }

    fn write(&self, file: &str, content: &str) {
        std::fs::write(self.home.path().join(".aws").join(file), content).unwrap();
    }

    /// Writes the token of the SSO session, which expires after this number of minutes.
    fn log_in(&self, token: &str, minutes: i64) {
        self.write(&format!("sso/cache/{TOKEN_FILE}"), &Self::token(token, minutes));
    }

    fn token(token: &str, minutes: i64) -> String {
        let at = |minutes| {
            let at = chrono::DateTime::<chrono::Utc>::from(SystemTime::now())
                + chrono::TimeDelta::minutes(minutes);
            at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
        };
        let token = serde_json::json!({
            "startUrl": "https://corp.awsapps.com/start", "region": "eu-west-1", "accessToken": token,
            "expiresAt": at(minutes), "clientId": "c", "clientSecret": "x", "refreshToken": "r",
            "registrationExpiresAt": at(100_000),
        });
        token.to_string()
    }

    /// The environment, without keys.
    fn env(&self, url: &str) -> Vec<(String, String)> {
        let mut env = self.moto.env_through(url);
        let unset = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "HOME"];
        env.retain(|(name, _)| !unset.contains(&name.as_str()));
        env.push(("HOME".to_owned(), self.home.path().to_string_lossy().into_owned()));
        env.push(("HATCHERY_OWNER".to_owned(), "amy".to_owned()));
        env.extend(self.issuer.env().into_iter().map(|(name, value)| (name.to_owned(), value)));
        env
    }

    fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
        let mut command = command_through(&self.moto, &self.moto.url());
        command.env_clear().envs(self.env(&self.moto.url())).args(arguments).envs(variables.iter().copied());
        command.output().unwrap().into()
    }

    /// Lists the environments with this profile.
    fn ls(&self, profile: &str) -> Run {
        self.run(&["ls", "--fleet", "dev", "--profile", profile], &[])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sso_session_that_is_over_is_told() {
    let user = User::new().await;
    user.write("config", &format!("{SSO}\n[profile forbidden]\nregion = eu-west-1\nsso_session = my corp\nsso_account_id = 123456789012\nsso_role_name = Forbidden\n"));
    user.ls("sso").fails(4, &["not logged in", "\"my corp\"", "aws sso login", "SsoLoggedOut"]);
    user.log_in("old", -5);
    user.ls("sso").fails(
        4,
        &["\"my corp\" of the profile \"sso\" has expired, and AWS did not renew it", "aws sso login"],
    );
    assert!(
        user.issuer.requests().iter().any(|request| request.starts_with("POST /token")),
        "it tried to renew it"
    );
    user.log_in("old", 60);
    user.ls("sso").fails(4, &["\"my corp\" of the profile \"sso\" was ended by AWS", "aws sso login"]);
    user.ls("forbidden")
        .fails(4, &["does not give you the role Forbidden of the account 123456789012", "No access"]);
    user.log_in("good", 60);
    user.ls("sso").ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn issuer_that_cannot_be_reached_is_named() {
    let user = User::new().await;
    user.write("config", &format!("{SSO}\n[profile base]\n{KEYS}\n[profile role]\nregion = eu-west-1\nrole_arn = arn:aws:iam::1:role/dev\nsource_profile = base\n"));
    user.log_in("good", 60);
    let nowhere = "http://127.0.0.1:1";
    let run = user.run(&["ls", "--fleet", "dev", "--profile", "sso"], &[("AWS_ENDPOINT_URL_SSO", nowhere)]);
    run.fails(1, &["IAM Identity Center (SSO) in eu-west-1", "cannot be reached", "Unreachable"]);
    let run = user.run(&["ls", "--fleet", "dev", "--profile", "role"], &[("AWS_ENDPOINT_URL_STS", nowhere)]);
    run.fails(1, &["the AWS service STS", "cannot be reached", "Unreachable"]);
}

#[rstest]
#[case::refused_role("[profile p]\nregion = eu-west-1\nrole_arn = arn:aws:iam::1:role/dev\nsource_profile = base\n", &["role/dev", REFUSED, "RoleRefused", "mfa_serial"])]
#[case::mfa("[profile p]\nregion = eu-west-1\nrole_arn = arn:aws:iam::1:role/dev\nsource_profile = base\nmfa_serial = arn:aws:iam::1:mfa/amy\n", &["needs a code of the MFA device arn:aws:iam::1:mfa/amy", "no terminal", "export-credentials"])]
#[case::process("[profile p]\nregion = eu-west-1\ncredential_process = sh -c 'echo the vault is locked >&2; exit 3'\n", &["credential_process of the profile \"p\" failed with exit code 3: the vault is locked"])]
#[case::missing_process("[profile p]\nregion = eu-west-1\ncredential_process = /no/such/program\n", &["cannot run the credential_process", "/no/such/program", "install the program"])]
#[case::no_json("[profile p]\nregion = eu-west-1\ncredential_process = echo hello\n", &["printed no credentials: it is not JSON"])]
#[case::no_login("[profile p]\nregion = eu-west-1\nlogin_session = arn:aws:iam::1:user/amy\n", &["is not logged in", "with: aws login"])]
#[case::no_profile("[profile staging]\n", &["the profile \"p\"", "is not in ~/.aws/config", "there are base, staging"])]
#[case::no_session("[profile p]\nregion = eu-west-1\nsso_session = gone\nsso_account_id = 1\nsso_role_name = D\n", &["no section [sso-session gone]"])]
#[case::circle("[profile p]\nregion = eu-west-1\nrole_arn = r\nsource_profile = q\n[profile q]\nrole_arn = r\nsource_profile = p\n", &["leads back to \"p\""])]
#[case::no_source("[profile p]\nregion = eu-west-1\nrole_arn = r\nsource_profile = gone\n", &["\"gone\", which is the source_profile of \"p\", does not exist"])]
#[case::half_a_pair("[profile p]\nregion = eu-west-1\naws_access_key_id = A\n", &["but no aws_secret_access_key"])]
#[case::no_token("[profile p]\nregion = eu-west-1\nrole_arn = r\nweb_identity_token_file = /no/such/token\n", &["cannot read the web identity token file /no/such/token"])]
#[case::nothing("[profile p]\nregion = eu-west-1\n", &["there are no credentials: the profile \"p\" has none", "log in"])]
#[case::not_ini("[profile p]\nregion\n", &["cannot parse ~/.aws/config, line 2"])]
#[tokio::test(flavor = "multi_thread")]
async fn profile_without_credentials_says_why(#[case] config: &str, #[case] parts: &[&str]) {
    let user = User::new().await;
    user.write("config", config);
    user.write("credentials", &format!("[base]\n{KEYS}"));
    user.ls("p").fails(4, parts);
    // The Region of the profile is not missed before the profile is.
    let run = user.run(&["ls", "--fleet", "dev"], &[("AWS_PROFILE", "p")]);
    run.fails(4, parts);
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_key_pair_in_the_environment_is_told() {
    let user = User::new().await;
    user.write("config", &format!("[default]\nregion = eu-west-1\n{KEYS}"));
    let run = user.run(&["ls", "--fleet", "dev"], &[("AWS_ACCESS_KEY_ID", "AKIAHALF")]);
    run.fails(4, &["AWS_SECRET_ACCESS_KEY is not"]);
    user.run(&["ls", "--fleet", "dev"], &[("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")]).ok();
}

#[rstest]
#[case::blank("[profile \"my prod\"]", "my prod")]
#[case::escaped("[profile my\\ prod]", "my prod")]
#[case::unicode("[profile prüfung]", "prüfung")]
#[case::symbols("[profile a@b+c,d(e)]", "a@b+c,d(e)")]
#[tokio::test(flavor = "multi_thread")]
async fn profile_names_of_the_aws_cli_are_taken(#[case] header: &str, #[case] name: &str) {
    let user = User::new().await;
    user.write("config", &format!("{header}\nregion = eu-west-1\n{KEYS}"));
    user.ls(name).ok();
    user.run(&["ls", "--fleet", "dev"], &[("AWS_PROFILE", name)]).ok();
}

/// Runs blocking work on its own thread, because the AWS clients need this one.
async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

const WITH_MFA: &str = "\
[default]
region = eu-west-1
role_arn = arn:aws:iam::123456789012:role/dev
source_profile = base
mfa_serial = arn:aws:iam::123456789012:mfa/amy
duration_seconds = 3600
";

#[tokio::test(flavor = "multi_thread")]
async fn command_asks_for_the_code_of_an_mfa_device() {
    let user = User::new().await;
    user.write("config", &format!("{WITH_MFA}[profile base]\n{KEYS}"));
    let env = user.env(&user.moto.url());
    let code = run_blocking(move || {
        let mut terminal = Terminal::start(&["ls", "--fleet", "dev"], &env, (110, 30));
        terminal.wait_for("Code of the MFA device arn:aws:iam::123456789012:mfa/amy:");
        terminal.send_keys(&format!("{MFA_CODE}\r"));
        terminal.wait_for_exit()
    })
    .await;
    assert_eq!(code, 0);
    let request = user.issuer.requests().pop().unwrap();
    for part in [
        "SerialNumber=arn%3Aaws%3Aiam%3A%3A123456789012%3Amfa%2Famy",
        "TokenCode=123456",
        "DurationSeconds=3600",
    ] {
        assert!(request.contains(part), "{request}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboard_asks_for_the_code_before_it_is_drawn() {
    let user = User::new().await;
    user.write("config", &format!("{WITH_MFA}[profile base]\n{KEYS}"));
    let env = user.env(&user.moto.url());
    run_blocking(move || {
        let mut terminal = Terminal::start(&[], &env, (110, 30));
        terminal.wait_for("Code of the MFA device");
        assert!(!terminal.modes().alternate_screen, "{}", terminal.text());
        terminal.send_keys(&format!("{MFA_CODE}\r"));
        terminal.wait_for("no environments");
        terminal.send_keys("q");
        assert_eq!(terminal.wait_for_exit(), 0);
        let mut terminal = Terminal::start(&[], &env, (110, 30));
        terminal.wait_for("Code of the MFA device");
        terminal.send_keys("000000\r");
        terminal.wait_for("try again with the next code");
        assert_eq!(terminal.wait_for_exit(), 4);
    })
    .await;
    let roles = user.issuer.requests().iter().filter(|request| request.contains("Action=AssumeRole")).count();
    assert_eq!(roles, 2, "a code counts once");
}

/// It may wait for a touch of a hardware key.
const SLOW: &str = r#"[default]
region = eu-west-1
credential_process = sh -c 'sleep 6; echo "{\"Version\": 1, \"AccessKeyId\": \"AKIASLOW\", \"SecretAccessKey\": \"s\"}"'
"#;

#[tokio::test(flavor = "multi_thread")]
async fn slow_credentials_are_waited_for_and_told() {
    let user = User::new().await;
    user.write("config", SLOW);
    let told =
        "waiting for the credential_process of the profile \"default\"; it may wait for you to touch a key";
    let run = user.run(&["ls", "--fleet", "dev"], &[]).ok();
    assert_eq!(run.err.matches(told).count(), 1, "{run:#?}");
    let env = user.env(&user.moto.url());
    run_blocking(move || {
        let mut terminal = Terminal::start(&[], &env, (110, 30));
        terminal.wait_for("waiting for the credential_process");
        terminal.wait_for("no environments");
        terminal.send_keys("q");
        assert_eq!(terminal.wait_for_exit(), 0);
    })
    .await;
}

/// Starts a proxy in front of moto that refuses a key with `ExpiredToken`, from the moment when `has_expired`.
fn refusing(moto: &Moto, key: &'static str, has_expired: &Arc<AtomicBool>) -> String {
    use std::io::Write as _;
    let (upstream, has_expired) = (moto.address(), Arc::clone(has_expired));
    let address = crate::support::http::serve(move |request, mut client| {
        let is_refused = request.header("authorization").contains(key) && has_expired.load(Ordering::Relaxed);
        let answer = if is_refused {
            let error = "<Error><Code>ExpiredToken</Code><Message>The security token included in the request is expired</Message></Error>";
            let body = if request.header("authorization").contains("/ec2/") {
                format!("<Response><Errors>{error}</Errors><RequestID>0</RequestID></Response>")
            } else {
                format!("<ErrorResponse>{error}<RequestId>0</RequestId></ErrorResponse>")
            };
            crate::support::http::response("400 Bad Request", &[("Content-Type", "text/xml")], &body)
        } else {
            request.forward(&upstream)?
        };
        client.write_all(&answer)?;
        client.shutdown(std::net::Shutdown::Both)
    });
    format!("http://{address}")
}

fn keys(id: &str) -> String {
    format!(
        "[default]\nregion = eu-west-1\naws_access_key_id = {id}\naws_secret_access_key = s\naws_session_token = t\n"
    )
}

#[rstest]
#[case::by_key(true)]
#[case::by_itself(false)]
#[tokio::test(flavor = "multi_thread")]
async fn rotated_keys_are_taken_by_the_dashboard(#[case] by_key: bool) {
    let user = User::new().await;
    user.write("credentials", &keys("ASIAOLD"));
    let url = refusing(&user.moto, "ASIAOLD", &Arc::new(AtomicBool::new(true)));
    let recorder = Recorder::start(url.trim_start_matches("http://").to_owned());
    let env = user.env(recorder.url());
    let credentials = user.home.path().join(".aws/credentials");
    run_blocking(move || {
        let mut terminal = Terminal::start(&["--no-engine", "--fleet", "dev"], &env, (110, 30));
        terminal.wait_for("log in again");
        std::fs::write(&credentials, keys("ASIANEW")).unwrap();
        if by_key {
            terminal.send_keys("r");
        }
        terminal.wait_for_within("no environments", Duration::from_secs(20));
        terminal.send_keys("q");
        assert_eq!(terminal.wait_for_exit(), 0);
    })
    .await;
    let last = recorder.take().pop().unwrap();
    assert!(last.request.header("authorization").contains("ASIANEW"));
}

/// As `aws sso login` in another terminal does.
#[tokio::test(flavor = "multi_thread")]
async fn engine_takes_a_new_login_by_itself() {
    let user = User::new().await;
    user.write("config", &SSO.replace("[profile sso]", "[default]"));
    user.log_in("old", 60);
    let recorder = Recorder::start(user.moto.address());
    let mut command = command_through(&user.moto, recorder.url());
    command.env_clear().envs(user.env(recorder.url())).args(["engine", "--fleet", "dev"]);
    let mut engine =
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let asked = user.issuer.requests();
    assert!((1..5).contains(&asked.len()), "no storm: {asked:?}");
    let begun = Instant::now();
    user.log_in("good", 60);
    let is_signed =
        || recorder.take().iter().any(|call| call.request.header("authorization").contains("ASIASSO"));
    while !is_signed() {
        assert!(begun.elapsed() < Duration::from_mins(1), "{:?}", user.issuer.requests());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    engine.kill().unwrap();
    engine.wait().unwrap();
}

/// Writes the program `aws` of a user who logs in with a browser, and returns its folder.
fn login_program(user: &User) -> String {
    let folder = user.home.path().join("bin");
    std::fs::create_dir(&folder).unwrap();
    let cache = "$HOME/.aws/sso/cache";
    let script = format!(
        "#!/bin/sh\necho \"opening a browser: $*\"\nread answer\n/bin/cp \"$HOME/.aws/new-token\" \"{cache}/{TOKEN_FILE}\"\n"
    );
    let program = folder.join("aws");
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    folder.to_string_lossy().into_owned()
}

/// The session ends while the dashboard is open, with a filter, a selected environment and its page.
#[tokio::test(flavor = "multi_thread")]
async fn dashboard_goes_on_after_a_login() {
    let user = User::new().await;
    user.write("config", &SSO.replace("[profile sso]", "[default]"));
    user.log_in("good", 60);
    for name in ["first-fix", "second-fix", "other"] {
        user.run(&["launch", name, "--fleet", "dev"], &[]).ok();
    }
    let has_expired = Arc::new(AtomicBool::new(false));
    let mut env = user.env(&refusing(&user.moto, "ASIASSO", &has_expired));
    env.push(("PATH".to_owned(), login_program(&user)));
    run_blocking(move || {
        let mut terminal = Terminal::start(&["--no-engine", "--fleet", "dev"], &env, (110, 30));
        terminal.wait_for("second-fix");
        terminal.send_keys("/fix\r");
        terminal.wait_until_gone("other");
        let selected = |terminal: &Terminal| terminal.reversed_rows().concat();
        terminal.send_keys("g");
        let first = selected(&terminal);
        terminal.send_keys("j");
        terminal.wait_until(|terminal| selected(terminal) != first);
        let row = selected(&terminal);
        let name = ["first-fix", "second-fix"].into_iter().find(|name| row.contains(name)).unwrap();
        terminal.send_keys("\r");
        terminal.wait_for("Expected end");

        has_expired.store(true, Ordering::Relaxed);
        user.log_in("old", -5);
        terminal.send_keys("r");
        terminal.wait_for("press I to log in (aws sso login); cannot observe the fleet dev");
        assert!(terminal.text().contains("Expected end"), "the page stays: {}", terminal.text());

        user.write("new-token", &User::token("good", 60));
        terminal.send_keys("I");
        terminal.wait_for("opening a browser: sso login --profile=default");
        assert!(!terminal.modes().alternate_screen, "{}", terminal.text());
        has_expired.store(false, Ordering::Relaxed);
        terminal.send_keys("\n");
        terminal.wait_for("you are logged in");
        terminal.wait_until_gone("press I to log in");
        assert!(
            terminal.text().contains("Expected end") && terminal.text().contains(name),
            "{}",
            terminal.text()
        );
        terminal.send_keys("\u{1b}");
        terminal.wait_until_gone("Expected end");
        terminal.wait_until(|terminal| selected(terminal).contains(name));
        assert!(!terminal.text().contains("other"), "the filter stays: {}", terminal.text());
        terminal.send_keys("q");
        assert_eq!(terminal.wait_for_exit(), 0);
    })
    .await;
}

/// As in the AWS CLI, a token in the environment goes before the keys of a profile, unless an option names the profile.
#[tokio::test(flavor = "multi_thread")]
async fn web_identity_goes_before_keys_of_a_profile() {
    let user = User::new().await;
    user.write("config", &format!("[default]\nregion = eu-west-1\n{KEYS}"));
    user.write("token", "a.b.c");
    let token = user.home.path().join(".aws/token");
    let variables = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/pod"),
    ];
    user.run(&["ls", "--fleet", "dev"], &variables).fails(4, &["role/pod", "WebIdentityToken"]);
    assert!(user.issuer.requests().pop().unwrap().contains("Action=AssumeRoleWithWebIdentity"));
    user.run(&["ls", "--fleet", "dev"], &variables[..1]).fails(4, &["AWS_ROLE_ARN is not"]);
    user.run(&["ls", "--fleet", "dev", "--profile", "default"], &variables).ok();
    user.run(&["ls", "--fleet", "dev"], &[("AWS_WEB_IDENTITY_TOKEN_FILE", "")]).ok();
}

/// Where there are no credentials, no request is sent, and the SDK's paginators do not end the listing.
#[tokio::test]
async fn listings_without_credentials_end() {
    let none = aws_credential_types::credential_fn::provide_credentials_fn(async || {
        Err(CredentialsError::not_loaded("there are none"))
    });
    let config = aws_config::defaults(BehaviorVersion::latest()).region(Region::new("eu-west-1"));
    let cloud = AwsCloud::with_config(&config.credentials_provider(none).load().await).unwrap();
    let fleet = "dev".parse().unwrap();
    let ends = [
        cloud.templates(&fleet).take(3).count().await,
        cloud.instances(&fleet).take(3).count().await,
        cloud.databases(&fleet).take(3).count().await,
    ];
    assert_eq!(ends, [1, 1, 1]);
}
