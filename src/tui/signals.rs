//! Signals to the dashboard.
//!
//! A separate thread receives them, so that they act while a write blocks because the terminal is not read.

#[cfg(unix)]
pub(super) use unix::{Ending, Signals, can_suspend, suspend};

#[cfg(not(unix))]
pub(super) use other::{Ending, Signals, can_suspend, suspend};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// End the process.
    End(Ending),
    /// Stop the process until it is continued.
    Suspend,
    /// The process continues after it was stopped.
    Continue,
    /// Ctrl-C, while a program has the terminal.
    Interrupt,
}

#[cfg(unix)]
mod unix {
    use std::future::pending;
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use rustix::process::{Signal, getpgrp, getsid, kill_current_process_group};
    use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
    use signal_hook::iterator;
    use signal_hook::low_level::emulate_default_handler;
    use tokio::sync::mpsc;

    use super::Request;
    use crate::tui::terminal;

    /// How long the driver may take to restore the terminal. It cannot while a write to the terminal blocks.
    const RESTORE_TIMEOUT: Duration = Duration::from_secs(1);

    /// How long the process may then take to close port forwards.
    const CLOSE_TIMEOUT: Duration = Duration::from_secs(4);

    /// The signal that ends the process.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Ending(i32);

    impl Ending {
        /// Ends the process by the signal, so that its parent sees what ended it.
        pub(crate) fn die(self) {
            let _ = emulate_default_handler(self.0);
        }
    }

    /// The signals to this process.
    pub(crate) struct Signals {
        /// `None` if the dashboard is not on the terminal of this process.
        requests: Option<mpsc::UnboundedReceiver<Request>>,
        restored: Arc<AtomicBool>,
        /// Whether the signals of keys are for a program that has the terminal.
        handed_over: Arc<AtomicBool>,
    }

    impl Signals {
        /// Listens to nothing.
        pub(crate) fn none() -> Self {
            Self { requests: None, restored: Arc::default(), handed_over: Arc::default() }
        }

        /// Listens to the signals that end, stop and continue this process.
        pub(crate) fn listen() -> io::Result<Self> {
            let mut signals = iterator::Signals::new([SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGCONT])?;
            let (sender, receiver) = mpsc::unbounded_channel();
            let restored = Arc::new(AtomicBool::new(false));
            let watched = Arc::clone(&restored);
            let handed_over = Arc::new(AtomicBool::new(false));
            let leaves_keys = Arc::clone(&handed_over);
            std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
                for signal in signals.forever() {
                    let has_keys = !leaves_keys.load(Ordering::SeqCst);
                    let request = match signal {
                        SIGINT if !has_keys => Request::Interrupt,
                        SIGQUIT | SIGTSTP if !has_keys => continue,
                        SIGTSTP => Request::Suspend,
                        SIGCONT => Request::Continue,
                        signal => Request::End(Ending(signal)),
                    };
                    if let Request::End(ending) = request {
                        if !has_keys {
                            // A program has the terminal, which is restored already.
                            watched.store(true, Ordering::SeqCst);
                        }
                        let watched = Arc::clone(&watched);
                        std::thread::spawn(move || force(ending, &watched));
                    }
                    // Without a receiver the dashboard has ended, and the process soon ends.
                    let _ = sender.send(request);
                }
            })?;
            Ok(Self { requests: Some(receiver), restored, handed_over })
        }

        /// Waits for the next signal.
        pub(crate) async fn next(&mut self) -> Request {
            match &mut self.requests {
                Some(requests) => match requests.recv().await {
                    Some(request) => request,
                    None => pending().await,
                },
                None => pending().await,
            }
        }

        /// Waits for a signal that ends the process.
        pub(crate) async fn end(&mut self) -> Ending {
            loop {
                if let Request::End(ending) = self.next().await {
                    return ending;
                }
            }
        }

        /// Tells whether a program has the terminal. It gets the signals of keys too, and they do not end this process then.
        pub(crate) fn hand_over(&self, handed_over: bool) {
            self.handed_over.store(handed_over, Ordering::SeqCst);
        }

        /// Tells that the terminal is restored.
        pub(crate) fn restored(&self) {
            self.restored.store(true, Ordering::SeqCst);
        }
    }

    /// Ends the process, unless it ends by itself in time.
    #[allow(clippy::disallowed_methods)] // a thread of its own, outside of the runtime
    fn force(ending: Ending, restored: &AtomicBool) {
        std::thread::sleep(RESTORE_TIMEOUT);
        if restored.load(Ordering::SeqCst) {
            std::thread::sleep(CLOSE_TIMEOUT);
        }
        terminal::force_restore();
        ending.die();
    }

    /// Whether a shell would get the terminal back, and could continue this process. A process group that is its session's own has no
    /// shell above it: the dashboard is then what the terminal was opened for.
    pub(crate) fn can_suspend() -> bool {
        getsid(None).is_ok_and(|session| session != getpgrp())
    }

    /// Stops this process until SIGCONT; with `group` also the others of its process group, such as a wrapper that started it, as Ctrl-Z
    /// does outside of raw mode.
    pub(crate) fn suspend(group: bool) {
        if !group || kill_current_process_group(Signal::STOP).is_err() {
            let _ = emulate_default_handler(SIGTSTP);
        }
    }
}

#[cfg(not(unix))]
mod other {
    use std::future::pending;
    use std::io;

    use super::Request;

    /// Ctrl-C from outside.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Ending;

    impl Ending {
        /// Does nothing: the process returns.
        pub(crate) fn die(self) {}
    }

    pub(crate) struct Signals {
        listening: bool,
    }

    impl Signals {
        /// Listens to nothing.
        pub(crate) fn none() -> Self {
            Self { listening: false }
        }

        /// Listens to Ctrl-C.
        pub(crate) fn listen() -> io::Result<Self> {
            Ok(Self { listening: true })
        }

        /// Waits for the next signal.
        pub(crate) async fn next(&mut self) -> Request {
            Request::End(self.end().await)
        }

        /// Waits for a signal that ends the process.
        pub(crate) async fn end(&mut self) -> Ending {
            if !self.listening || tokio::signal::ctrl_c().await.is_err() {
                pending::<()>().await;
            }
            Ending
        }

        pub(crate) fn restored(&self) {}

        pub(crate) fn hand_over(&self, _handed_over: bool) {}
    }

    /// Processes cannot be stopped here.
    pub(crate) fn can_suspend() -> bool {
        false
    }

    pub(crate) fn suspend(_group: bool) {}
}
