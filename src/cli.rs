//! The command line: what can be asked, and how answers and errors are told.

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

use crate::config::Config;
use crate::failure::{Failure, Kind};
use crate::logging;

mod connect;
mod dashboard;
mod demo;
mod doctor;
mod engine;
mod fleet;
mod init;
mod json;
#[cfg(feature = "aws")]
pub mod lambda;
mod launch;
mod list;
mod logs;
mod table;

/// Feature environments on AWS: see everyone's, launch, extend, terminate, open, and stream their logs.
#[derive(Debug, Parser)]
#[command(name = "hatchery", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What every command understands.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
#[allow(clippy::struct_excessive_bools)] // each is a flag of its own
pub(crate) struct Global {
    /// The fleet; not needed where the Region has one only
    #[arg(long, global = true, env = "HATCHERY_FLEET", value_name = "NAME")]
    pub(crate) fleet: Option<String>,
    /// The AWS Region
    #[arg(long, global = true, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// The profile of the AWS configuration
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Another endpoint for every AWS service
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) endpoint_url: Option<String>,
    /// One JSON document on stdout, errors included
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Refuse everything that changes anything
    #[arg(long, global = true)]
    pub(crate) read_only: bool,
    /// Do not run the engine behind the dashboard
    #[arg(long, global = true)]
    pub(crate) no_engine: bool,
    /// The dashboard's theme
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) theme: Option<String>,
    /// Another configuration file
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Write a log to this file, as JSON if its name ends in .json
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) log_file: Option<PathBuf>,
}

/// What can be asked.
#[derive(Debug, Subcommand)]
enum Command {
    /// The dashboard over a simulated cloud: no account, no network, no configuration
    Demo(demo::DemoArgs),
    /// List the environments
    Ls,
    /// Show the warm databases and the pool's health
    Pool,
    /// Show what was done lately, by whom and why
    Activity {
        /// How far back
        #[arg(long, default_value = "24h", value_parser = humantime::parse_duration, value_name = "TIME")]
        since: Duration,
    },
    /// Launch an environment
    Launch(launch::LaunchArgs),
    /// Extend the life of an environment
    Extend {
        /// Its id, or its name where that is unique
        env: String,
        /// By how much, such as 4h
        #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME")]
        by: Duration,
    },
    /// Terminate an environment
    Terminate {
        /// Its id, or its name where that is unique
        env: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Show the logs of an environment
    Logs(logs::LogsArgs),
    /// Open an environment in the browser
    Open {
        /// Its id, or its name where that is unique
        env: String,
        /// Which of its faces
        #[arg(default_value = "app")]
        face: Face,
        /// Print the URL instead
        #[arg(long)]
        print: bool,
    },
    /// Run the engine without a screen
    Engine {
        /// One pass, then end
        #[arg(long)]
        once: bool,
        /// Only say what would be done
        #[arg(long, requires = "once")]
        dry_run: bool,
    },
    /// Check credentials, permissions, the fleet, its network, image, snapshot, quotas and pool
    Doctor,
    /// Create, show and change fleets
    #[command(subcommand)]
    Fleet(fleet::FleetCommand),
    /// Print the completions of a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// A face of an environment that can be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Face {
    /// The application
    App,
    /// The Kubernetes dashboard
    Dashboard,
    /// The log viewer
    Logs,
}

/// Runs the command line.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let wants_json = arguments.iter().any(|argument| argument == "--json");
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() && wants_json => return fail(&usage(&error), true),
        Err(error) => {
            // Nothing can be done about a terminal that takes no error message.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match run(cli) {
        Ok(code) => code,
        Err(failure) => fail(&failure, wants_json),
    }
}

fn usage(error: &clap::Error) -> Failure {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    Failure::new(Kind::Usage, first, "see hatchery --help")
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let global = cli.global;
    let config = Config::load(global.config.as_deref())?;
    let headless = matches!(cli.command, Some(Command::Engine { once: false, .. }));
    logging::start(global.log_file.as_deref(), headless)?;
    match cli.command {
        None => dashboard::run(&global, &config).map(|()| ExitCode::SUCCESS),
        Some(Command::Demo(args)) => demo::run(&args, &global, &config).map(|()| ExitCode::SUCCESS),
        Some(Command::Completions { shell }) => {
            let mut out = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "hatchery", &mut out);
            print(&String::from_utf8_lossy(&out)).map(|()| ExitCode::SUCCESS)
        }
        Some(Command::Man) => man().map(|()| ExitCode::SUCCESS),
        Some(command) => {
            if global.read_only && command.changes() {
                let message = "this would change something, and --read-only forbids it";
                return Err(Failure::new(Kind::ReadOnly, message, "leave --read-only out to do it"));
            }
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| {
                Failure::new(Kind::Failed, format!("the runtime cannot be started: {error}"), "")
            })?;
            let code = runtime.block_on(interruptible(ask(command, &global, &config)));
            // What still runs in the background (a name lookup, say) must not hold the process.
            runtime.shutdown_background();
            code
        }
    }
}

/// Ends with 130 on Ctrl-C, as shells expect.
async fn interruptible(work: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    tokio::select! {
        code = work => code,
        _ = tokio::signal::ctrl_c() => Ok(ExitCode::from(130)),
    }
}

async fn ask(command: Command, global: &Global, config: &Config) -> Result<ExitCode, Failure> {
    let done = ExitCode::SUCCESS;
    if let Command::Fleet(command) = command {
        return fleet::run(command, global, config).await.map(|()| done);
    }
    if matches!(command, Command::Doctor) {
        return doctor::run(global, config).await;
    }
    let context = connect::context(global, config).await?;
    let done = match command {
        Command::Ls => list::environments(&context).await,
        Command::Pool => list::pool(&context).await,
        Command::Activity { since } => list::activity(&context, since).await,
        Command::Launch(args) => launch::launch(&context, args).await,
        Command::Extend { env, by } => launch::extend(&context, &env, by).await,
        Command::Terminate { env, yes } => launch::terminate(&context, &env, yes).await,
        Command::Logs(args) => logs::run(&context, args).await,
        Command::Open { env, face, print } => logs::open(&context, &env, face, print).await,
        Command::Engine { once, dry_run } => engine::run(&context, once, dry_run).await,
        // Answered above.
        Command::Demo(_)
        | Command::Doctor
        | Command::Fleet(_)
        | Command::Completions { .. }
        | Command::Man => Ok(()),
    }
    .map(|()| done);
    // Whatever is done is in the audit log, or whoever had it done is told that it is not.
    if let Some(error) = context.engine.audit_failure() {
        remark(&format!("the audit log cannot be written: {error}"));
    }
    done
}

impl Command {
    fn changes(&self) -> bool {
        match self {
            Self::Launch(_) | Self::Extend { .. } | Self::Terminate { .. } => true,
            Self::Engine { dry_run, .. } => !dry_run,
            Self::Fleet(command) => command.changes(),
            _ => false,
        }
    }
}

fn man() -> Result<(), Failure> {
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
    rendered.map_err(|error| Failure::new(Kind::Failed, format!("the manual page: {error}"), ""))?;
    print(&String::from_utf8_lossy(&page))
}

/// Tells a failure: the sentence on stderr, and the document on stdout where one was asked for.
fn fail(failure: &Failure, json: bool) -> ExitCode {
    if json {
        // Even where stdout is gone, the exit code tells.
        let _ = print_json(&json::error(failure));
    }
    let _ = writeln!(std::io::stderr(), "hatchery: {}", crate::domain::text::sanitize(&failure.sentence()));
    ExitCode::from(failure.kind.exit_code())
}

/// Writes to stdout. Whoever closes a pipe has seen enough: that is no failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => {
            result.map_err(|error| Failure::new(Kind::Failed, format!("cannot write to stdout: {error}"), ""))
        }
    }
}

/// Writes one JSON document to stdout.
pub(crate) fn print_json(document: &impl serde::Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_string(document).map_err(|error| {
        Failure::new(Kind::Failed, format!("the document cannot be written: {error}"), "")
    })?;
    text.push('\n');
    print(&text)
}

/// A remark that is no part of the answer.
pub(crate) fn remark(text: &str) {
    let _ = writeln!(std::io::stderr(), "hatchery: {}", crate::domain::text::sanitize(text));
}

/// Whether a person is there to answer a question.
pub(crate) fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}
