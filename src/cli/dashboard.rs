//! The dashboard over AWS.

use std::time::Duration;

use super::Global;
use super::connect;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::failure::{Failure, Kind};
use crate::tui::keymap::Keymap;
use crate::tui::theme::Themes;
use crate::tui::{self, Connected, TuiOptions, glyphs};

/// The time between two looks at rest, unless the configuration says otherwise: a hundred dashboards at this pace stay
/// under a quarter of what AWS lets an account ask.
const REFRESH: Duration = Duration::from_mins(1);

pub(crate) fn run(global: &Global, config: &Config) -> Result<(), Failure> {
    let mut options = options(global, config, Clock::system(), &connect::owner(config)?)?;
    options.region = global.region.clone().or_else(|| config.region.clone()).unwrap_or_default();
    options.fleet = match global.fleet.as_ref().or(config.fleet.as_ref()) {
        Some(named) => Some(named.parse()?),
        None => None,
    };
    let (global, config) = (global.clone(), config.clone());
    let connect = move || {
        let (global, config) = (global.clone(), config.clone());
        async move {
            let context = connect::context(&global, &config).await?;
            let region = context.cloud().region().to_owned();
            let fleet = context.fleet().clone();
            Ok(Connected { engine: context.engine, region, fleet })
        }
    };
    block_on(tui::run(connect, options))
}

/// Runs the dashboard, on threads of its own so that a large answer never holds a key up.
pub(super) fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime
        .map_err(|error| Failure::new(Kind::Failed, format!("the runtime cannot be started: {error}"), ""))?;
    let result = runtime.block_on(work);
    // What still runs in the background must not hold the process.
    runtime.shutdown_background();
    result
}

/// How the dashboard looks and behaves, by flags, configuration and surroundings.
pub(super) fn options(
    global: &Global,
    config: &Config,
    clock: Clock,
    person: &str,
) -> Result<TuiOptions, Failure> {
    let mut options = TuiOptions::new(clock, person);
    options.themes = Themes::load(config::folder().map(|folder| folder.join("themes")).as_deref())?;
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    options.choose_theme(global.theme.as_deref().or(config.theme.as_deref()), no_color)?;
    let keys = config
        .keys
        .iter()
        .map(|(action, keys)| (action.clone(), keys.all().into_iter().map(str::to_owned).collect()));
    options.keymap = Keymap::new(&keys.collect())?;
    if config.ascii {
        options.glyphs = glyphs::ASCII;
    }
    options.read_only = global.read_only;
    options.engine_enabled = !global.no_engine && !global.read_only;
    options.refresh = config.refresh.unwrap_or(REFRESH);
    Ok(options)
}
