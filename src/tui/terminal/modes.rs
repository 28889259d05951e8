//! The modes of the terminal: set at the start, and restored at the end, for a suspension, on failure and on panic.

use std::io::{self, Write, stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, TryLockError};
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste, EnableFocusChange,
    EnableMouseCapture,
};
use ratatui::crossterm::terminal::{
    DisableLineWrap, EnableLineWrap, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{cursor, execute, queue};
use tokio::sync::Notify;

/// How long the restoration waits for a frame that is being written, and for its own bytes to be written elsewhere.
const WRITE_TIMEOUT: Duration = Duration::from_millis(200);

/// Whether the modes are set. Restored only once, because leaving the alternate screen a second time moves the cursor over
/// what was printed since.
static SET: AtomicBool = AtomicBool::new(false);

/// Held while anything is written, so that nothing follows the restoration.
static WRITING: Mutex<()> = Mutex::new(());

/// Whether any thread has panicked. The panic hook has restored the terminal by then.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// Wakes the driver after a panic of another task.
static PANIC: Notify = Notify::const_new();

/// Sets raw mode, the alternate screen and the other modes; captures the mouse if `mouse` is set. Sets them again if they are set
/// already, because a shell changes the terminal while this process is stopped.
pub(super) fn set(mouse: bool) -> io::Result<()> {
    let was_set = SET.swap(true, Ordering::SeqCst);
    if was_set {
        // Otherwise crossterm takes the terminal for raw, and does nothing.
        disable_raw_mode()?;
    }
    let entered = enable_raw_mode().and_then(|()| {
        let _writing = lock();
        let mut out = stdout().lock();
        if !was_set {
            queue!(out, EnterAlternateScreen)?;
        }
        // Without line wrap, a terminal that gives a character more columns than expected cannot push it to the next row.
        queue!(out, DisableLineWrap, EnableBracketedPaste, EnableFocusChange, cursor::Hide)?;
        if mouse {
            queue!(out, EnableMouseCapture)?;
        }
        out.flush()
    });
    if entered.is_err() {
        restore();
    }
    entered
}

/// Writes bytes in one piece, unless the terminal has been restored.
pub(super) fn write(bytes: &[u8]) -> io::Result<()> {
    let _writing = lock();
    if !SET.load(Ordering::SeqCst) {
        return Err(io::Error::other("the terminal is restored"));
    }
    let mut out = stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Restores the terminal, if its modes are set. Ignores errors because no further fallback exists, and never waits long: the
/// terminal may no longer be read.
pub(crate) fn restore() {
    if !SET.swap(false, Ordering::SeqCst) {
        return;
    }
    match lock_within(WRITE_TIMEOUT) {
        Some(_writing) => {
            let _ = leave(&mut stdout());
        }
        // A write blocks, and holds the lock of standard output.
        None => leave_elsewhere(),
    }
    let _ = disable_raw_mode();
}

/// Restores the terminal although another thread may be stuck in doing so.
pub(crate) fn force_restore() {
    restore();
    let _ = disable_raw_mode();
}

fn leave(out: &mut impl Write) -> io::Result<()> {
    execute!(
        out,
        EndSynchronizedUpdate,
        DisableMouseCapture,
        DisableFocusChange,
        DisableBracketedPaste,
        EnableLineWrap,
        LeaveAlternateScreen,
        cursor::Show
    )
}

/// Leaves the modes through the terminal's device, without waiting for it for long.
fn leave_elsewhere() {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        if let Ok(mut terminal) = std::fs::File::options().write(true).open("/dev/tty") {
            let _ = leave(&mut terminal);
        }
        let _ = sender.send(());
    });
    let _ = receiver.recv_timeout(WRITE_TIMEOUT);
}

fn lock() -> MutexGuard<'static, ()> {
    WRITING.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[allow(clippy::disallowed_methods)] // for milliseconds, and only before the process ends or stops
fn lock_within(timeout: Duration) -> Option<MutexGuard<'static, ()>> {
    let begun = Instant::now();
    loop {
        match WRITING.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(error)) => return Some(error.into_inner()),
            Err(TryLockError::WouldBlock) if begun.elapsed() > timeout => return None,
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Restores the terminal before the panic message is printed, because the alternate screen would hide it.
pub(super) fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICKED.store(true, Ordering::SeqCst);
            restore();
            previous(info);
            PANIC.notify_one();
        }));
    });
}

/// Whether any thread has panicked since the dashboard started.
pub(crate) fn has_panicked() -> bool {
    PANICKED.load(Ordering::SeqCst)
}

/// Waits until any thread panics.
pub(crate) async fn panicked() {
    while !has_panicked() {
        PANIC.notified().await;
    }
}
