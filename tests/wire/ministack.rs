//! The stack deployed to ministack, and the fleet that it makes. ministack evaluates the rules and the conditions of a template,
//! refuses types that it does not have, and applies properties that moto ignores.
//!
//! `ministack_server.py` and `deploy_stack.py` say how ministack differs from AWS.

use serde_json::json;

use crate::stack::{deploy, deploy_and_check, run_deployment, run_story};
use crate::support::ministack::Ministack;

#[tokio::test(flavor = "multi_thread")]
async fn ministack_creates_all_but_what_is_listed() {
    deploy_and_check(&Ministack::start()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fleet_deployed_to_ministack_runs_the_story() {
    let ministack = Ministack::start();
    let policies = deploy(&ministack).await;
    assert!(policies["hatchery-dev-engine"].is_object(), "{policies:#}");
    run_story(&ministack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn internet_as_the_vpn_is_refused() {
    let refused = run_deployment(&Ministack::start(), &json!({ "VpnCidr": "0.0.0.0/8" }), &[]).await;
    assert_ne!(refused.code, 0);
    assert!(refused.err.contains("VpnCidr must be the VPN's range, not the internet."), "{refused:#?}");
}
