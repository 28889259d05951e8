//! The README's way from an empty account to the first environment: its own commands, run on emulators.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use aws_sdk_ec2::types::Tag;

use crate::stack::restrict;
use crate::support::account::Account;
use crate::support::binary::{Run, command_through};
use crate::support::emulator::{Emulator, REGION};
use crate::support::image_builder::ImageBuilder;
use crate::support::ministack::Ministack;
use crate::support::moto::Moto;
use crate::support::python::VirtualEnvironment;
use crate::support::transcript::{Shell, Step, steps};

const README: &str = include_str!("../../README.md");
const HEADING: &str = "### From an empty account to the first environment";

/// AWS's command line.
static AWS_CLI: VirtualEnvironment =
    VirtualEnvironment { name: "aws-cli", requirements: &["awscli==1.46.3"] };

/// Commands of the README, and what `hatchery doctor` says before them.
const NEXT_COMMANDS: [(&str, &str); 5] = [
    ("aws cloudformation deploy", "deploy the template of hatchery stack"),
    ("hatchery images bake base", "hatchery images bake base"),
    ("hatchery images bake service", "hatchery images bake service"),
    (
        "aws rds create-db-snapshot",
        "aws rds create-db-snapshot --db-instance-identifier integration --db-snapshot-identifier integration-first",
    ),
    ("hatchery engine --once", "hatchery engine --once"),
];

/// An account without a fleet, behind the stub of Image Builder.
struct Newcomer<'e> {
    emulator: &'e Emulator,
    builder: ImageBuilder,
    image: String,
    folder: tempfile::TempDir,
    variables: BTreeMap<String, String>,
}

impl<'e> Newcomer<'e> {
    async fn new(emulator: &'e Emulator) -> Self {
        let seed = emulator.seed("dev").await;
        let ec2 = emulator.ec2().await;
        let tag = Tag::builder().key("hatchery:image").build();
        ec2.delete_tags().resources(&seed.image).tags(tag).send().await.unwrap();
        emulator.create_source_database("integration", "integration", &seed.subnets).await;
        let rds = emulator.rds().await;
        let found = rds.describe_db_snapshots().db_instance_identifier("integration").send().await.unwrap();
        for snapshot in found.db_snapshots() {
            let id = snapshot.db_snapshot_identifier().unwrap();
            rds.delete_db_snapshot().db_snapshot_identifier(id).send().await.unwrap();
        }
        let found = ec2.describe_subnets().subnet_ids(&seed.subnets[0]).send().await.unwrap();
        let vpc = found.subnets()[0].vpc_id().unwrap().to_owned();

        let builder = ImageBuilder::start_unused(emulator.address(), &seed.image);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("hatchery-lambda-aarch64.zip"), "not run").unwrap();
        let mut variables: BTreeMap<_, _> = emulator.env_through(&builder.url()).into_iter().collect();
        let programs = [
            Path::new(env!("CARGO_BIN_EXE_hatchery")).parent().unwrap().to_owned(),
            AWS_CLI.program("aws").parent().unwrap().to_owned(),
        ];
        let path =
            std::env::join_paths(programs.into_iter().chain(std::env::split_paths(&variables["PATH"])));
        let subnets = seed.subnets.join(",");
        for (name, value) in [
            ("PATH", path.unwrap().to_str().unwrap()),
            ("HATCHERY_OWNER", "amy"),
            // Version 1 of the AWS CLI, which PyPI has, does not know AWS_REGION.
            ("AWS_DEFAULT_REGION", REGION),
            ("VPC", &vpc),
            ("SUBNETS", &subnets),
            ("DATABASE_SUBNETS", &subnets),
            ("VPN", "10.8.0.0/16"),
            ("REGISTRY", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/services"),
            ("SERVICES", "payments,kyc"),
            ("CHART", "oci://123456789012.dkr.ecr.eu-west-1.amazonaws.com/chart"),
            ("BUCKET", "acme-artifacts"),
            ("DATABASE", "integration"),
            ("SECRET", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:integration-a1b2c3"),
        ] {
            variables.insert(name.to_owned(), value.to_owned());
        }
        Self { emulator, builder, image: seed.image, folder, variables }
    }

    async fn run(&self, step: &Step) {
        let shell = Shell { folder: self.folder.path().to_owned(), variables: self.variables.clone() };
        let step = step.clone();
        tokio::task::spawn_blocking(move || shell.run(&step)).await.unwrap();
    }

    /// Asserts that `hatchery doctor` names the next command.
    fn assert_doctor_names(&self, next: &str) {
        let mut command = command_through(self.emulator, &self.builder.url());
        let run: Run = command.arg("doctor").output().unwrap().into();
        assert!(run.out.contains(next), "{next:?} is missing: {run:#?}");
    }

    /// What AWS differs in: it creates the whole template, and runs the schedule.
    async fn prepare(&self, step: &Step) {
        let command = step.command.as_str();
        if command.starts_with("aws cloudformation deploy") {
            let path = self.folder.path().join("hatchery.yaml");
            let template = std::fs::read_to_string(&path).unwrap();
            std::fs::write(&path, restrict(self.emulator, &template)).unwrap();
        } else if command == "hatchery doctor" {
            self.assert_doctor_names("the scheduled engine has not run for an hour");
            let account = Account::new(self.emulator).await;
            account.put_log("/aws/lambda/hatchery-dev", "2026/11/26/[$LATEST]0", &["START"]).await;
        }
    }

    async fn follow_readme(&self) {
        for step in steps(README, HEADING) {
            let next = NEXT_COMMANDS.iter().find(|(command, _)| step.command.starts_with(command));
            if let Some((_, next)) = next {
                self.assert_doctor_names(next);
            }
            self.prepare(&step).await;
            self.run(&step).await;
        }
    }

    /// What Image Builder and the instances do while the commands run.
    async fn play_aws(&self) {
        let account = Account::new(self.emulator).await;
        let ec2 = self.emulator.ec2().await;
        loop {
            if self.builder.builds_services() {
                let tag = Tag::builder().key("hatchery:image").value("dev").build();
                ec2.create_tags().resources(&self.image).tags(tag).send().await.unwrap();
            }
            for instance in account.inspect().await.active() {
                if !instance.tags.contains_key("hatchery:phase") {
                    account.set_phase(&instance.id, "ready").await;
                }
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

async fn follow_readme_on(emulator: &Emulator) {
    let newcomer = Box::pin(Newcomer::new(emulator)).await;
    tokio::select! {
        () = Box::pin(newcomer.follow_readme()) => {}
        () = Box::pin(newcomer.play_aws()) => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readme_leads_to_the_first_environment_on_moto() {
    follow_readme_on(&Moto::start()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readme_leads_to_the_first_environment_on_ministack() {
    follow_readme_on(&Ministack::start()).await;
}
