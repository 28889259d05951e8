//! Signals that end the process.

use std::future::pending;
use std::io;

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

/// Waits for ever, because this signal does not exist here.
#[cfg(not(unix))]
pub(crate) async fn terminate() -> io::Result<()> {
    pending().await
}
