//! What `fleet init`, `fleet set` and `doctor` say before a restore fails: the source's kind, and what each zone of the fleet has.

use rstest::rstest;

use crate::support::account::{Account, init, init_arguments};
use crate::support::binary::{Run, hatchery};
use crate::support::emulator::Seed;
use crate::support::moto::Moto;

/// A value that AWS contradicts: the setting, its value, the exit code, and the sentence.
struct Wrong {
    setting: &'static str,
    value: String,
    code: i32,
    sentence: String,
}

fn wrong(setting: &'static str, value: impl Into<String>, code: i32, sentence: impl Into<String>) -> Wrong {
    Wrong { setting, value: value.into(), code, sentence: sentence.into() }
}

async fn aurora(moto: &Moto, _: &Seed) -> Wrong {
    create_member(moto, "aurora-postgresql", "aurora-1").await;
    wrong("source-database", "aurora-1", 5, "\"aurora-1\" cannot be the source: it is an Aurora database")
}

async fn member_of_a_cluster(moto: &Moto, _: &Seed) -> Wrong {
    create_member(moto, "postgres", "member-1").await;
    wrong("source-database", "member-1", 5, "it is a member of the DB cluster \"cluster\"")
}

async fn create_member(moto: &Moto, engine: &str, id: &str) {
    let rds = moto.rds().await;
    let cluster = rds
        .create_db_cluster()
        .db_cluster_identifier("cluster")
        .engine(engine)
        .master_username("root")
        .master_user_password("not-a-secret")
        .db_cluster_instance_class("db.m6g.large")
        .allocated_storage(100)
        .iops(1000)
        .storage_type("io1");
    cluster.send().await.unwrap();
    let member = rds.create_db_instance().db_instance_identifier(id).db_instance_class("db.m6g.large");
    member.engine(engine).db_cluster_identifier("cluster").send().await.unwrap();
}

async fn class_of_one_zone(_: &Moto, _: &Seed) -> Wrong {
    let sentence = "RDS does not offer db.m6g.large with postgres 17.6 in eu-west-1b, where subnets";
    wrong("database-class", "db.m6g.large", 3, sentence)
}

async fn class_of_no_zone(_: &Moto, _: &Seed) -> Wrong {
    let sentence = "RDS does not offer db.x1.small with postgres 17.6 in eu-west-1a and eu-west-1b";
    wrong("database-class", "db.x1.small", 3, sentence)
}

async fn create_subnet_group(moto: &Moto, name: &str, subnet: &str) {
    let group = moto.rds().await.create_db_subnet_group().db_subnet_group_name(name).subnet_ids(subnet);
    group.db_subnet_group_description("test").send().await.unwrap();
}

async fn group_of_one_zone(moto: &Moto, seed: &Seed) -> Wrong {
    create_subnet_group(moto, "one-zone", &seed.subnets[0]).await;
    let sentence = "DB subnet group \"one-zone\" has no subnet in eu-west-1b, where subnets";
    wrong("database-subnet-group", "one-zone", 3, sentence)
}

async fn other_vpc(moto: &Moto) -> String {
    let vpc = moto.ec2().await.create_vpc().cidr_block("10.30.0.0/16").send().await.unwrap();
    vpc.vpc().unwrap().vpc_id().unwrap().to_owned()
}

async fn group_of_another_vpc(moto: &Moto, _: &Seed) -> Wrong {
    let vpc = other_vpc(moto).await;
    let subnet = moto.ec2().await.create_subnet().vpc_id(&vpc).cidr_block("10.30.0.0/24");
    let subnet = subnet.availability_zone("eu-west-1a").send().await.unwrap();
    create_subnet_group(moto, "elsewhere", subnet.subnet().unwrap().subnet_id().unwrap()).await;
    let sentence = format!("DB subnet group \"elsewhere\" is in {vpc}, and subnet subnet-");
    wrong("database-subnet-group", "elsewhere", 2, sentence)
}

async fn security_group_of_another_vpc(moto: &Moto, _: &Seed) -> Wrong {
    let vpc = other_vpc(moto).await;
    let group = moto.ec2().await.create_security_group().group_name("db").description("db").vpc_id(&vpc);
    let group = group.send().await.unwrap().group_id.unwrap();
    let sentence = format!("database security group {group} (db) is in {vpc}, and DB subnet group");
    wrong("database-security-groups", group, 2, sentence)
}

async fn missing_parameter_group(_: &Moto, _: &Seed) -> Wrong {
    wrong("database-parameter-group", "nobody", 3, "there is no DB parameter group \"nobody\"")
}

async fn parameter_group_of_another_family(moto: &Moto, _: &Seed) -> Wrong {
    let group =
        moto.rds().await.create_db_parameter_group().db_parameter_group_name("old").description("old");
    group.db_parameter_group_family("postgres16").send().await.unwrap();
    let sentence = "DB parameter group \"old\" is of the family postgres16, and database \"dev-integration\" needs postgres17";
    wrong("database-parameter-group", "old", 2, sentence)
}

#[rstest]
#[case::aurora(aurora, true)]
#[case::cluster(member_of_a_cluster, true)]
#[case::class_of_one_zone(class_of_one_zone, false)]
#[case::class_of_no_zone(class_of_no_zone, true)]
#[case::group_of_one_zone(group_of_one_zone, false)]
#[case::group_of_another_vpc(group_of_another_vpc, true)]
#[case::security_group_of_another_vpc(security_group_of_another_vpc, true)]
#[case::missing_parameter_group(missing_parameter_group, true)]
#[case::parameter_group_of_another_family(parameter_group_of_another_family, true)]
#[tokio::test(flavor = "multi_thread")]
async fn settings_that_fail_restores_are_refused(
    #[case] prepare: impl AsyncFn(&Moto, &Seed) -> Wrong,
    #[case] is_error: bool,
) {
    let moto = Moto::start();
    init(&moto, "dev", &["--spare", "0"]).await;
    let seed = moto.seed_of("dev");
    let Wrong { setting, value, code, sentence } = prepare(&moto, &seed).await;

    let mut arguments = init_arguments(&seed, "qa", &["--spare", "0", "--image-tag", "dev", "--dry-run"]);
    hatchery(&moto, &arguments.iter().map(String::as_str).collect::<Vec<_>>()).ok();
    let flag = format!("--{setting}");
    match arguments.iter().position(|argument| *argument == flag) {
        Some(index) => arguments[index + 1].clone_from(&value),
        None => arguments.extend([flag, value.clone()]),
    }
    let run: Run = hatchery(&moto, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    run.fails(code, &[&sentence, "nothing was written"]);

    let pair = format!("{setting}={value}");
    hatchery(&moto, &["fleet", "set", &pair, "--fleet", "dev"])
        .fails(code, &[&sentence, "nothing was changed"]);
    let shown = hatchery(&moto, &["fleet", "show", "--fleet", "dev", "--json"]).ok().json();
    assert_ne!(shown["settings"][setting], value.as_str());

    // The setting of a fleet that was right when it was made.
    Account::new(&moto).await.tag_record("hatchery/dev", &format!("hatchery:{setting}"), &value).await;
    let doctor = hatchery(&moto, &["doctor", "--fleet", "dev"]);
    let line = doctor.out.lines().find(|line| line.contains(&sentence));
    let line = line.unwrap_or_else(|| panic!("{sentence:?} is missing: {doctor:#?}"));
    assert_eq!(line.contains("error"), is_error, "{line}");
    assert!(is_error || line.contains("warning"), "{line}");
}

#[tokio::test]
async fn missing_key_pair_is_refused() {
    let moto = Moto::start();
    let seed = moto.seed("dev").await;
    let arguments = init_arguments(&seed, "dev", &["--key-name", "nobody"]);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    hatchery(&moto, &arguments)
        .fails(3, &["there is no key pair \"nobody\" in eu-west-1", "nothing was written"]);
    let ec2 = moto.ec2().await;
    ec2.create_key_pair().key_name("nobody").send().await.unwrap();
    hatchery(&moto, &arguments).ok();
    let before = hatchery(&moto, &["doctor"]).out;
    ec2.delete_key_pair().key_name("nobody").send().await.unwrap();
    let doctor = hatchery(&moto, &["doctor"]);
    let sentence = "there is no key pair";
    assert!(!before.contains(sentence) && doctor.code == 1 && doctor.out.contains(sentence), "{doctor:#?}");
}
