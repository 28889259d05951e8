//! `hatchery` without a command: the dashboard on AWS.

use std::sync::Arc;
use std::time::Duration;

use super::context::Session;
use super::options::GlobalOptions;
use crate::clock::Clock;
use crate::config::Config;
use crate::failure::{Failure, Kind};
use crate::tui::keymap::Keymap;
use crate::tui::locale;
use crate::tui::{self, Connected, FleetConnection, TuiOptions, glyphs};

/// Default poll interval at rest. At this rate 100 dashboards use less than a quarter of an account's request rate.
const POLL_INTERVAL: Duration = Duration::from_mins(1);

pub(crate) fn run(session: &Session) -> Result<(), Failure> {
    let general = tui_options(&session.options, &session.config, Clock::system(), &session.owner()?)?;
    let sessions: Vec<_> = session.for_dashboard()?;
    let is_only = sessions.len() == 1;
    let mut fleets = Vec::new();
    for (session, choice) in sessions {
        let mut options = general.clone();
        options.region = choice.region.unwrap_or_default();
        options.fleet = choice.fleet.map(|name| name.parse()).transpose()?;
        options.arguments = session.options.arguments(&choice.label);
        options.label = choice.label;
        options.production = choice.production;
        if session.read_only_reason().is_some() {
            options.read_only = true;
            options.engine_enabled = false;
        }
        options.waits = Some(session.waits.subscribe());
        fleets.push((Arc::new(session), options));
    }
    block_on(async move {
        tui::terminal::check()?;
        let mut connections = Vec::new();
        for (session, mut options) in fleets {
            match session.ask_for_code().await {
                // Its group says why it cannot be reached, and the others can.
                Err(failure) if !is_only => session.console.notice(&failure.sentence()),
                asked => asked?,
            }
            options.login = session.login().await;
            connections.push(FleetConnection::new(move || connect(session.clone()), options));
        }
        tui::run_fleets(connections).await
    })
}

async fn connect(session: Arc<Session>) -> Result<Connected, Failure> {
    let (account, engine) = session.quiet_engine().await?;
    Ok(Connected { engine, account })
}

/// Runs the dashboard on two worker threads, so that decoding a large response does not delay a key press.
pub(super) fn block_on(dashboard: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| {
        Failure::new(Kind::Failed, format!("cannot start the async runtime: {error}"), "")
    })?;
    let result = runtime.block_on(dashboard);
    // Background tasks such as a DNS lookup must not delay the exit.
    runtime.shutdown_background();
    result
}

/// Combines flags, configuration and `NO_COLOR`.
pub(super) fn tui_options(
    flags: &GlobalOptions,
    config: &Config,
    clock: Clock,
    user: &str,
) -> Result<TuiOptions, Failure> {
    let mut options = TuiOptions::new(clock, user);
    (options.themes, options.theme) = flags.themes(config)?;
    let variable = |name: &str| std::env::var(name).ok();
    options.light_terminal = locale::has_light_background(variable) == Some(true);
    let keys = config
        .keys
        .iter()
        .map(|(action, keys)| (action.clone(), keys.all().into_iter().map(str::to_owned).collect()));
    options.keymap = Keymap::new(&keys.collect())?;
    if config.ascii.unwrap_or_else(|| locale::is_ascii_only(variable)) {
        options.glyphs = glyphs::ASCII;
    }
    options.mouse = config.mouse.unwrap_or(true) && !flags.no_mouse;
    options.notify = flags.notify.or(config.notify).unwrap_or_default();
    if flags.utc {
        options.zone = chrono_tz::UTC.into();
    }
    options.read_only = flags.read_only;
    options.engine_enabled = !flags.no_engine && !flags.read_only;
    options.refresh = config.refresh.unwrap_or(POLL_INTERVAL);
    Ok(options)
}
