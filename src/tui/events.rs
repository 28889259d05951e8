//! The events of the terminal: keys, mouse, pasted text, sizes.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::Duration;

use futures::Stream;
use ratatui::crossterm::event::{self, Event};
use tokio::sync::{mpsc, watch};

/// The capacity of the channel. The thread waits when it is full.
const CAPACITY: usize = 1_024;

/// How often the thread checks whether it is to pause. crossterm sleeps for the whole milliseconds of this and polls without a pause for the
/// rest, so with exactly 200 ms it sleeps for 199 ms and then keeps a core busy for one.
const PAUSE_INTERVAL: Duration = Duration::from_micros(200_100);

/// How long the thread may take to pause. It does not while its channel is full.
const PAUSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Stops the reading of events while another program has the terminal.
pub(super) struct InputGate(Option<Reader>);

struct Reader {
    thread: Thread,
    paused: Arc<AtomicBool>,
    /// Whether the thread reads nothing.
    idle: watch::Receiver<bool>,
}

impl InputGate {
    /// For events that are not of the terminal.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Waits until the thread has stopped reading.
    pub(super) async fn pause(&mut self) {
        if let Some(reader) = &mut self.0 {
            reader.paused.store(true, Ordering::SeqCst);
            // Its end means that the thread has ended.
            let _ = tokio::time::timeout(PAUSE_TIMEOUT, reader.idle.wait_for(|idle| *idle)).await;
        }
    }

    pub(super) fn resume(&self) {
        if let Some(reader) = &self.0 {
            reader.paused.store(false, Ordering::SeqCst);
            reader.thread.unpark();
        }
    }
}

/// Reads the events on a separate thread, which ends with the process.
///
/// crossterm's `EventStream` wakes a thread for each event, so that keys which come together would arrive apart. Its feature `use-dev-tty`
/// is needed, too: without it, input beyond 1,024 bytes, or at the same time as a new size, waits for the next key.
///
/// # Errors
/// Returns an error if the thread cannot be started.
pub(super) fn read_events() -> io::Result<(impl Stream<Item = io::Result<Event>> + Unpin, InputGate)> {
    let (sender, mut receiver) = mpsc::channel(CAPACITY);
    let paused = Arc::new(AtomicBool::new(false));
    let (idle_sender, idle) = watch::channel(false);
    let is_paused = Arc::clone(&paused);
    let was_terminal = io::stdin().is_terminal();
    let thread = std::thread::Builder::new().name("events".to_owned()).spawn(move || {
        loop {
            while is_paused.load(Ordering::SeqCst) {
                idle_sender.send_replace(true);
                std::thread::park();
            }
            idle_sender.send_if_modified(std::mem::take);
            let event = match event::poll(PAUSE_INTERVAL) {
                // At the end of the input, crossterm reports no event, and does so at once, so the loop would spin.
                Ok(false) if was_terminal && !io::stdin().is_terminal() => {
                    Err(io::ErrorKind::UnexpectedEof.into())
                }
                Ok(false) => continue,
                Ok(true) => event::read(),
                Err(error) => Err(error),
            };
            let is_last = event.is_err();
            if sender.blocking_send(event).is_err() || is_last {
                return;
            }
        }
    })?;
    let gate = InputGate(Some(Reader { thread: thread.thread().clone(), paused, idle }));
    Ok((futures::stream::poll_fn(move |context| receiver.poll_recv(context)), gate))
}
