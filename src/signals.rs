//! Signals that end the process.

/// Waits until the process is told to end, or its terminal is closed.
#[cfg(unix)]
pub(crate) async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    let wait = |kind| async move {
        match signal(kind) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::hangup()) => {}
    }
}

/// Waits for ever, because these signals do not exist here.
#[cfg(not(unix))]
pub(crate) async fn terminated() {
    std::future::pending().await
}
