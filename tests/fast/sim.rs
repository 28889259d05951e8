//! The simulated cloud is as strict as AWS, and one seed always gives the same history.

use std::time::Duration;

use crate::support::contract::{self, Fixtures, TagReader};
use futures::FutureExt as _;
use hatchery::clock::Clock;
use hatchery::cloud::sim::{Intervention, Scenario, SimCloud};
use hatchery::cloud::{DynCloud, LaunchInstance, Template, collect};
use hatchery::domain::{ErrorClass, FleetName, InstanceState, Phase, Record};

fn clock() -> Clock {
    Clock::virtual_from("2026-03-02T09:00:00Z".parse().unwrap(), 1.0)
}

fn dev() -> FleetName {
    "dev".parse().unwrap()
}

fn tag_reader(sim: &SimCloud) -> TagReader {
    let sim = sim.clone();
    Box::new(move |id| {
        let tags = sim.inspect(|state| {
            let templates = state.templates().map(|(id, template)| (id, &template.tags));
            let launches =
                state.templates().filter_map(|(id, template)| Some((id, &template.launch.as_ref()?.tags)));
            let instances = state.instances().map(|(id, instance)| (id, &instance.tags));
            let databases = state.databases().map(|(id, database)| (id, &database.tags));
            let all = templates.chain(launches).chain(instances).chain(databases);
            all.filter(|(found, _)| *found == id).map(|(_, tags)| tags.clone()).collect()
        });
        futures::future::ready(tags).boxed()
    })
}

#[tokio::test(start_paused = true)]
async fn simulation_fulfils_the_contract() {
    let clock = clock();
    let sim = SimCloud::new(
        Scenario { services: vec!["payments".to_owned()], ..Scenario::default() },
        1,
        clock.clone(),
    );
    let fixtures = Fixtures {
        subnets: vec!["subnet-0a".into(), "subnet-0b".into(), "subnet-0c".into()],
        security_group: "sg-0a1".into(),
        source_database: "integration".into(),
        subnet_group: "private".into(),
        now: clock.now(),
        tags_of: tag_reader(&sim),
    };
    contract::check(&*sim.caller("amy"), &fixtures).await;
}

#[tokio::test(start_paused = true)]
async fn initial_environments_boot_and_restore() {
    let sim = SimCloud::new(Scenario::demo().unwrap(), 1, clock());
    let cloud = sim.caller("amy");
    tokio::time::sleep(Duration::from_mins(40)).await;
    let instances = collect(cloud.instances(&dev())).await;
    assert!(instances.complete);
    let ready = instances.iter().filter(|instance| instance.phase == Some(Phase::Ready)).count();
    assert_eq!(ready, 7, "all but the one whose bootstrap fails");
    for instance in instances.iter().filter(|instance| instance.phase == Some(Phase::Ready)) {
        let steps: Vec<_> = instance.timeline.values().copied().collect();
        assert!(steps.is_sorted() && steps.len() == Phase::PATH.len(), "{:?}", instance.timeline);
        assert!((120..900).contains(&instance.timeline[&Phase::Ready]));
    }
    let failed = instances.iter().find(|instance| instance.phase == Some(Phase::Failed)).unwrap();
    assert!(failed.detail.as_ref().unwrap().raw().contains("ImagePullBackOff"));
    let databases = collect(cloud.databases(&dev())).await;
    assert!(databases.iter().all(|database| database.status == "available"));
}

async fn records(cloud: &DynCloud) -> Vec<Record> {
    collect(cloud.templates(&dev())).await.items.into_iter().filter_map(Template::record).collect()
}

#[tokio::test(start_paused = true)]
async fn client_tokens_expire_as_documented() {
    let sim = SimCloud::new(Scenario::demo().unwrap(), 1, clock());
    let cloud: DynCloud = sim.caller("amy");
    let records = records(&cloud).await;
    let record = &records[0].id;
    let request =
        LaunchInstance { record: record.clone(), token: "t".into(), subnet: None, instance_type: None };
    let first = cloud.launch_instance(&request).await.unwrap();
    assert_eq!(cloud.launch_instance(&request).await.unwrap(), first);
    let other = LaunchInstance { instance_type: Some("m6i.2xlarge".into()), ..request.clone() };
    assert_eq!(cloud.launch_instance(&other).await.unwrap_err().code, "IdempotentParameterMismatch");
    cloud.terminate_instance(&first).await.unwrap();
    assert_eq!(cloud.launch_instance(&request).await.unwrap_err().code, "IdempotentInstanceTerminated");
    tokio::time::sleep(Duration::from_mins(2)).await;
    let ended = cloud.instance(&dev(), &first).await.unwrap().value.unwrap();
    assert_eq!(ended.state, InstanceState::Terminated);
    tokio::time::sleep(Duration::from_hours(2)).await;
    assert_eq!(cloud.instance(&dev(), &first).await.unwrap().value, None);
}

#[tokio::test(start_paused = true)]
async fn throttling_is_per_account() {
    let mut scenario = Scenario::default();
    scenario.faults.throttling = true;
    let sim = SimCloud::new(scenario, 1, clock());
    let (amy, jo) = (sim.caller("amy"), sim.caller("jo"));
    for _ in 0..50 {
        amy.fleet(&dev()).await.unwrap();
        jo.fleet(&dev()).await.unwrap();
    }
    assert_eq!(jo.fleet(&dev()).await.unwrap_err().class, ErrorClass::Throttled);
    tokio::time::sleep(Duration::from_secs(1)).await;
    jo.fleet(&dev()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn lost_response_leaves_its_effect() {
    let mut scenario = Scenario::demo().unwrap();
    scenario.faults.lost_response = 1.0;
    let sim = SimCloud::new(scenario, 1, clock());
    let cloud: DynCloud = sim.caller("amy");
    let records = records(&cloud).await;
    let id = &records[0].id;
    assert_eq!(cloud.delete_record(id).await.unwrap_err().class, ErrorClass::Unknown);
    assert_eq!(cloud.record(&dev(), id).await.unwrap().value, None);
}

async fn history_with_faults(seed: u64) -> Vec<String> {
    let mut scenario = Scenario::hostile().unwrap();
    scenario.environments = Scenario::demo().unwrap().environments;
    scenario.faults.operator_per_day = 40.0;
    let sim = SimCloud::new(scenario, seed, clock());
    let cloud: DynCloud = sim.caller("amy");
    for _ in 0..50 {
        let _ = records(&cloud).await;
        let instances = collect(cloud.instances(&dev())).await;
        if let Some(instance) = instances.items.first() {
            let _ = cloud.terminate_instance(&instance.id).await;
        }
        tokio::time::sleep(Duration::from_mins(30)).await;
    }
    sim.inspect(|state| state.history().map(|entry| format!("{entry:?}")).collect())
}

#[tokio::test(start_paused = true)]
async fn same_seed_gives_the_same_history() {
    let first = history_with_faults(7).await;
    assert!(first.len() > 100);
    assert!(first.iter().any(|entry| entry.contains("operator")), "what is done by hand has a name");
}

#[test]
fn history_is_independent_of_the_runtime() {
    let history = |seed| {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(history_with_faults(seed))
    };
    assert_eq!(history(7), history(7));
    assert_ne!(history(7), history(8));
}

#[tokio::test(start_paused = true)]
async fn services_get_new_images() {
    let sim = SimCloud::new(Scenario::demo().unwrap(), 1, clock());
    let cloud = sim.caller("amy");
    let fleet = cloud.fleet(&dev()).await.unwrap().unwrap();
    let registry = fleet.policy.registry.unwrap();
    let services = registry.services(&cloud.repositories(&registry).await.unwrap());
    assert!(services.contains(&"payments".to_owned()) && services.len() > 6, "{services:?}");
    let before = cloud.image_tags(&registry, "payments").await.unwrap();
    tokio::time::sleep(Duration::from_hours(12)).await;
    let after = cloud.image_tags(&registry, "payments").await.unwrap();
    assert!(after.valid().count() == after.tags.len() && after.tags.len() > 20, "{after:?}");
    assert_eq!(after.tags[4..10], before.tags[..6], "four were pushed in twelve hours");
    let missing = cloud.image_tags(&registry, "missing").await.unwrap_err();
    assert_eq!(missing.class, ErrorClass::NotFound);
    sim.change_faults(|faults| faults.registry_denied = true);
    let denied = cloud.image_tags(&registry, "payments").await.unwrap_err();
    assert_eq!((denied.class, denied.code.as_str()), (ErrorClass::Auth, "AccessDeniedException"));
    assert!(cloud.repositories(&registry).await.is_err());
    assert!(cloud.fleet(&dev()).await.is_ok(), "only the registry refuses");
}

#[test]
fn lost_tag_comes_back_as_it_was_when_it_was_last_removed() {
    let sim = SimCloud::new(Scenario::demo().unwrap(), 1, clock());
    let id = sim.inspect(|state| state.databases().next().unwrap().0.to_owned());
    let change = |change: Intervention| sim.intervene("operator", &change);
    let set = |value: Option<&str>| {
        change(Intervention::Tag(id.clone(), "team".to_owned(), value.map(ToOwned::to_owned)))
    };
    let restore = || change(Intervention::RestoreTag(id.clone(), "team".to_owned()));
    let value = || {
        sim.inspect(|state| {
            state.databases().find(|(own, _)| *own == id).unwrap().1.tags.get("team").cloned()
        })
    };
    for value in ["old", "new"] {
        assert!(set(Some(value)) && set(None));
    }
    assert!(restore());
    assert_eq!(value().as_deref(), Some("new"));
    // A value that was written since is not replaced.
    assert!(set(None) && set(Some("newest")));
    assert!(!restore());
    assert_eq!(value().as_deref(), Some("newest"));
}
