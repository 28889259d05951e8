//! The removal of a fleet, and what is left of one whose launch template was deleted by hand.

use rstest::rstest;
use serde_json::json;

use crate::support::account::{Account, init, init_arguments};
use crate::support::binary::hatchery;
use crate::support::emulators::EmulatorKind;
use crate::support::moto::Moto;
use crate::support::pty::Terminal;

/// A fleet with an environment, and a free database.
async fn fleet_in_use() -> Moto {
    let moto = Moto::start();
    init(&moto, "dev", &["--spare", "1", "--grace", "1s"]).await;
    hatchery(&moto, &["engine", "--once"]).ok();
    hatchery(&moto, &["launch", "checkout-fix"]).ok();
    hatchery(&moto, &["engine", "--once"]).ok();
    let state = Account::new(&moto).await.inspect().await;
    assert_eq!((state.records.len(), state.active().len(), state.databases.len()), (1, 1, 2), "{state:#?}");
    moto
}

#[tokio::test(flavor = "multi_thread")]
async fn removal_ends_everything_and_then_the_fleet() {
    let moto = fleet_in_use().await;
    let account = Account::new(&moto).await;
    hatchery(&moto, &["fleet", "rm", "dev"]).fails(2, &["not a terminal", "--yes"]);
    hatchery(&moto, &["fleet", "rm", "qa", "--yes"]).fails(3, &["there is no fleet \"qa\""]);
    let mut terminal = Terminal::start(&["fleet", "rm", "dev"], &moto.env(), (110, 30));
    terminal.wait_for("account 123456789012");
    terminal.wait_for("Type dev to continue");
    terminal.send_keys("yes\r");
    assert_eq!(terminal.wait_for_exit(), 1, "{}", terminal.text());
    assert_eq!(account.inspect().await.databases.len(), 2, "nothing was changed");

    let run = hatchery(&moto, &["fleet", "rm", "dev", "--yes", "--json"]).ok();
    assert_eq!(run.json(), json!({ "version": 1, "fleet": "dev", "removed": true }));
    assert!(run.err.contains("still there: records 1, instances 1, databases 2"), "{run:#?}");
    let state = account.inspect().await;
    assert!(state.is_at_rest(0), "{state:#?}");
    let listed = hatchery(&moto, &["fleet", "ls", "--json"]).ok().json();
    assert_eq!((&listed["fleets"], &listed["leftovers"]), (&json!([]), &json!([])));
}

/// EC2 may remember the client token of a launch template that has been deleted, as these emulators do.
#[rstest]
#[case::moto(EmulatorKind::Moto)]
#[case::ministack(EmulatorKind::Ministack)]
#[tokio::test(flavor = "multi_thread")]
async fn removed_fleet_can_be_created_again(#[case] kind: EmulatorKind) {
    let emulator = kind.start();
    let seed = emulator.seed("dev").await;
    let arguments = init_arguments(&seed, "dev", &["--spare", "0"]);
    let init: Vec<&str> = arguments.iter().map(String::as_str).collect();
    hatchery(&emulator, &init).ok();
    for _ in 0..2 {
        hatchery(&emulator, &["fleet", "rm", "dev", "--yes"]).ok();
        hatchery(&emulator, &init).ok();
        let listed = hatchery(&emulator, &["fleet", "ls", "--json"]).ok().json();
        assert_eq!(listed["fleets"][0]["name"], "dev", "{listed}");
    }
}

/// As after a removal that was interrupted.
#[tokio::test(flavor = "multi_thread")]
async fn draining_fleet_refuses_launches() {
    let moto = fleet_in_use().await;
    hatchery(&moto, &["fleet", "set", "draining=true", "spare=0"]).ok();
    hatchery(&moto, &["launch", "second"]).fails(5, &["fleet dev is being removed", "draining=false"]);
    hatchery(&moto, &["fleet", "set", "draining=false", "spare=1"]).ok();
    hatchery(&moto, &["launch", "second"]).ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn leftovers_of_a_deleted_fleet_are_found() {
    let moto = fleet_in_use().await;
    let account = Account::new(&moto).await;
    let ec2 = moto.ec2().await;
    let none = json!([]);
    assert_eq!(hatchery(&moto, &["fleet", "ls", "--json"]).ok().json()["leftovers"], none);
    let template = account.template_id("hatchery/dev").await;
    ec2.delete_launch_template().launch_template_id(template).send().await.unwrap();

    let listed = hatchery(&moto, &["fleet", "ls", "--json"]).ok().json();
    let left = json!([{ "fleet": "dev", "records": 1, "instances": 1, "databases": 2 }]);
    assert_eq!((&listed["fleets"], &listed["leftovers"]), (&none, &left));
    let doctor = hatchery(&moto, &["doctor"]);
    let sentence = "fleet dev has no launch template, and no engine ends what it still has";
    for part in [sentence, "hatchery fleet init dev", "hatchery fleet rm dev"] {
        assert!(doctor.code == 1 && doctor.out.contains(part), "{part:?} in {doctor:#?}");
    }
    let seed = moto.seed_of("dev");
    let arguments = crate::support::account::init_arguments(&seed, "dev", &["--spare", "0", "--grace", "1s"]);
    hatchery(&moto, &arguments.iter().map(String::as_str).collect::<Vec<_>>()).ok();
    hatchery(&moto, &["fleet", "rm", "dev", "--yes"]).ok();
    assert!(account.inspect().await.is_at_rest(0));
}
