//! `hatchery doctor --prove`: tries on the account what no emulator can tell, with throw-away resources that it removes again.

use std::process::ExitCode;

use super::context::{Context, Session, place};
use crate::domain::{Proof, text};
use crate::failure::Failure;
use crate::signals;

mod cleanup;
mod created;
mod database;
mod facts;
mod reads;
mod report;
mod rivals;
mod streams;
mod tag_value;
mod templates;
mod test_bed;

use created::{Created, Resources};
use facts::Fact;
use report::Report;
use test_bed::TestBed;

/// The number of launch templates that a run creates, and of requests for one of them.
const TEMPLATES: usize = 1 + templates::SAMPLES;

/// The arguments of the command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProveMode {
    pub(crate) with_database: bool,
    /// Whether to start without a question.
    pub(crate) yes: bool,
}

pub(crate) async fn run(session: &Session, mode: ProveMode) -> Result<ExitCode, Failure> {
    let context = session.context().await?;
    let bed = prepare(&context).await?;
    let leftovers = cleanup::find_leftovers(&bed).await?;
    start(&bed, &leftovers, mode).await?;
    bed.created.adopt(&leftovers);
    let mut facts = Vec::new();
    let work = async {
        cleanup::remove_leftovers(&bed).await;
        experiment(&bed, mode, &mut facts).await;
    };
    // Dropping the work may cut a request off whose outcome then is unknown; the clean-up looks for what it made.
    let interrupted = tokio::select! {
        () = work => None,
        code = signals::interrupted() => Some(code),
    };
    if interrupted.is_some() {
        let message =
            "interrupted; removing what was created (interrupt again to leave that to the next run)";
        context.console.notice(message);
    }
    let left = tokio::select! {
        left = cleanup::remove_all(&bed) => left,
        _ = signals::interrupted() => bed.created.resources().names().into_iter().map(|name| (name, "interrupted".to_owned())).collect(),
    };
    let report = Report::new(&bed, &facts, leftovers.names().len(), left.len()).await;
    if context.console.is_json() {
        context.console.print_json(&report)?;
    } else {
        context.console.print(&report.to_markdown())?;
    }
    for (name, reason) in &left {
        context.console.notice(&format!("{name} could not be removed: {reason}; the next run tries again"));
    }
    if let Some(code) = interrupted {
        return Ok(ExitCode::from(code));
    }
    let failed = !left.is_empty() || facts.iter().any(Fact::differs);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Runs the experiments. What is found out stays, also if this is dropped.
async fn experiment(bed: &TestBed<'_>, mode: ProveMode, facts: &mut Vec<Fact>) {
    reads::permissions(bed, facts).await;
    reads::snapshots(bed, facts).await;
    tag_value::run(bed, facts).await;
    streams::claim(bed, facts).await;
    templates::claim(bed, facts).await;
    templates::lag(bed, facts).await;
    if mode.with_database {
        database::run(bed, facts).await;
    }
}

async fn prepare<'c>(context: &'c Context<'c>) -> Result<TestBed<'c>, Failure> {
    let account = &context.account;
    let identity = account.identity().await;
    let identity = identity.map_err(|error| Failure::cloud("cannot read the caller's identity", &error))?;
    let (world, now) = context.observe().await?;
    let base = account.base_template(&world.fleet.template).await;
    let base = base.map_err(|error| Failure::cloud("cannot read the fleet's launch template", &error))?;
    let seed = context.engine.config().seed;
    let proof = Proof::new(world.fleet.name.clone(), identity.arn.raw(), now, seed);
    Ok(TestBed { context, world, now, base, proof, created: Created::default() })
}

/// Says what will be created and what it costs, and asks for confirmation.
async fn start(bed: &TestBed<'_>, leftovers: &Resources, mode: ProveMode) -> Result<(), Failure> {
    let console = bed.context.console;
    let plan = plan(bed, leftovers, mode).await;
    if mode.yes {
        for line in &plan {
            console.notice(line);
        }
        return Ok(());
    }
    console.check_interactive("to create throw-away resources")?;
    // A database costs money, so that a habit must not confirm it.
    let expected = if mode.with_database { bed.world.fleet.name.as_str() } else { "yes" };
    let plan: Vec<_> = plan.iter().map(|line| text::sanitize(line)).collect();
    console.confirm(&plan.join("\n"), expected, "nothing was created").await
}

async fn plan(bed: &TestBed<'_>, leftovers: &Resources, mode: ProveMode) -> Vec<String> {
    let fleet = &bed.world.fleet;
    let mut lines = vec![
        format!(
            "This tries facts of AWS with throw-away resources in {}, and removes them again:",
            place(&bed.context.account).await
        ),
        format!(
            "- {TEMPLATES} launch templates named hatchery-proof/{}/…, which are free; instances are only launched in dry runs",
            fleet.name
        ),
        format!("- a log group /hatchery-proof/{}/… with one stream, which costs nothing", fleet.name),
        "- for a moment one tag on a free database of the pool, if there is one, which costs nothing"
            .to_owned(),
    ];
    if mode.with_database {
        let price = fleet.policy.price_database;
        let price = price.map_or_else(String::new, |price| {
            format!(", by the fleet's setting price-database about ${price} an hour")
        });
        lines.push(format!(
            "- a database of class {} named hatchery-proof-{}-…, restored from the latest snapshot of {}, for up to an hour, and perhaps a second one for some minutes; RDS charges each by its time and its storage{price}",
            fleet.policy.database_class, fleet.name, fleet.policy.source_database
        ));
    }
    if !leftovers.names().is_empty() {
        lines.push(format!(
            "It first removes what earlier runs left behind: {}",
            leftovers.names().join(", ")
        ));
    }
    lines
}
