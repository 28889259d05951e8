//! The terminal, taken over and given back: on leaving, on a failure, on a panic.

use std::io::{self, IsTerminal as _, Stdout, Write as _, stdout};
use std::mem::ManuallyDrop;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste, EnableFocusChange,
    EnableMouseCapture,
};
use ratatui::crossterm::style::{Print, force_color_output};
use ratatui::crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{cursor, execute, queue};
use ratatui::layout::{Position, Size};

/// The most bytes of a text that is sent to the terminal's clipboard.
const MAX_CLIPBOARD: usize = 64 * 1024;

/// Whether any thread has panicked: the terminal was given back then, and nothing may be drawn any more.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// Where the dashboard is shown.
pub trait Surface {
    /// Its size.
    ///
    /// # Errors
    /// Where it does not tell.
    fn size(&self) -> io::Result<Size>;

    /// Shows what was drawn, if it differs from what is shown. Says whether it did.
    ///
    /// # Errors
    /// Where it is gone.
    fn show(&mut self, drawn: Buffer, at: Option<Position>) -> io::Result<bool>;

    /// Forgets what is shown, so that everything is drawn again.
    ///
    /// # Errors
    /// Where it is gone.
    fn invalidate(&mut self) -> io::Result<()>;

    /// Sends a text to the terminal's clipboard (OSC 52). Terminals that do not know it ignore it.
    ///
    /// # Errors
    /// Where it is gone.
    fn copy(&mut self, text: &str) -> io::Result<()>;
}

/// The terminal while it is ours.
pub struct CrosstermSurface {
    /// Never dropped: ratatui's own drop reports what fails on stderr, and that panics once the terminal is gone.
    terminal: ManuallyDrop<Terminal<CrosstermBackend<Stdout>>>,
    shown: Option<(Buffer, Option<Position>)>,
}

impl CrosstermSurface {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// Where there is no terminal, or it does not do as it is told.
    pub fn enter(mouse: bool) -> io::Result<Self> {
        if !stdout().is_terminal() {
            return Err(io::Error::other("standard output is no terminal"));
        }
        restore_on_panic();
        // With NO_COLOR set, crossterm would write resets in place of colours and so lose the reversed selection. The
        // mono theme has no colours in the first place.
        force_color_output(true);
        enable_raw_mode()?;
        let entered =
            execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste, EnableFocusChange, cursor::Hide);
        let entered =
            entered.and_then(|()| if mouse { execute!(stdout(), EnableMouseCapture) } else { Ok(()) });
        let terminal = entered.and_then(|()| Terminal::new(CrosstermBackend::new(stdout())));
        match terminal {
            Ok(terminal) => Ok(Self { terminal: ManuallyDrop::new(terminal), shown: None }),
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

    fn show(&mut self, drawn: Buffer, at: Option<Position>) -> io::Result<bool> {
        let now = (drawn, at);
        if PANICKED.load(Ordering::Relaxed) {
            return Err(io::Error::other("a background task has panicked; its message is above"));
        }
        if self.shown.as_ref() == Some(&now) {
            return Ok(false);
        }
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        let result = self.terminal.draw(|frame| {
            let target = frame.buffer_mut();
            if target.area == now.0.area {
                target.content.clone_from(&now.0.content);
            } else {
                // Resized between drawing and showing; the resize is on its way as a message.
                for at in target.area.intersection(now.0.area).positions() {
                    target[at] = now.0[at].clone();
                }
            }
            if let Some(at) = at {
                frame.set_cursor_position(at);
            }
        });
        let result = result.map(|_| ());
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)?;
        result?;
        self.shown = Some(now);
        Ok(true)
    }

    fn invalidate(&mut self) -> io::Result<()> {
        self.shown = None;
        self.terminal.clear()
    }

    fn copy(&mut self, text: &str) -> io::Result<()> {
        if text.len() > MAX_CLIPBOARD {
            return Ok(());
        }
        let encoded = base64::engine::general_purpose::STANDARD.encode(text);
        execute!(self.terminal.backend_mut(), Print(format!("\u{1b}]52;c;{encoded}\u{7}")))
    }
}

impl Drop for CrosstermSurface {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back. Doing so twice does no harm; what fails cannot be helped any more.
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

/// The message of a panic is of use only on a terminal that shows it.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICKED.store(true, Ordering::Relaxed);
            restore();
            before(info);
        }));
    });
}
