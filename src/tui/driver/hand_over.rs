//! Gives the terminal to a program, and takes it back.

use std::io::{self, Write as _};
use std::time::Duration;

use tokio::sync::oneshot;

use super::program::Program;
use super::{Driver, Incoming};
use crate::cloud::Console;
use crate::domain::Outcome;
use crate::failure::Failure;
use crate::sessions::{Ended, ForegroundSession, SessionTarget};
use crate::tui::app::message::{ConsoleRequest, Msg, Tool};
use crate::tui::signals::{Ending, Request, Signals};
use crate::tui::terminal::{self, Surface};

/// A session that ends so soon has hardly been used. The plugin's exit code is 0 for many failures, so only the user can tell, who has to
/// see the plugin's words.
pub(super) const EARLY: Duration = Duration::from_secs(3);

/// Why the dashboard gets the terminal back.
pub(super) enum Return {
    /// With what went wrong, if anything.
    Closed(Result<Option<String>, Failure>),
    /// A signal ends the process.
    Ending(Ending),
    /// A task panicked.
    Panic,
}

impl<S: Surface> Driver<S> {
    /// Gives the terminal to a program until it ends. Returns the signal that ends the process instead.
    pub(super) async fn hand_over(
        &mut self,
        fleet: usize,
        program: Program,
        signals: &mut Signals,
    ) -> io::Result<Option<Ending>> {
        self.input.pause().await;
        self.surface.leave();
        signals.hand_over(true);
        let model = self.fleets.models().get(fleet);
        let simulated = model.and_then(|model| model.options.simulated_console.clone());
        let returned = match (&program, simulated) {
            (Program::Login(login), _) => self.run_login(login, signals).await,
            (Program::Console(request), Some(console)) => {
                let running = (console.0)(request.clone());
                self.wait_for(
                    async {
                        Return::Closed({
                            running.await;
                            Ok(None)
                        })
                    },
                    signals,
                )
                .await
            }
            (Program::Console(request), None) => match request.tool {
                Tool::Console(console) => self.run_session(fleet, request, console, signals).await,
                Tool::Kubectl => self.run_kubectl(fleet, &request.environment, signals).await,
            },
        };
        let result = match returned {
            Return::Closed(result) => result,
            Return::Ending(ending) => return Ok(Some(ending)),
            Return::Panic => return Err(io::Error::other("a task panicked")),
        };
        signals.hand_over(false);
        self.input.resume();
        self.resume()?;
        let msg = match program {
            Program::Console(request) => Msg::ConsoleClosed(request, result),
            Program::Login(_) => Msg::LoggedIn(result.map(drop)),
        };
        self.update(fleet, msg)?;
        for incoming in std::mem::take(&mut self.held) {
            self.receive(incoming)?;
        }
        Ok(None)
    }

    async fn run_session(
        &mut self,
        fleet: usize,
        request: &ConsoleRequest,
        console: Console,
        signals: &mut Signals,
    ) -> Return {
        let Some((engine, _)) = self.engine(fleet) else { return Return::Closed(Ok(None)) };
        let (engine, cloud) = (engine.clone(), engine.cloud().clone());
        let ConsoleRequest { environment, instance, .. } = request.clone();
        say(&format!("Connecting to {environment} (Ctrl-C cancels)"));
        let target = SessionTarget { environment: environment.clone(), instance };
        let (cancel, cancelled) = oneshot::channel::<()>();
        let cancelled = async {
            // The sender is dropped, never used.
            let _ = cancelled.await;
        };
        let mut starting = std::pin::pin!(ForegroundSession::start(&cloud, &target, console, cancelled));
        let started = tokio::select! {
            started = &mut starting => started,
            request = cancelling(signals) => {
                drop(cancel);
                if matches!(request, Some(Request::End(_))) {
                    signals.restored();
                }
                let cancelled = starting.await;
                if let Some(Request::End(ending)) = request {
                    return Return::Ending(ending);
                }
                match cancelled {
                    // It started in the same moment.
                    Ok(Some(session)) => session.stop().await,
                    Ok(None) => {}
                    Err(failure) => return Return::Closed(Err(failure)),
                }
                return Return::Closed(Ok(Some("was not opened: cancelled".to_owned())));
            }
        };
        let mut session = match started {
            Ok(Some(session)) => session,
            Ok(None) => return Return::Closed(Ok(None)),
            Err(failure) => return Return::Closed(Err(failure)),
        };
        let id = environment.to_string();
        self.requests.spawn(async move {
            let reason = "through Session Manager";
            engine.log_request(console.action(), &id, reason, Outcome::Done, String::new()).await;
        });
        let mut ended = None;
        let waited = self
            .wait_for(
                async {
                    ended = Some(session.ended().await);
                    Return::Closed(Ok(None))
                },
                signals,
            )
            .await;
        let Some(ended) = ended else {
            // Its time for that is limited, and begins here.
            signals.restored();
            session.stop().await;
            return waited;
        };
        session.close().await;
        let words = problem(&ended);
        if words.is_some() || ended.duration < EARLY {
            let what = format!("The {console} on {environment} has ended. ");
            if let Some(returned) = self.wait_for_enter(&what, signals).await {
                return returned;
            }
        }
        Return::Closed(Ok(words))
    }

    /// Waits for a program that has the terminal, and keeps the model up to date meanwhile.
    pub(super) async fn wait_for(
        &mut self,
        program: impl Future<Output = Return>,
        signals: &mut Signals,
    ) -> Return {
        let mut program = std::pin::pin!(program);
        loop {
            tokio::select! {
                returned = &mut program => return returned,
                request = signals.next() => {
                    if let Request::End(ending) = request {
                        return Return::Ending(ending);
                    }
                }
                () = terminal::panicked() => return Return::Panic,
                Some(incoming) = self.receiver.recv() => self.hold(incoming),
            }
        }
    }

    /// Applies what the engine tells, which would take more and more memory. The rest waits, because it may write to the terminal.
    fn hold(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Msg(fleet, msg @ (Msg::Engine(_) | Msg::Log(..))) => {
                if self.update(fleet, msg).is_err() {
                    // Neither has an effect on the terminal, which is the only cause of an error.
                    tracing::warn!("the terminal was written to while a program had it");
                }
            }
            incoming => self.held.push(incoming),
        }
    }
}

/// Waits for a signal that cancels a session which is not there yet.
async fn cancelling(signals: &mut Signals) -> Option<Request> {
    loop {
        match signals.next().await {
            request @ (Request::End(_) | Request::Interrupt) => return Some(request),
            Request::Suspend | Request::Continue => {}
        }
    }
}

fn problem(ended: &Ended) -> Option<String> {
    let words = ended.words.as_ref().map(|words| format!(": {words}")).unwrap_or_default();
    match ended.code {
        0 if words.is_empty() => None,
        0 => Some(format!("has ended{words}")),
        code => Some(format!("has ended (exit code {code}){words}")),
    }
}

/// Writes a line to the terminal. One that is gone cannot show it.
pub(super) fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Waits for Enter.
pub(super) async fn read_line() {
    let read = tokio::task::spawn_blocking(|| io::stdin().read_line(&mut String::new()));
    let _ = read.await;
}
