//! The command line.
//!
//! Modules of commands depend on `context`, `console`, `json` and `table`; only this module depends on commands.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::cloud;
use crate::config::Config;
use crate::failure::{Failure, Kind};
use crate::logging;
use crate::signals;

mod activity;
mod confirm;
mod connect;
mod console;
mod context;
mod dashboard;
mod database_checks;
mod demo;
mod diff;
mod doctor;
mod engine;
mod extend;
mod fleet;
mod fleets;
mod hold;
mod images;
mod json;
mod kubeconfig;

#[cfg(feature = "aws")]
pub mod lambda;
mod launch;
mod logs;
mod lookup;
mod ls;
mod metrics;
mod open;
mod options;
mod pool;
mod prove;
mod redeploy;
mod reset;
mod services;
mod shell;
mod stack;
mod table;
mod terminate;
mod themes;
mod wait;

pub use console::Console;
pub use context::Platform;

use context::{Context, Session};
use engine::EngineMode;
use options::{GlobalOptions, parse_duration};

/// Feature environments on AWS: launch, extend, open and terminate them, and read their logs
#[derive(Debug, Parser)]
#[command(
    name = "hatchery",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = "Without a command, hatchery opens the dashboard, which shows several fleets with --fleet dev,qa."
)]
struct Cli {
    #[command(flatten)]
    options: GlobalOptions,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Open the dashboard on a simulated cloud; needs no AWS account
    Demo(demo::DemoArgs),
    #[command(flatten)]
    Headless(Headless),
}

/// Commands without a dashboard.
#[derive(Debug, Subcommand)]
enum Headless {
    #[command(flatten)]
    OnFleet(OnFleet),
    /// Check credentials, permissions, fleet, network, image, snapshot, quotas and pool
    Doctor {
        /// Try facts of AWS that only an account can tell, with throw-away resources, and print them for an issue
        #[arg(long)]
        prove: bool,
        /// Also restore a database, and watch it for up to an hour
        #[arg(long, requires = "prove")]
        with_database: bool,
        /// Do not ask for confirmation
        #[arg(long, short, requires = "prove")]
        yes: bool,
    },
    /// List, show, change and create fleets
    #[command(subcommand)]
    Fleet(fleet::FleetCommand),
    /// Print the CloudFormation template of a fleet
    Stack(stack::StackArgs),
    /// List the themes of the dashboard, or preview one
    Themes {
        /// Theme to preview
        name: Option<String>,
    },
    /// Print a completion script for a shell
    Completions {
        /// Shell that runs the script
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// Commands that need the engine of one fleet.
#[derive(Debug, Subcommand)]
enum OnFleet {
    /// List the environments
    Ls,
    /// Show the databases of the warm pool and its health
    Pool {
        #[command(subcommand)]
        command: Option<pool::PoolCommand>,
    },
    /// Show recent changes, who made them and why
    Activity {
        /// How far back to look
        #[arg(long, default_value = "24h", value_parser = parse_duration, value_name = "DURATION")]
        since: Duration,
    },
    /// List the images and the pipelines that build them
    Images {
        #[command(subcommand)]
        command: Option<images::ImagesCommand>,
    },
    /// List the services with images in the registry, or the newest image tags of one
    Services {
        /// Service whose newest image tags to list
        #[arg(long, value_name = "SERVICE")]
        tags: Option<String>,
    },
    /// Launch an environment
    Launch(launch::LaunchArgs),
    /// Postpone the expiry of an environment
    Extend {
        /// Id of the environment, or its name if that is unique
        env: String,
        /// How much later it expires, such as 4h
        #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
        by: Duration,
    },
    /// Deploy other versions of an environment's services, or the same ones anew
    Redeploy(redeploy::RedeployArgs),
    /// Compare the services of two environments
    Diff {
        /// Id of the first environment, or its name if that is unique
        first: String,
        /// Id of the second environment, or its name if that is unique
        second: String,
    },
    /// Keep an environment until a time of the day, such as for a demo
    Pin(hold::PinArgs),
    /// Keep a failed environment, or a database of the pool, for inspection
    Hold(hold::HoldArgs),
    /// Terminate an environment and delete its database
    Terminate {
        /// Id of the environment, or its name if that is unique
        env: String,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },
    /// Give an environment a fresh database, and delete the one that it has
    Reset {
        /// Id of the environment, or its name if that is unique
        env: String,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
        /// Wait until the environment uses the fresh database
        #[arg(long)]
        wait: bool,
    },
    /// Show the logs of an environment
    Logs(logs::LogsArgs),
    /// Open an environment in the browser
    Open(open::OpenArgs),
    /// Open a shell on the instance of an environment
    Ssh {
        /// Id of the environment, or its name if that is unique
        env: String,
    },
    /// Open a console of an environment's database: psql or mysql
    Db {
        /// Id of the environment, or its name if that is unique
        env: String,
    },
    /// Add a context for an environment's Kubernetes to your kubeconfig file
    Kubeconfig(kubeconfig::KubeconfigArgs),
    /// Connect to an environment's Kubernetes, for a command or until Ctrl-C
    Connect(connect::ConnectArgs),
    /// Run the engine without a dashboard
    Engine {
        /// Make one pass and exit
        #[arg(long)]
        once: bool,
        /// Show what would be done without doing it
        #[arg(long, requires = "once")]
        dry_run: bool,
        /// Print one line of metrics per pass on standard output, in CloudWatch's Embedded Metric Format
        #[arg(long, conflicts_with = "dry_run")]
        metrics: bool,
    },
}

impl Headless {
    /// Whether `--read-only` forbids it.
    fn is_write(&self) -> bool {
        match self {
            Self::OnFleet(
                OnFleet::Launch(_)
                | OnFleet::Extend { .. }
                | OnFleet::Redeploy(_)
                | OnFleet::Pin(_)
                | OnFleet::Hold(_)
                | OnFleet::Terminate { .. }
                | OnFleet::Reset { .. }
                // The fleet stays as it is, but not what is on the environment.
                | OnFleet::Ssh { .. }
                | OnFleet::Db { .. }
                | OnFleet::Kubeconfig(_)
                | OnFleet::Connect(_),
            ) => true,
            Self::OnFleet(OnFleet::Engine { dry_run, .. }) => !dry_run,
            Self::OnFleet(OnFleet::Images { command }) => command.is_some(),
            Self::OnFleet(OnFleet::Pool { command }) => command.is_some(),
            Self::Fleet(command) => command.is_write(),
            Self::Doctor { prove, .. } => *prove,
            Self::OnFleet(
                OnFleet::Ls
                | OnFleet::Activity { .. }
                | OnFleet::Services { .. }
                | OnFleet::Diff { .. }
                | OnFleet::Logs(_)
                | OnFleet::Open(_),
            )
            | Self::Stack(_)
            | Self::Themes { .. }
            | Self::Completions { .. }
            | Self::Man => false,
        }
    }

    /// Whether it is about one fleet, or in the account and the Region of one.
    fn needs_fleet(&self, options: &GlobalOptions) -> bool {
        match self {
            Self::OnFleet(_) | Self::Doctor { .. } => true,
            Self::Fleet(command) => command.needs_fleet() || options.fleet.is_some(),
            Self::Stack(_) | Self::Themes { .. } | Self::Completions { .. } | Self::Man => false,
        }
    }

    /// Whether it ends by itself when it is interrupted, because it cleans up.
    fn handles_interrupts(&self) -> bool {
        match self {
            Self::Doctor { prove, .. } => *prove,
            Self::OnFleet(OnFleet::Ssh { .. } | OnFleet::Db { .. } | OnFleet::Kubeconfig(_)) => true,
            Self::OnFleet(OnFleet::Connect(args)) => args.has_command(),
            _ => false,
        }
    }
}

/// Runs the command line of this process.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let console = Console::stdio(wants_json(&arguments));
    let parsed = Cli::try_parse_from(&arguments);
    // Not for help and version. The parser does not name the variable.
    if parsed.as_ref().map_or_else(clap::Error::use_stderr, |_| true)
        && let Err(failure) = options::check_environment()
    {
        return report(&console, &failure);
    }
    match parsed {
        Ok(cli) => run(cli, console),
        Err(error) if error.use_stderr() && console.is_json() => report(&console, &usage_failure(&error)),
        // Also prints help and version.
        Err(error) => {
            // An error while printing cannot be reported anywhere.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
}

fn run(cli: Cli, console: Console) -> ExitCode {
    let Cli { options, command } = cli;
    let is_daemon =
        matches!(command, Some(Command::Headless(Headless::OnFleet(OnFleet::Engine { once: false, .. }))));
    let config = Config::load(options.config.as_deref())
        .and_then(|config| logging::start(options.log_file.as_deref(), is_daemon).map(|()| config));
    let session = match config {
        Ok(config) => Session::new(options, config, console),
        Err(failure) => return report(&console, &failure),
    };
    let result = match command {
        None => dashboard::run(&session).map(|()| ExitCode::SUCCESS),
        Some(Command::Demo(args)) => demo::run(&args, &session).map(|()| ExitCode::SUCCESS),
        Some(Command::Headless(command)) => {
            let handles_interrupts = command.handles_interrupts();
            block_on(run_headless(command, &session), handles_interrupts, &session)
        }
    };
    result.unwrap_or_else(|failure| report(&session.console, &failure))
}

/// Runs a command line on a cloud other than AWS, with the streams and the clock of `platform`. Commands that open a
/// dashboard, and `--help`, fail.
pub async fn run_on(platform: Platform, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let parsed = Cli::try_parse_from(&arguments).map_err(|error| usage_failure(&error));
    let loaded = parsed.and_then(|cli| Ok((Config::load(cli.options.config.as_deref())?, cli)));
    let (config, Cli { options, command }) = match loaded {
        Ok(loaded) => loaded,
        Err(failure) => return report(&platform.console.with_json(wants_json(&arguments)), &failure),
    };
    let session = Session::on(platform, options, config);
    let result = match command {
        Some(Command::Headless(command)) => Box::pin(run_headless(command, &session)).await,
        None | Some(Command::Demo(_)) => Err(Failure::new(Kind::Failed, "cannot open a dashboard here", "")),
    };
    result.unwrap_or_else(|failure| report(&session.console, &failure))
}

fn block_on(
    command: impl Future<Output = Result<ExitCode, Failure>>,
    handles_interrupts: bool,
    session: &Session,
) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        Failure::new(Kind::Failed, format!("cannot start the async runtime: {error}"), "")
    })?;
    let result = runtime.block_on(async {
        let result = tokio::select! {
            result = command => result,
            // 128 + SIGINT, as shells report it.
            _ = tokio::signal::ctrl_c(), if !handles_interrupts => Ok(ExitCode::from(130)),
        };
        tokio::select! {
            () = session.forwards.close() => {}
            // A signal meanwhile does not wait for AWS to end the sessions.
            _ = tokio::signal::ctrl_c() => {}
            () = signals::terminated() => {}
        }
        result
    });
    // Background tasks such as a DNS lookup must not delay the exit.
    runtime.shutdown_background();
    result
}

async fn run_headless(command: Headless, session: &Session) -> Result<ExitCode, Failure> {
    if command.is_write()
        && let Some(reason) = session.read_only_reason()
    {
        let message = format!("this command changes the fleet, and {reason}");
        let hint = if session.options.read_only {
            "run it without --read-only"
        } else {
            "use another profile, or change config.toml"
        };
        return Err(Failure::new(Kind::ReadOnly, message, hint));
    }
    let chosen = command.needs_fleet(&session.options).then(|| session.for_one_fleet()).transpose()?;
    let session = chosen.as_ref().unwrap_or(session);
    match command {
        Headless::OnFleet(command) => return run_on_fleet(command, session).await,
        Headless::Doctor { prove: false, .. } => return doctor::run(session).await,
        Headless::Doctor { prove: true, with_database, yes } => {
            let mode = prove::ProveMode { with_database, yes };
            return Box::pin(prove::run(session, mode)).await;
        }
        Headless::Fleet(command) => fleet::run(command, session).await?,
        Headless::Stack(args) => stack::run(&args, &session.console)?,
        Headless::Themes { name } => themes::run(name.as_deref(), session)?,
        Headless::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "hatchery", &mut script);
            session.console.print(&String::from_utf8_lossy(&script))?;
        }
        Headless::Man => session.console.print(&man_page()?)?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn run_on_fleet(command: OnFleet, session: &Session) -> Result<ExitCode, Failure> {
    let context = session.context().await?;
    let done = match command {
        OnFleet::Ls => ls::run(&context).await,
        OnFleet::Pool { command: None } => pool::run(&context).await,
        OnFleet::Pool { command: Some(pool::PoolCommand::Recycle) } => pool::recycle(&context).await,
        OnFleet::Activity { since } => activity::run(&context, since).await,
        OnFleet::Images { command } => images::run(&context, command.as_ref()).await,
        OnFleet::Services { tags } => services::run(&context, tags.as_deref()).await,
        OnFleet::Launch(args) => launch::run(&context, args).await,
        OnFleet::Extend { env, by } => extend::run(&context, &env, by).await,
        OnFleet::Redeploy(args) => redeploy::run(&context, args).await,
        OnFleet::Diff { first, second } => diff::run(&context, &first, &second).await,
        OnFleet::Pin(args) => hold::pin(&context, args).await,
        OnFleet::Hold(args) => hold::hold(&context, args).await,
        OnFleet::Terminate { env, yes } => terminate::run(&context, &env, yes).await,
        OnFleet::Reset { env, yes, wait } => reset::run(&context, &env, yes, wait).await,
        OnFleet::Logs(args) => logs::run(&context, args).await,
        OnFleet::Open(args) => open::run(&context, args, &session.forwards).await,
        OnFleet::Ssh { env } => return open_console(&context, session, &env, cloud::Console::Shell).await,
        OnFleet::Db { env } => return open_console(&context, session, &env, cloud::Console::Database).await,
        OnFleet::Kubeconfig(args) => {
            let cancellation = signals::Cancellation::default();
            match kubeconfig::run(&context, args, &cancellation).await {
                Ok(None) => return Ok(cancellation.exit_code()),
                done => done.map(|_| ()),
            }
        }
        OnFleet::Connect(args) => {
            let result = connect::run(&context, args, &session.forwards).await;
            report_audit_failure(&context, session);
            return result;
        }
        OnFleet::Engine { once, dry_run, metrics } => {
            let result = engine::run(&context, EngineMode { once, dry_run, metrics }).await;
            report_audit_failure(&context, session);
            return result;
        }
    };
    report_audit_failure(&context, session);
    done.map(|()| ExitCode::SUCCESS)
}

async fn open_console(
    context: &Context<'_>,
    session: &Session,
    env: &str,
    console: cloud::Console,
) -> Result<ExitCode, Failure> {
    let result = shell::run(context, env, console).await;
    report_audit_failure(context, session);
    result
}

fn report_audit_failure(context: &Context<'_>, session: &Session) {
    if let Some(error) = context.engine.audit_failure() {
        session.console.notice(&format!("cannot write the audit log: {error}"));
    }
}

fn man_page() -> Result<String, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command())
        .render(&mut page)
        .map_err(|error| Failure::new(Kind::Failed, format!("cannot render the manual page: {error}"), ""))?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// Looks for `--json` before parsing, so that errors of parsing are JSON too.
fn wants_json(arguments: &[OsString]) -> bool {
    arguments.iter().any(|argument| argument == "--json")
}

fn usage_failure(error: &clap::Error) -> Failure {
    let text = error.to_string();
    // The paragraphs after the first one are tips and the usage.
    let first = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
    let message = first.split_whitespace().collect::<Vec<_>>().join(" ");
    Failure::new(Kind::Usage, message, "see hatchery --help")
}

/// Writes the failure as one sentence on standard error, with `--json` also as a document on standard output.
fn report(console: &Console, failure: &Failure) -> ExitCode {
    if console.is_json() {
        // If standard output is closed, the exit code still tells.
        let _ = console.print_json(&json::error(failure));
    }
    console.notice(&failure.sentence());
    ExitCode::from(failure.kind.exit_code())
}
