//! What settings take, what they write, and what contradicts itself.

#![allow(clippy::float_cmp)] // what is read is what was written

use super::*;

fn dev() -> FleetName {
    "dev".parse().unwrap()
}

fn set(name: &str, value: &str) -> Result<Policy, InvalidName> {
    let mut policy = Policy::for_fleet(&dev());
    Setting::find(name).unwrap().set(&mut policy, value).map(|()| policy)
}

#[test]
fn every_setting_reads_what_it_writes() {
    let mut policy = Policy::for_fleet(&dev());
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
        ("subnets", "subnet-1, subnet-2"),
        ("allow-public", "sg-9"),
        ("url.app", "https://{name}.example.org/"),
        ("price.instance", "0.3328"),
        ("paused", "true"),
        ("min-version", "1.2.3"),
        ("last-number", "41"),
        ("restore-failures", "2026-01-05T03:10:00Z 7 9"),
    ] {
        Setting::find(name).unwrap().set(&mut policy, value).unwrap();
    }
    assert_eq!(Policy::parse(&policy.tags(), &dev()), (policy, Vec::new()));
}

#[test]
fn a_fleet_begins_with_the_published_figures() {
    let Policy { ttl, max_lifetime, grace, snapshot_drift, .. } = Policy::for_fleet(&dev());
    let minutes = [ttl, max_lifetime, grace, snapshot_drift].map(|length| length.as_secs() / 60);
    assert_eq!(minutes, [8 * 60, 7 * 24 * 60, 15, 24 * 60]);
}

#[test]
fn an_empty_fleet_says_what_is_missing() {
    let (policy, problems) = Policy::parse(&Tags::new(), &dev());
    assert_eq!(policy, Policy::for_fleet(&dev()));
    assert_eq!(
        problems,
        [
            "setting source-database is missing",
            "setting database-subnet-group is missing",
            "setting subnets is missing"
        ]
    );
}

#[test]
fn the_most_that_a_setting_takes_is_taken() {
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
    assert_eq!(set("paused", "on").unwrap(), Policy { paused: true, ..Policy::for_fleet(&dev()) });
    assert!(!set("paused", "0").unwrap().paused);
    assert_eq!(set("price.database", "").unwrap().price_database, None);
    assert_eq!(set("allow-public", "sg-1,,sg-2 ").unwrap().allow_public, ["sg-1", "sg-2"]);
}

#[test]
fn a_setting_without_a_value_has_no_tag() {
    let policy = Policy::for_fleet(&dev());
    let named = |name| Setting::find(name).unwrap();
    assert_eq!(named("paused").get(&policy), None);
    assert_eq!(named("spare").get(&policy).as_deref(), Some("1"));
    assert!(Setting::find("spares").is_none());
    assert!(!policy.tags().contains_key("hatchery:paused"));
}

#[test]
fn settings_that_contradict_each_other_are_said() {
    let whole = Policy {
        source_database: "integration".into(),
        database_subnet_group: "private".into(),
        subnets: vec![SubnetId::new("subnet-1")],
        max_databases: 4,
        ..Policy::for_fleet(&dev())
    };
    let gaps = |change: fn(&mut Policy)| {
        let mut policy = whole.clone();
        change(&mut policy);
        policy.gaps().join("; ")
    };
    assert_eq!(gaps(|policy| policy.spare = Spare::Fixed(4)), "");
    assert_eq!(gaps(|policy| policy.spare = Spare::Fixed(5)), "setting spare is higher than max-databases");
    assert_eq!(gaps(|policy| (policy.spare, policy.spare_min) = (Spare::Auto, 4)), "");
    assert_eq!(gaps(|policy| policy.spare_min = 5), "");
    let least = "setting spare-min is higher than max-databases";
    assert_eq!(gaps(|policy| (policy.spare, policy.spare_min) = (Spare::Auto, 5)), least);
    assert_eq!(gaps(|policy| policy.spare_min = 10), "");
    assert_eq!(gaps(|policy| policy.spare_min = 11), "setting spare-min is higher than spare-max");
    assert_eq!(gaps(|policy| policy.ttl = policy.max_lifetime), "");
    let ttl = "setting ttl is longer than max-lifetime";
    assert_eq!(gaps(|policy| policy.ttl = policy.max_lifetime + Duration::from_secs(1)), ttl);
}

#[test]
fn failures_in_a_row_wait_longer_and_longer_and_then_stop() {
    let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    let noon = at("2026-03-02T12:00:00Z");
    let mut failures = RestoreFailures::default();
    assert_eq!((failures.retry_at(), failures.is_spent(), failures.to_tag().as_str()), (None, false, ""));
    for (number, minutes) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 32), (7, 64), (8, 64)] {
        failures = failures.and(Number(number), noon);
        // The same failure, seen by another engine.
        assert_eq!(failures, failures.and(Number(number), noon));
        assert_eq!(failures.retry_at(), Some(noon + Duration::from_mins(minutes)));
        assert_eq!(failures.is_spent(), number >= 5);
    }
    assert_eq!(failures.to_tag(), "2026-03-02T12:00:00Z 1 2 3 4 5 6 7 8");
}

#[test]
fn bad_values_are_refused_with_the_rule() {
    for (name, value) in [
        ("spare", "-1"),
        ("spare", "many"),
        ("spare", "1001"),
        ("spare", "Auto 3"),
        ("pool-hit-rate", "0"),
        ("pool-hit-rate", "101"),
        ("pool-hit-rate", "NaN"),
        ("spare-max", "lots"),
        ("hours", "office"),
        ("hours", "Mon-Fri 07:00-19:00 Berlin"),
        ("ttl", "soon"),
        ("ttl", "9999999h"),
        ("source-database", ""),
        ("subnets", "vpc-1"),
        ("url.app", "javascript:alert(1)"),
        ("price.instance", "NaN"),
        ("paused", "perhaps"),
        ("min-version", "one"),
        ("image-tag", "a\u{1b}[31m"),
    ] {
        let error = set(name, value).unwrap_err();
        assert!(error.to_string().starts_with(&format!("setting {name} ")), "{error}");
    }
}
