//! Parsing and formatting of settings, and contradictions between them.

#![allow(clippy::float_cmp)] // parsed values are exact

use rstest::rstest;

use super::*;
use crate::domain::tags::key;

fn dev() -> FleetName {
    "dev".parse().unwrap()
}

fn set(name: &str, value: &str) -> Result<Policy, InvalidName> {
    let mut policy = Policy::new(&dev());
    Setting::find(name).unwrap().set(&mut policy, value).map(|()| policy)
}

#[test]
fn settings_round_trip_through_tags() {
    let mut policy = Policy::new(&dev());
    for (name, value) in [
        ("spare", "auto"),
        ("pool-hit-rate", "99.5 %"),
        ("spare-min", "1"),
        ("spare-max", "6"),
        ("hours", "mon-fri 7:00-19:00, Sat 09:00-12:00 Europe/Berlin"),
        ("ttl", "2h 30m"),
        ("source-database", "integration"),
        ("database-subnet-group", "private"),
        ("database-security-groups", "sg-1 sg-2"),
        ("database-parameter-group", "tuned"),
        ("registry", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/acme"),
        ("subnets", "subnet-1, subnet-2"),
        ("allow-public", "sg-9"),
        ("access", "ssm"),
        ("tags", "team=payments, cost-center=42"),
        ("url.app", "https://{name}.example.org/"),
        ("price.instance", "0.3328"),
        ("paused", "true"),
        ("draining", "true"),
        ("min-version", "1.2.3"),
        ("last-number", "41"),
        ("restore-failures", "2026-01-05T03:10:00Z 7 9"),
    ] {
        Setting::find(name).unwrap().set(&mut policy, value).unwrap();
    }
    assert_eq!(Policy::parse(&policy.tags(), &dev()), (policy, Vec::new()));
}

/// If this fails, the version must change too: engines of both versions run side by side during an upgrade.
#[test]
fn digest_of_the_settings_changes_with_its_version_only() {
    let mut policy = Policy::new(&dev());
    for (name, value) in [
        ("source-database", "integration"),
        ("database-class", "db.t4g.small"),
        ("database-subnet-group", "private"),
        ("database-security-groups", "sg-1 sg-2"),
        ("database-parameter-group", "tuned"),
        ("database-iam-auth", "true"),
    ] {
        Setting::find(name).unwrap().set(&mut policy, value).unwrap();
    }
    assert_eq!(policy.database_settings(), "1-89c8eeb9fff4a0d8");
}

#[test]
fn defaults_are_the_published_figures() {
    let Policy { ttl, max_lifetime, grace, snapshot_drift, .. } = Policy::new(&dev());
    let minutes = [ttl, max_lifetime, grace, snapshot_drift].map(|length| length.as_secs() / 60);
    assert_eq!(minutes, [8 * 60, 7 * 24 * 60, 15, 24 * 60]);
}

#[test]
fn missing_settings_are_problems() {
    let (policy, problems) = Policy::parse(&Tags::new(), &dev());
    assert_eq!(policy, Policy::new(&dev()));
    let messages: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
    assert!(problems.iter().all(|problem| problem.stops_pool() && problem.stops_launches()));
    assert_eq!(
        messages,
        [
            "setting source-database is missing",
            "setting database-subnet-group is missing",
            "setting subnets is missing"
        ]
    );
}

#[test]
fn limits_of_settings_are_accepted() {
    assert_eq!(set("spare", "1000").unwrap().spare, Spare::Fixed(1_000));
    assert_eq!(set("pool-hit-rate", "1").unwrap().pool_hit_rate, 1.0);
    assert_eq!(set("pool-hit-rate", "100 %").unwrap().pool_hit_rate, 100.0);
    assert_eq!(set("ttl", "366days 0.9s").unwrap_err().rule, set("ttl", "soon").unwrap_err().rule);
    assert_eq!(set("ttl", "1m 900ms").unwrap().ttl, Duration::from_mins(1));
    let word = "w".repeat(MAX_VALUE_CHARS);
    assert_eq!(set("image-tag", &word).unwrap().image_tag, word);
    assert!(set("image-tag", &format!("{word}w")).is_err());
    assert!(set("image-tag", "a b").is_err());
    assert_eq!(set("database-parameter-group", " ").unwrap().database_parameter_group, None);
    assert_eq!(set("paused", "on").unwrap(), Policy { paused: true, ..Policy::new(&dev()) });
    assert!(!set("paused", "0").unwrap().paused);
    assert_eq!(set("price.database", "").unwrap().price_database, None);
    assert_eq!(set("allow-public", "sg-1,,sg-2 ").unwrap().allow_public, ["sg-1", "sg-2"]);
}

#[rstest]
#[case("draining", key::DRAINING)]
#[case("paused", key::PAUSED)]
#[case("recycled-at", key::RECYCLED_AT)]
#[case("spare", key::SPARE)]
fn tag_that_is_written_is_a_setting(#[case] name: &str, #[case] tag: &str) {
    assert_eq!(Setting::find(name).unwrap().tag, tag);
}

#[test]
fn empty_setting_has_no_tag() {
    let policy = Policy::new(&dev());
    let named = |name| Setting::find(name).unwrap();
    assert_eq!(named("paused").get(&policy), None);
    assert_eq!(named("spare").get(&policy).as_deref(), Some("1"));
    assert!(Setting::find("spares").is_none());
    assert!(!policy.tags().contains_key("hatchery:paused"));
}

#[test]
fn contradictory_settings_are_problems() {
    let whole = Policy {
        source_database: "integration".into(),
        database_subnet_group: "private".into(),
        subnets: vec![SubnetId::new("subnet-1")],
        max_databases: 4,
        ..Policy::new(&dev())
    };
    let problems = |change: fn(&mut Policy)| {
        let mut policy = whole.clone();
        change(&mut policy);
        policy.problems().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(problems(|policy| policy.spare = Spare::Fixed(4)), "");
    assert_eq!(
        problems(|policy| policy.spare = Spare::Fixed(5)),
        "setting spare is higher than max-databases"
    );
    assert_eq!(problems(|policy| (policy.spare, policy.spare_min) = (Spare::Auto, 4)), "");
    assert_eq!(problems(|policy| policy.spare_min = 5), "");
    let min = "setting spare-min is higher than max-databases";
    assert_eq!(problems(|policy| (policy.spare, policy.spare_min) = (Spare::Auto, 5)), min);
    assert_eq!(problems(|policy| policy.spare_min = 10), "");
    assert_eq!(problems(|policy| policy.spare_min = 11), "setting spare-min is higher than spare-max");
    assert_eq!(problems(|policy| policy.ttl = policy.max_lifetime), "");
    let ttl = "setting ttl is longer than max-lifetime";
    assert_eq!(problems(|policy| policy.ttl = policy.max_lifetime + Duration::from_secs(1)), ttl);
}

#[test]
fn consecutive_failures_back_off_and_stop() {
    let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    let noon = at("2026-03-02T12:00:00Z");
    let mut failures = RestoreFailures::default();
    assert_eq!((failures.retry_at(), failures.is_exhausted(), failures.to_tag().as_str()), (None, false, ""));
    for (number, minutes) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 32), (7, 64), (8, 64)] {
        failures = failures.with(Number(number), noon);
        // Another engine finds the same failure.
        assert_eq!(failures, failures.with(Number(number), noon));
        assert_eq!(failures.retry_at(), Some(noon + Duration::from_mins(minutes)));
        assert_eq!(failures.is_exhausted(), number >= 5);
    }
    assert_eq!(failures.to_tag(), "2026-03-02T12:00:00Z 1 2 3 4 5 6 7 8");
}

#[rstest]
#[case("spare", "-1")]
#[case("spare", "many")]
#[case("spare", "1001")]
#[case("spare", "Auto 3")]
#[case("pool-hit-rate", "0")]
#[case("pool-hit-rate", "101")]
#[case("pool-hit-rate", "NaN")]
#[case("spare-max", "lots")]
#[case("hours", "office")]
#[case("hours", "Mon-Fri 07:00-19:00 Berlin")]
#[case("ttl", "soon")]
#[case("ttl", "9999999h")]
#[case("ttl", "0s")]
#[case("max-lifetime", "59s")]
#[case("source-database", "")]
#[case("subnets", "vpc-1")]
#[case("tags", "team")]
#[case("url.app", "javascript:alert(1)")]
#[case("access", "ssh")]
#[case("price.instance", "NaN")]
#[case("paused", "perhaps")]
#[case("recycled-at", "yesterday")]
#[case("min-version", "one")]
#[case("image-tag", "a\u{1b}[31m")]
fn invalid_value_is_rejected(#[case] name: &str, #[case] value: &str) {
    let error = set(name, value).unwrap_err();
    assert!(error.to_string().starts_with(&format!("setting {name} ")), "{error}");
}

#[rstest]
#[case("url.app", "ftp://x", Scope::Nothing)]
#[case("spare", "many", Scope::Pool)]
#[case("image-tag", "a b", Scope::Launches)]
#[case("database-class", "", Scope::Creation)]
#[case("paused", "perhaps", Scope::Engine)]
#[case("min-version", "one", Scope::Engine)]
fn invalid_setting_stops_only_what_depends_on_it(
    #[case] name: &str,
    #[case] value: &str,
    #[case] stops: Scope,
) {
    let whole =
        [("source-database", "integration"), ("database-subnet-group", "private"), ("subnets", "subnet-1")];
    let tags = whole.into_iter().chain([(name, value)]);
    let tags = tags.map(|(name, value)| (format!("hatchery:{name}"), value.to_owned())).collect();
    let problems = Policy::parse(&tags, &dev()).1;
    assert_eq!(problems.iter().map(|problem| problem.stops).max(), Some(stops), "{problems:?}");
}
