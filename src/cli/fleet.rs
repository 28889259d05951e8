//! `hatchery fleet`

use clap::Subcommand;

use self::read::read;
use super::context::Session;
use crate::cloud::DynAccount;
use crate::domain::Fleet;
use crate::failure::Failure;

pub(super) mod checks;
mod init;
pub(super) mod leftovers;
mod log;
mod ls;
mod read;
mod rm;
mod set;
mod show;
mod test_notice;

#[derive(Debug, Subcommand)]
pub(crate) enum FleetCommand {
    /// List the fleets in the Region
    Ls,
    /// Show the policy of a fleet
    Show,
    /// Change the policy of a fleet
    Set {
        /// Settings to change, such as spare=2; an empty value restores the default
        #[arg(required = true, value_name = "SETTING=VALUE")]
        settings: Vec<String>,
    },
    /// End all environments and databases of a fleet, and delete the fleet
    Rm {
        /// Name of the fleet
        name: String,
        /// Do not ask for confirmation
        #[arg(long)]
        yes: bool,
    },
    /// Send a test notice to the destination of the setting notify
    TestNotice,
    /// Create a fleet
    Init(Box<init::InitArgs>),
}

impl FleetCommand {
    /// Whether it is about the fleet of `--fleet`.
    pub(crate) fn needs_fleet(&self) -> bool {
        matches!(self, Self::Show | Self::Set { .. } | Self::TestNotice)
    }

    pub(crate) fn is_write(&self) -> bool {
        match self {
            Self::Set { .. } | Self::Rm { .. } | Self::TestNotice => true,
            Self::Init(args) => !args.dry_run,
            Self::Ls | Self::Show => false,
        }
    }
}

pub(crate) async fn run(command: FleetCommand, session: &Session) -> Result<(), Failure> {
    match command {
        FleetCommand::Ls => ls::run(&session.connect().await?, &session.console).await,
        FleetCommand::Show => {
            let (_, fleet) = connect(session).await?;
            show::run(&fleet, &session.console)
        }
        FleetCommand::Set { settings } => {
            let (account, fleet) = connect(session).await?;
            set::run(&account, &fleet, &settings, session).await
        }
        FleetCommand::Rm { name, yes } => {
            let name = name.parse()?;
            let account = session.connect().await?;
            let fleet = read(session, &account, &name).await?;
            rm::run(session, &account, &fleet, yes).await
        }
        FleetCommand::TestNotice => {
            let (account, fleet) = connect(session).await?;
            test_notice::run(session, &account, &fleet).await
        }
        FleetCommand::Init(args) => init::run(&args, session).await,
    }
}

async fn connect(session: &Session) -> Result<(DynAccount, Fleet), Failure> {
    let account = session.connect().await?;
    let name = session.find_fleet(&account).await?;
    let fleet = read(session, &account, &name).await?;
    Ok((account, fleet))
}
