//! Every sentence that tells a user what failed, why, and what to do.

use std::fmt::Write as _;
use std::process::ExitCode;

use hatchery::domain::policy::SETTINGS;
use hatchery::domain::{CloudError, ErrorClass};
use hatchery::failure::Failure;
use rstest::rstest;

use super::documents::FLEET;
use super::harness::{TestAccount, run_binary, run_binary_with};

/// Runs command lines that must fail, and returns their transcripts.
async fn transcripts(account: &TestAccount, command_lines: &[&[&str]]) -> String {
    let mut text = String::new();
    for arguments in command_lines {
        let run = account.run(arguments).await;
        assert_ne!(run.code, ExitCode::SUCCESS, "{run:#?}");
        assert_eq!(run.out, "", "{run:#?}");
        let notices = run.err.lines().filter(|line| line.contains("looking again")).count();
        assert!(run.err.lines().count() == 1 + notices && notices < 2, "one sentence: {run:#?}");
        assert!(run.err.lines().all(|line| line.starts_with("hatchery: ")), "{run:#?}");
        text.push_str(&run.transcript());
    }
    text
}

#[tokio::test(start_paused = true)]
async fn names_that_do_not_resolve() {
    let twins = format!(
        "{FLEET}\n[[environments]]\nname = \"checkout-fix\"\nowner = \"lin\"\nage = \"1h\"\nttl = \"8h\"\n"
    );
    let account = TestAccount::new(&twins);
    let command_lines: [&[&str]; 9] = [
        &["ls", "--fleet", "nobody"],
        &["ls", "--fleet", "No Body"],
        &["fleet", "show", "--fleet", "nobody"],
        &["extend", "nobody", "--by", "1h"],
        &["extend", "dev-99", "--by", "1h"],
        &["extend", "qa-1", "--by", "1h"],
        &["extend", "checkout-fix", "--by", "1h"],
        &["open", "checkout-fix", "--print"],
        &["terminate", "checkout-fix", "--yes"],
    ];
    insta::assert_snapshot!(transcripts(&account, &command_lines).await);
}

#[tokio::test(start_paused = true)]
async fn several_fleets_and_none_chosen() {
    let account = TestAccount::new("");
    let new =
        ["fleet", "init", "qa", "--source-database", "integration", "--database-subnet-group", "private"];
    let network = ["--subnets", "subnet-0a", "--security-group", "sg-0a1", "--image-tag", "dev"];
    account.run(&[&new[..], &network[..]].concat()).await.ok();
    insta::assert_snapshot!(transcripts(&account, &[&["ls"], &[&new[..], &network[..]].concat()]).await);
}

#[tokio::test(start_paused = true)]
async fn invalid_arguments() {
    let account = TestAccount::new(FLEET);
    let long_note = "x".repeat(300);
    let service = |number| format!("s{number}=1");
    let services: Vec<_> = (0..40).map(service).collect();
    let mut many_services = vec!["launch", "x"];
    for service in &services {
        many_services.extend(["--service", service]);
    }
    let command_lines: [&[&str]; 27] = [
        &["launch"],
        &["lunch", "x"],
        &["launch", "dev-1"],
        &["launch", "a\u{1b}[31mred"],
        &["launch", "x", "--service", "payments"],
        &["launch", "x", "--service", "Pay ments=1"],
        &["launch", "x", "--service", "payments=a/b"],
        &["launch", "x", "--service", "payments=1", "--service", "payments=2"],
        &many_services,
        &["launch", "x", "--note", &long_note],
        &["launch", "x", "--note", "a\u{7}b"],
        &["launch", "x", "--ttl", "3x"],
        &["launch", "x", "--ttl", ""],
        &["launch", "x", "--ttl", "1s"],
        &["extend", "checkout-fix"],
        &["extend", "checkout-fix", "--by", "soon"],
        &["extend", "checkout-fix", "--by", "0s"],
        &["terminate", "checkout-fix"],
        &["launch", "x", "--ttl", "500000000000y"],
        &["activity", "--since", "6000000000000000000000y"],
        &["logs", "checkout-fix", "--source", "a/b"],
        &["logs", "checkout-fix", "--source", "a:b"],
        &["logs", "checkout-fix", "--source", "arn:aws:logs:eu-west-1:123456789012:log-group:x"],
        &["open", "checkout-fix", "database"],
        &["engine", "--dry-run"],
        &["ls", "--jsno"],
        &["ls", "extra"],
    ];
    insta::assert_snapshot!(transcripts(&account, &command_lines).await);
}

#[tokio::test(start_paused = true)]
async fn too_late_and_refused() {
    let account = TestAccount::new(FLEET);
    account.run(&["terminate", "expired", "--yes"]).await.ok();
    account.run(&["extend", "checkout-fix", "--by", "300d"]).await.ok();
    let command_lines: [&[&str]; 3] = [
        &["extend", "expired", "--by", "1h"],
        &["extend", "checkout-fix", "--by", "1h"],
        &["launch", "x", "--ttl", "30d"],
    ];
    let mut text = transcripts(&account, &command_lines).await;
    account.run(&["fleet", "set", "min-version=99.0.0"]).await.ok();
    text += &transcripts(&account, &[&["launch", "x"]]).await;
    insta::assert_snapshot!(text);
}

#[tokio::test(start_paused = true)]
async fn no_database_left() {
    let account = TestAccount::new("[policy]\nspare = \"0\"\nmax-databases = \"1\"\n");
    account.run(&["launch", "first"]).await.ok();
    insta::assert_snapshot!(transcripts(&account, &[&["launch", "x"]]).await);
}

#[tokio::test(start_paused = true)]
async fn periods_longer_than_the_calendar() {
    let account = TestAccount::new(FLEET);
    account.run(&["activity", "--since", "500000000000y"]).await.ok();
    account.run(&["logs", "checkout-fix", "--since", "500000000000y"]).await.ok();
    account.run(&["activity", "--since", "300000y"]).await.ok();
    account.run(&["extend", "checkout-fix", "--by", "500000000000y"]).await.ok();
}

#[tokio::test(start_paused = true)]
async fn read_only_refuses_writes() {
    let account = TestAccount::new(FLEET);
    let command_lines: [&[&str]; 10] = [
        &["launch", "x", "--read-only"],
        &["extend", "checkout-fix", "--by", "1h", "--read-only"],
        &["terminate", "checkout-fix", "--yes", "--read-only"],
        &["engine", "--once", "--read-only"],
        &["engine", "--read-only"],
        &["fleet", "set", "spare=2", "--read-only"],
        &["ssh", "checkout-fix", "--read-only"],
        &["db", "checkout-fix", "--read-only"],
        &["kubeconfig", "checkout-fix", "--read-only"],
        &["connect", "checkout-fix", "--read-only", "--", "true"],
    ];
    let text = transcripts(&account, &command_lines).await;
    assert_eq!(text.matches("exit 4").count(), command_lines.len());
    insta::assert_snapshot!(text.lines().take(3).collect::<Vec<_>>().join("\n"));
    for arguments in [&["engine", "--once", "--dry-run", "--read-only"][..], &["ls", "--read-only"]] {
        account.run(arguments).await.ok();
    }
}

#[tokio::test(start_paused = true)]
async fn invalid_setting_of_each_kind() {
    let account = TestAccount::new(FLEET);
    let mut text = String::new();
    for setting in SETTINGS {
        let assignment = format!("{}=\u{1b} no such value", setting.name);
        let run = account.run(&["fleet", "set", &assignment]).await;
        assert_eq!(run.code, ExitCode::from(2), "{}", setting.name);
        text.push_str(run.err.trim_start_matches("hatchery: "));
    }
    insta::assert_snapshot!(text);
}

#[tokio::test(start_paused = true)]
async fn invalid_settings() {
    let account = TestAccount::new(FLEET);
    let command_lines: [&[&str]; 19] = [
        &["fleet", "set", "spare"],
        &["fleet", "set", "sparse=2"],
        &["fleet", "set", "spare=1001"],
        &["fleet", "set", "ttl=400d"],
        &["fleet", "set", "ttl=8d"],
        &["fleet", "set", "ttl=500000000000y"],
        &["fleet", "set", "max-lifetime=300000y"],
        &["fleet", "set", "spare=41"],
        &["fleet", "set", "spare=auto", "spare-min=9", "spare-max=3"],
        &["fleet", "set", "hours=Mon-Fri"],
        &["fleet", "set", "hours=Mon-Fri 19:00-07:00 Nowhere/City"],
        &["fleet", "set", "source-database="],
        &["fleet", "set", "source-database=nobody"],
        &["fleet", "set", "source-database=rds:integration-2026-03-10-06-00"],
        &["fleet", "set", "source-database=arn:aws:rds:eu-west-1:123456789012:db:integration"],
        &["fleet", "set", "subnets=subnet-0000"],
        &["fleet", "set", "tags=Cost Center=42"],
        &["fleet", "set", "tags=team=payments,aws:team=payments"],
        &["fleet", "set", "tags=team=payments,team=kyc"],
    ];
    insta::assert_snapshot!(transcripts(&account, &command_lines).await);
}

#[tokio::test(start_paused = true)]
async fn invalid_new_fleets() {
    let account = TestAccount::new("");
    let base = ["fleet", "init", "--subnets", "subnet-0a", "--database-subnet-group", "private"];
    let cases: [&[&str]; 8] = [
        &["qa"],
        &["QA", "--source-database", "integration", "--security-group", "sg-0a1"],
        &["qa", "--source-database", "nobody", "--security-group", "sg-1"],
        &["qa", "--source-database", "integration", "--security-group", "sg 1"],
        &["qa", "--source-database", "integration", "--security-group", "sg-0a1", "--key-name", ""],
        &["qa", "--source-database", "integration", "--security-group", "sg-0a1", "--spare", "many"],
        &["qa", "--source-database", "integration", "--security-group", "sg-0a1", "--volume-gib", "1"],
        &["qa", "--source-database", "integration", "--security-group", "sg-0a1", "--user-data", "/no/file"],
    ];
    let command_lines: Vec<Vec<&str>> = cases.iter().map(|case| [&base[..], case].concat()).collect();
    let command_lines: Vec<&[&str]> = command_lines.iter().map(Vec::as_slice).collect();
    insta::assert_snapshot!(transcripts(&account, &command_lines).await);
}

#[tokio::test(start_paused = true)]
async fn failed_step_fails_the_pass() {
    let account = TestAccount::new("[policy]\nspare = \"1\"\n[faults]\ndatabase-quota = 0\n");
    let run = account.run(&["engine", "--once"]).await;
    insta::assert_snapshot!(format!("{}{}", run.out, run.transcript()));
    // With JSON too, and with one document.
    account.clock.sleep(std::time::Duration::from_mins(2)).await;
    let run = account.run(&["engine", "--once", "--json"]).await;
    assert_eq!((run.code, run.err.lines().count()), (ExitCode::FAILURE, 1), "{run:#?}");
    assert!(run.pretty_json().contains("\"outcome\": \"failed\""), "{run:#?}");
    // The next try waits, and waiting is no failure.
    account.run(&["engine", "--once"]).await.ok();
}

#[tokio::test(start_paused = true)]
async fn denied_by_aws() {
    let account = TestAccount::new("[faults]\ndenied = 1.0\n");
    let command_lines: [&[&str]; 6] = [
        &["ls"],
        &["ls", "--fleet", "dev"],
        &["activity", "--fleet", "dev"],
        &["launch", "x", "--fleet", "dev"],
        &["fleet", "ls"],
        &["fleet", "set", "spare=2", "--fleet", "dev"],
    ];
    insta::assert_snapshot!(transcripts(&account, &command_lines).await);
    let doctor = account.run(&["doctor"]).await;
    assert_eq!(doctor.code, ExitCode::FAILURE);
    insta::assert_snapshot!("doctor_denied", doctor.out);
}

#[test]
fn cloud_error_of_each_class() {
    let mut text = String::new();
    for (class, code, message) in [
        (ErrorClass::Auth, "NoCredentials", "no credentials were found"),
        (ErrorClass::Auth, "ExpiredToken", "The security token included in the request is expired"),
        (ErrorClass::Auth, "InvalidClientTokenId", "The security token included in the request is invalid"),
        (ErrorClass::Auth, "UnauthorizedOperation", "You are not authorized to perform this operation"),
        (ErrorClass::NotFound, "InvalidSubnetID.NotFound", "The subnet ID 'subnet-1' does not exist"),
        (ErrorClass::Quota, "VcpuLimitExceeded", "You have requested more vCPU capacity than your limit"),
        (ErrorClass::Throttled, "RequestLimitExceeded", "Request limit exceeded"),
        (ErrorClass::Capacity, "InsufficientInstanceCapacity", "There is no capacity in eu-west-1a"),
        (ErrorClass::Unknown, "TimedOut", "no answer within 30 s"),
        (ErrorClass::Transient, "Unreachable", "the endpoint cannot be reached"),
        (ErrorClass::Transient, "InternalError", "An internal error has occurred"),
        (ErrorClass::AlreadyExists, "AlreadyExists", "The name is taken"),
        (ErrorClass::Invalid, "InvalidParameterValue", "The value is not valid"),
    ] {
        let failure = Failure::cloud("cannot launch", &CloudError::new(class, "RunInstances", code, message));
        let code = failure.kind.exit_code();
        writeln!(text, "{class} → {} (exit {code}): {}", failure.kind.as_str(), failure.sentence()).unwrap();
    }
    insta::assert_snapshot!(text);
}

#[rstest]
#[case("unknown_field", "colour = 1\n")]
#[case("not_toml", "theme = [\n")]
#[case("refresh_too_short", "refresh = \"1s\"\n")]
#[case("refresh_too_long", "refresh = \"500000000000y\"\n")]
#[case("refresh_not_a_duration", "refresh = \"often\"\n")]
#[case("unknown_theme", "theme = \"neon\"\n")]
#[case("unknown_action", "[keys]\nfly = \"f\"\n")]
#[case("unknown_key", "[keys]\nlaunch = \"ctrl-banana\"\n")]
#[case("key_bound_twice", "[keys]\nlaunch = \"q\"\n")]
#[case("no_key_quits", "[keys]\nquit = []\n")]
fn config_error(#[case] name: &str, #[case] config: &str) {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("hatchery")).unwrap();
    std::fs::write(home.path().join("hatchery/config.toml"), config).unwrap();
    let run = run_binary(&["demo"], home.path());
    insta::assert_snapshot!(format!("config_error_{name}"), format!("{config}\n{}", run.transcript()));
}

#[test]
fn files_that_cannot_be_used() {
    let home = tempfile::tempdir().unwrap();
    let missing = home.path().join("missing.toml");
    let log = home.path().join("no/such/folder/log");
    let mut text = run_binary(&["demo", "--config", missing.to_str().unwrap()], home.path()).transcript();
    text += &run_binary(&["demo", "--log-file", log.to_str().unwrap()], home.path()).transcript();
    text += &run_binary(&["demo", "--theme", "neon"], home.path()).transcript();
    insta::assert_snapshot!(text);
}

#[test]
fn demo_needs_a_terminal() {
    let home = tempfile::tempdir().unwrap();
    let run = run_binary(&["demo"], home.path());
    insta::assert_snapshot!(run.transcript());
}

#[test]
fn usage_errors_of_the_binary() {
    let home = tempfile::tempdir().unwrap();
    let text: String = [
        &["launch"][..],
        &["lunch"],
        &["launch", "x", "--ttl", "3x"],
        &["demo", "--speed", "0"],
        &["open", "x", "database"],
        &["completions", "tcsh"],
    ]
    .map(|arguments| run_binary(arguments, home.path()).transcript())
    .concat();
    insta::assert_snapshot!(text);
}

/// Neither the parser's words, nor a name that was not set.
#[cfg(unix)]
#[rstest]
#[case("HATCHERY_FLEET", "set it to the name of a fleet, or unset it")]
#[case("HATCHERY_OWNER", "set it to 1 to 64 printable characters, or unset it")]
#[case("HATCHERY_LOG", "such as hatchery=debug, or unset it")]
fn variable_that_is_not_utf8_is_named(#[case] name: &str, #[case] hint: &str) {
    use std::os::unix::ffi::OsStrExt as _;
    let home = tempfile::tempdir().unwrap();
    let value = std::ffi::OsStr::from_bytes(b"d\xff\x1b[31mv");
    for arguments in [&["ls"][..], &["ls", "--json"], &["demo"], &["lunch"]] {
        let run = run_binary_with(arguments, home.path(), &[(name, value)]);
        assert_eq!(run.code, ExitCode::from(2), "{run:#?}");
        assert!(run.err.starts_with(&format!("hatchery: {name} is not UTF-8: \"d�v\"; ")), "{run:#?}");
        assert!(run.err.contains(hint) && run.err.lines().count() == 1, "{run:#?}");
        assert_eq!(run.out.contains("\"code\":\"usage\""), arguments.contains(&"--json"), "{run:#?}");
    }
    run_binary_with(&["--help"], home.path(), &[(name, value)]).ok();
}

#[cfg(not(feature = "aws"))]
#[test]
fn binary_without_aws_support() {
    let home = tempfile::tempdir().unwrap();
    let run = run_binary(&["ls"], home.path());
    assert_eq!(run.code, ExitCode::FAILURE);
    assert_eq!(
        run.err,
        "hatchery: this hatchery was built without AWS support; run hatchery demo, or build with the feature aws\n"
    );
}
