//! Signals that end the process.

use std::cell::Cell;
use std::future::pending;
use std::io;
use std::process::ExitCode;

/// Waits until the process is told to end, or its terminal is closed.
#[cfg(unix)]
pub(crate) async fn terminated() {
    use tokio::signal::unix::SignalKind;
    let wait = |kind| async move {
        if wait_for(kind).await.is_err() {
            pending::<()>().await;
        }
    };
    tokio::select! {
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::hangup()) => {}
    }
}

/// Waits for Ctrl-C, or until the process is told to end. Returns its exit code as shells report it: 128 and the signal's number.
pub(crate) async fn interrupted() -> u8 {
    tokio::select! {
        // Without a handler, the signal ends the process.
        Ok(()) = tokio::signal::ctrl_c() => 130,
        () = terminated() => 143,
    }
}

/// As [`terminated`], with the exit code as shells report it.
#[cfg(unix)]
pub(crate) async fn ended() -> u8 {
    use tokio::signal::unix::SignalKind;
    tokio::select! {
        Ok(()) = wait_for(SignalKind::hangup()) => 129,
        Ok(()) = wait_for(SignalKind::terminate()) => 143,
        else => pending().await,
    }
}

/// Keeps Ctrl-C, Ctrl-\ and Ctrl-Z from ending or stopping this process from now on. They are for a program in the same terminal, which
/// gets their signals too: a handler, unlike an ignored signal, is not inherited.
#[cfg(unix)]
pub(crate) fn leave_keyboard_to_foreground() {
    use tokio::signal::unix::{SignalKind, signal};
    leave_interrupts_to_foreground();
    let _ = signal(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw()));
}

/// As [`leave_keyboard_to_foreground`], but Ctrl-Z stops this process and the program.
#[cfg(unix)]
pub(crate) fn leave_interrupts_to_foreground() {
    use tokio::signal::unix::{SignalKind, signal};
    // tokio keeps its handlers until the process ends. Without one, the key ends both.
    let _ = signal(SignalKind::interrupt());
    let _ = signal(SignalKind::quit());
}

/// How a command that is not done yet is cancelled: by Ctrl-C, or by a signal that ends it.
#[derive(Debug, Default)]
pub(crate) struct Cancellation(Cell<u8>);

impl Cancellation {
    /// Waits until the user or the system cancels the command.
    pub(crate) async fn wait(&self) {
        self.0.set(interrupted().await);
    }

    /// Returns the exit code for a command that was cancelled.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.0.get())
    }
}

/// Waits until the process is told to end.
///
/// # Errors
/// Returns an error if the signal cannot be listened for.
#[cfg(unix)]
pub(crate) async fn terminate() -> io::Result<()> {
    wait_for(tokio::signal::unix::SignalKind::terminate()).await
}

#[cfg(unix)]
async fn wait_for(kind: tokio::signal::unix::SignalKind) -> io::Result<()> {
    tokio::signal::unix::signal(kind)?.recv().await;
    Ok(())
}

/// Waits for ever, because these signals do not exist here.
#[cfg(not(unix))]
pub(crate) async fn terminated() {
    pending().await
}

/// Waits for ever, because these signals do not exist here.
#[cfg(not(unix))]
pub(crate) async fn ended() -> u8 {
    pending().await
}

/// Does nothing, because Ctrl-C is for all programs of a console here.
#[cfg(not(unix))]
pub(crate) fn leave_keyboard_to_foreground() {}

#[cfg(not(unix))]
pub(crate) fn leave_interrupts_to_foreground() {}

/// Waits for ever, because this signal does not exist here.
#[cfg(not(unix))]
pub(crate) async fn terminate() -> io::Result<()> {
    pending().await
}
