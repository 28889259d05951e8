//! `hatchery fleet test-notice`: a mistake in the setting `notify` shows before an event is missed.

use crate::cli::context::Session;
use crate::cli::json;
use crate::cloud::DynAccount;
use crate::domain::{ErrorClass, Fleet, Message};
use crate::failure::{Failure, Kind};

pub(super) async fn run(session: &Session, account: &DynAccount, fleet: &Fleet) -> Result<(), Failure> {
    let name = &fleet.name;
    let Some(destination) = &fleet.policy.notify else {
        let message = format!("fleet {name} sends no notices, because its setting notify is not set");
        let hint = "set it with: hatchery fleet set notify=TOPIC-ARN, or notify=secret:NAME for a webhook";
        return Err(Failure::new(Kind::Usage, message, hint));
    };
    let message = Message {
        id: format!("test/{}", session.clock.now().format("%Y%m%dT%H%M%SZ")),
        event: "test",
        fleet: name.to_string(),
        title: format!("test notice of fleet {name}"),
        text: format!("{} has sent it to see whether notices arrive", session.owner()?),
    };
    account.send_notice(destination, &message).await.map_err(|error| {
        let failure = Failure::cloud(format!("cannot send a notice to {destination}"), &error);
        match error.class {
            ErrorClass::Auth => Failure {
                hint: format!(
                    "attach the policy hatchery-{name}-notice; engines send with their own permissions"
                ),
                ..failure
            },
            ErrorClass::NotFound => {
                Failure { hint: "correct it with: hatchery fleet set notify=…".to_owned(), ..failure }
            }
            ErrorClass::Unknown => Failure {
                hint: "it may have arrived; see, and try again if it has not".to_owned(),
                ..failure
            },
            _ => failure,
        }
    })?;
    if session.console.is_json() {
        return session.console.print_json(&json::test_notice(name, destination));
    }
    session.console.print(&format!("{destination} has accepted a test notice. See whether it has arrived.\n"))
}
