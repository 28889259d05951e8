//! The terminal: what the dashboard draws on.

use std::io::{self, IsTerminal as _, Write, stdin, stdout};

use ratatui::backend::{Backend as _, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::crossterm::clipboard::CopyToClipboard;
use ratatui::crossterm::event::{DisableMouseCapture, EnableMouseCapture};
use ratatui::crossterm::style::force_color_output;
use ratatui::crossterm::terminal::{BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate};
use ratatui::crossterm::{cursor, queue};
use ratatui::layout::{Position, Size};

use crate::failure::{Failure, Kind};

mod cells;
mod modes;

pub(crate) use modes::{force_restore, has_panicked, panicked, restore};

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

    /// Sends a text to the terminal's clipboard with OSC 52, which terminals without support ignore.
    ///
    /// # Errors
    /// Returns an error if the terminal cannot be written to.
    fn copy(&mut self, text: &str) -> io::Result<()>;

    /// Captures the mouse, or leaves it to the terminal.
    ///
    /// # Errors
    /// Returns an error if the terminal cannot be written to.
    fn capture_mouse(&mut self, _captured: bool) -> io::Result<()> {
        Ok(())
    }

    /// Writes the sequence of a notification, which moves no cursor and changes no cell.
    ///
    /// # Errors
    /// Returns an error if the terminal cannot be written to.
    fn notify(&mut self, _sequence: &[u8]) -> io::Result<()> {
        Ok(())
    }

    /// Restores the terminal until [`Surface::resume`].
    fn leave(&mut self) {}

    /// Sets the terminal up again after the process was stopped.
    ///
    /// # Errors
    /// Returns an error if a mode cannot be set.
    fn resume(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The terminal on standard output; dropping it restores the terminal.
///
/// It never asks the terminal anything: ratatui's `Terminal` asks for the position of the cursor when it is cleared, and fails if
/// there is no answer within two seconds.
pub(crate) struct CrosstermSurface {
    backend: CrosstermBackend<Output>,
    last_frame: Option<(Buffer, Option<Position>)>,
    mouse: bool,
}

/// Collects a frame until it is flushed, so that it is written in one piece.
struct Output(Vec<u8>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = modes::write(&self.0);
        self.0.clear();
        result
    }
}

impl CrosstermSurface {
    /// Enters raw mode and the alternate screen, and captures the mouse if `mouse` is set.
    ///
    /// # Errors
    /// Returns a failure if this is no terminal, if it cannot show a full screen, or if a mode cannot be set.
    pub(crate) fn enter(mouse: bool) -> Result<Self, Failure> {
        check()?;
        modes::restore_on_panic();
        // With NO_COLOR, crossterm would replace colours by resets and lose the reversed selection. The theme handles
        // NO_COLOR instead: mono has no colours.
        force_color_output(true);
        modes::set(mouse).map_err(|error| failure(&error))?;
        Ok(Self { backend: CrosstermBackend::new(Output(Vec::new())), last_frame: None, mouse })
    }

    fn flush(&mut self) -> io::Result<()> {
        Write::flush(&mut self.backend)
    }

    fn queue_frame(&mut self, last: &Buffer, next: &Buffer, cursor: Option<Position>) -> io::Result<()> {
        queue!(self.backend, BeginSynchronizedUpdate, cursor::Hide)?;
        if last.area == next.area {
            self.queue_cells(last, next)?;
        } else {
            queue!(self.backend, Clear(ClearType::All))?;
            self.queue_cells(&Buffer::empty(next.area), next)?;
        }
        if let Some(at) = cursor {
            queue!(self.backend, cursor::MoveTo(at.x, at.y), cursor::Show)?;
        }
        queue!(self.backend, EndSynchronizedUpdate)
    }

    fn queue_cells(&mut self, last: &Buffer, next: &Buffer) -> io::Result<()> {
        // The terminal may have been resized after the frame was drawn; the resize event follows.
        let size = self.size()?;
        for run in cells::updates(last, next) {
            self.backend.draw(run.into_iter().filter(|(x, y, _)| *x < size.width && *y < size.height))?;
        }
        Ok(())
    }
}

impl Surface for CrosstermSurface {
    fn size(&self) -> io::Result<Size> {
        self.backend.size()
    }

    fn show(&mut self, frame: Buffer, cursor: Option<Position>) -> io::Result<bool> {
        let next = (frame, cursor);
        if self.last_frame.as_ref() == Some(&next) {
            return Ok(false);
        }
        let (last, _) = self.last_frame.take().unwrap_or_default();
        self.queue_frame(&last, &next.0, cursor)?;
        self.flush()?;
        self.last_frame = Some(next);
        Ok(true)
    }

    fn invalidate(&mut self) -> io::Result<()> {
        self.last_frame = None;
        Ok(())
    }

    fn copy(&mut self, text: &str) -> io::Result<()> {
        queue!(self.backend, CopyToClipboard::to_clipboard_from(text))?;
        self.flush()
    }

    fn capture_mouse(&mut self, captured: bool) -> io::Result<()> {
        self.mouse = captured;
        if captured {
            queue!(self.backend, EnableMouseCapture)?;
        } else {
            queue!(self.backend, DisableMouseCapture)?;
        }
        self.flush()
    }

    fn notify(&mut self, sequence: &[u8]) -> io::Result<()> {
        modes::write(sequence)
    }

    fn leave(&mut self) {
        restore();
    }

    fn resume(&mut self) -> io::Result<()> {
        self.last_frame = None;
        modes::set(self.mouse)
    }
}

impl Drop for CrosstermSurface {
    fn drop(&mut self) {
        restore();
    }
}

/// Fails if this is not a terminal that can show the dashboard.
pub(crate) fn check() -> Result<(), Failure> {
    unfit().map_or(Ok(()), |(problem, hint)| {
        Err(Failure::new(Kind::Failed, format!("cannot use the terminal: {problem}"), hint))
    })
}

/// Returns why the dashboard cannot be shown here, and what to do about it.
fn unfit() -> Option<(String, &'static str)> {
    if !stdout().is_terminal() {
        let problem = "standard output is not a terminal";
        return Some((problem.to_owned(), "run hatchery in a terminal, or use hatchery ls"));
    }
    let has_keyboard = stdin().is_terminal() || cfg!(unix) && std::fs::File::open("/dev/tty").is_ok();
    if !has_keyboard {
        let problem = "standard input is not a terminal";
        return Some((problem.to_owned(), "run hatchery in a terminal, or use hatchery ls"));
    }
    let term = std::env::var("TERM").unwrap_or_default();
    matches!(term.as_str(), "dumb" | "unknown").then(|| {
        let problem = format!("TERM is {term}, and such a terminal cannot show a full screen");
        (problem, "use commands such as hatchery ls, or set TERM to the name of your terminal")
    })
}

/// Returns the failure for an error of the terminal.
pub(crate) fn failure(error: &io::Error) -> Failure {
    if has_panicked() {
        let hint = "start hatchery again, and report the message above";
        return Failure::new(Kind::Failed, "a part of the dashboard panicked", hint);
    }
    let hint = "run hatchery in a terminal, or use hatchery ls";
    Failure::new(Kind::Failed, format!("cannot use the terminal: {error}"), hint)
}
