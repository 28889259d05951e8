//! The events of the terminal: keys, mouse, pasted text, sizes.

use std::io;

use futures::Stream;
use ratatui::crossterm::event::{self, Event};
use tokio::sync::mpsc;

/// The capacity of the channel. The thread waits when it is full.
const CAPACITY: usize = 1_024;

/// Reads the events on a thread of its own, which ends with the process.
///
/// crossterm's `EventStream` wakes a thread for each event, so that keys which come together would arrive apart. Its feature `use-dev-tty`
/// is needed, too: without it, input beyond 1,024 bytes, or at the same time as a new size, waits for the next key.
///
/// # Errors
/// Returns an error if the thread cannot be started.
pub(super) fn read_events() -> io::Result<impl Stream<Item = io::Result<Event>> + Unpin> {
    let (sender, mut receiver) = mpsc::channel(CAPACITY);
    std::thread::Builder::new().name("events".to_owned()).spawn(move || {
        loop {
            let event = event::read();
            let is_last = event.is_err();
            if sender.blocking_send(event).is_err() || is_last {
                return;
            }
        }
    })?;
    Ok(futures::stream::poll_fn(move |context| receiver.poll_recv(context)))
}
