//! Sets the terminal up and restores it: on exit, on failure and on panic.

use std::io::{self, IsTerminal as _, Stdout, Write as _, stdout};
use std::mem::ManuallyDrop;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::clipboard::CopyToClipboard;
use ratatui::crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste, EnableFocusChange,
    EnableMouseCapture,
};
use ratatui::crossterm::style::force_color_output;
use ratatui::crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{cursor, execute, queue};
use ratatui::layout::{Position, Size};

/// The longest text to copy, in bytes. Terminals limit OSC 52 sequences; xterm's limit is about 100 kB after base64.
const MAX_CLIPBOARD_BYTES: usize = 64 * 1024;

/// Whether any thread has panicked. The panic hook has restored the terminal by then, so nothing may be drawn.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// What the dashboard draws on: a terminal, or a recorder in tests.
pub trait Surface {
    /// Returns the size in cells.
    ///
    /// # Errors
    /// Returns an error if the terminal does not report its size.
    fn size(&self) -> io::Result<Size>;

    /// Shows a frame with the cursor at `cursor`, unless it equals the last one; returns whether it wrote anything.
    ///
    /// # Errors
    /// Returns an error if the terminal cannot be written to, or if a thread has panicked.
    fn show(&mut self, frame: Buffer, cursor: Option<Position>) -> io::Result<bool>;

    /// Discards the last frame, so that the next one is drawn in full.
    ///
    /// # Errors
    /// Returns an error if the terminal cannot be written to.
    fn invalidate(&mut self) -> io::Result<()>;

    /// Copies a text to the terminal's clipboard with OSC 52, which terminals without support ignore.
    ///
    /// # Errors
    /// Returns an error if the terminal cannot be written to.
    fn copy(&mut self, text: &str) -> io::Result<()>;
}

/// The terminal on standard output; dropping it restores the terminal.
pub(crate) struct CrosstermSurface {
    /// Never dropped, because ratatui's `Drop` reports failures on stderr, which panics once the terminal is closed.
    terminal: ManuallyDrop<Terminal<CrosstermBackend<Stdout>>>,
    last_frame: Option<(Buffer, Option<Position>)>,
}

impl CrosstermSurface {
    /// Enters raw mode and the alternate screen, and captures the mouse if `mouse` is set.
    ///
    /// # Errors
    /// Returns an error if standard output is not a terminal or a mode cannot be set.
    pub(crate) fn enter(mouse: bool) -> io::Result<Self> {
        if !stdout().is_terminal() {
            return Err(io::Error::other("standard output is not a terminal"));
        }
        restore_on_panic();
        // With NO_COLOR, crossterm would replace colours by resets and lose the reversed selection. The theme handles
        // NO_COLOR instead: mono has no colours.
        force_color_output(true);
        enable_raw_mode()?;
        let entered =
            execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste, EnableFocusChange, cursor::Hide);
        let entered =
            entered.and_then(|()| if mouse { execute!(stdout(), EnableMouseCapture) } else { Ok(()) });
        let terminal = entered.and_then(|()| Terminal::new(CrosstermBackend::new(stdout())));
        match terminal {
            Ok(terminal) => Ok(Self { terminal: ManuallyDrop::new(terminal), last_frame: None }),
            Err(error) => {
                restore();
                Err(error)
            }
        }
    }
}

impl Surface for CrosstermSurface {
    fn size(&self) -> io::Result<Size> {
        self.terminal.size()
    }

    fn show(&mut self, frame: Buffer, cursor: Option<Position>) -> io::Result<bool> {
        let next = (frame, cursor);
        if PANICKED.load(Ordering::Relaxed) {
            return Err(io::Error::other("a background task panicked; see the message above"));
        }
        if self.last_frame.as_ref() == Some(&next) {
            return Ok(false);
        }
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        let result = self.terminal.draw(|frame| {
            let target = frame.buffer_mut();
            if target.area == next.0.area {
                target.content.clone_from(&next.0.content);
            } else {
                // The terminal was resized after the frame was drawn; the resize event follows.
                for at in target.area.intersection(next.0.area).positions() {
                    target[at] = next.0[at].clone();
                }
            }
            if let Some(cursor) = cursor {
                frame.set_cursor_position(cursor);
            }
        });
        let result = result.map(|_| ());
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)?;
        result?;
        self.last_frame = Some(next);
        Ok(true)
    }

    fn invalidate(&mut self) -> io::Result<()> {
        self.last_frame = None;
        self.terminal.clear()
    }

    fn copy(&mut self, text: &str) -> io::Result<()> {
        if text.len() > MAX_CLIPBOARD_BYTES {
            return Ok(());
        }
        execute!(self.terminal.backend_mut(), CopyToClipboard::to_clipboard_from(text))
    }
}

impl Drop for CrosstermSurface {
    fn drop(&mut self) {
        restore();
    }
}

/// Restores the terminal. Idempotent, and ignores errors because no further fallback exists.
fn restore() {
    let _ = execute!(
        stdout(),
        EndSynchronizedUpdate,
        DisableMouseCapture,
        DisableFocusChange,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        cursor::Show
    );
    let _ = disable_raw_mode();
    let _ = stdout().flush();
}

/// Restores the terminal before the panic message is printed, because the alternate screen would hide it.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICKED.store(true, Ordering::Relaxed);
            restore();
            previous(info);
        }));
    });
}
