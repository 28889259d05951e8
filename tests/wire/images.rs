//! Image pipelines over the wire.

use crate::support::account::init;
use crate::support::binary::{Run, command_through};
use crate::support::image_builder::ImageBuilder;
use crate::support::moto::Moto;

/// Runs the binary on an account with a fleet and its service pipeline.
async fn run(arguments: &[&str]) -> Run {
    let moto = Moto::start();
    init(&moto, "dev", &[]).await;
    let builder = ImageBuilder::start(moto.address());
    command_through(&moto, &builder.url()).args(arguments).output().unwrap().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_listed_newest_first() {
    let run = run(&["images", "--json"]).await.ok();
    assert!(!run.out.contains('\u{1b}'), "{run:#?}");
    let document = run.json();
    let runs = document["pipelines"][0]["runs"].as_array().unwrap();
    let versions: Vec<_> = runs.iter().map(|run| run["version"].as_str().unwrap()).collect();
    assert_eq!(versions, ["1.0.3/2", "1.0.3/1"]);
    assert_eq!(runs[0]["state"], "available");
    assert_eq!(runs[0]["image"], "ami-0123456789abcdef0");
    // Scripts get the text as it is.
    assert_eq!(runs[1]["reason"], "\u{1b}[31mno space left on device");
}

#[tokio::test(flavor = "multi_thread")]
async fn bake_follows_its_run() {
    let run = run(&["images", "bake", "service"]).await.ok();
    assert_eq!(run.out, "The service image 1.0.3/3 is available as ami-0123456789abcdef0.\n");
    assert!(run.err.contains("1.0.3/3: testing"), "{run:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_pipeline_is_not_found() {
    run(&["images", "bake", "base"]).await.fails(3, &["no pipeline of base images", "hatchery stack"]);
}
