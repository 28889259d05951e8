//! The binary in a pseudo-terminal, and its screen.

use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, ExitStatus, PtySize, native_pty_system};

fn cells(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).unwrap()
}

/// A terminal that runs the binary.
pub(crate) struct Terminal {
    screen: Arc<Mutex<vt100::Parser>>,
    raw: Arc<Mutex<Vec<u8>>>,
    writer: Box<dyn std::io::Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn portable_pty::MasterPty + Send>,
    /// Whether what the binary writes stays unread.
    unread: Arc<AtomicBool>,
}

/// The modes of a terminal.
#[derive(Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // each is a mode of its own
pub(crate) struct Modes {
    pub(crate) alternate_screen: bool,
    pub(crate) mouse: bool,
    pub(crate) bracketed_paste: bool,
    pub(crate) hidden_cursor: bool,
}

/// How a process ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Code(u32),
    /// The description of the signal.
    Signal(String),
}

impl Terminal {
    /// Starts the binary in a terminal of this size, with only these environment variables.
    pub(crate) fn start(arguments: &[&str], environment: &[(String, String)], size: (u16, u16)) -> Self {
        Self::start_program(env!("CARGO_BIN_EXE_hatchery"), arguments, environment, size)
    }

    /// Starts another program in the same way.
    pub(crate) fn start_program(
        program: &str,
        arguments: &[&str],
        environment: &[(String, String)],
        size: (u16, u16),
    ) -> Self {
        let (cols, rows) = size;
        let pair =
            native_pty_system().openpty(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
        let mut command = CommandBuilder::new(program);
        command.args(arguments);
        command.env_clear();
        command.env("TERM", "xterm-256color");
        for (key, value) in environment {
            command.env(key, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(cells(rows), cells(cols), 0)));
        let raw = Arc::new(Mutex::new(Vec::new()));
        let mut reader = pair.master.try_clone_reader().unwrap();
        let writer = pair.master.take_writer().unwrap();
        let (seen, bytes) = (Arc::clone(&screen), Arc::clone(&raw));
        let unread = Arc::new(AtomicBool::new(false));
        let waits = Arc::clone(&unread);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read) = reader.read(&mut buffer) {
                while waits.load(Ordering::Relaxed) {
                    std::thread::park_timeout(Duration::from_millis(20));
                }
                if read == 0 {
                    return;
                }
                seen.lock().unwrap().process(&buffer[..read]);
                bytes.lock().unwrap().extend_from_slice(&buffer[..read]);
            }
        });
        Self { screen, raw, writer, child, master: pair.master, unread }
    }

    /// Starts the dashboard as the user amy, with these environment variables.
    pub(crate) fn dashboard(mut environment: Vec<(String, String)>, arguments: &[&str]) -> Self {
        environment.push(("HATCHERY_OWNER".into(), "amy".into()));
        Self::start(arguments, &environment, (110, 30))
    }

    pub(crate) fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// Everything that the binary wrote, escape sequences included.
    pub(crate) fn raw(&self) -> Vec<u8> {
        self.raw.lock().unwrap().clone()
    }

    /// Reads nothing any more of what the binary writes, or goes on.
    pub(crate) fn stop_reading(&self, unread: bool) {
        self.unread.store(unread, Ordering::Relaxed);
    }

    pub(crate) fn modes(&self) -> Modes {
        let parser = self.screen.lock().unwrap();
        let screen = parser.screen();
        Modes {
            alternate_screen: screen.alternate_screen(),
            mouse: screen.mouse_protocol_mode() != vt100::MouseProtocolMode::None,
            bracketed_paste: screen.bracketed_paste(),
            hidden_cursor: screen.hide_cursor(),
        }
    }

    /// Returns the rows of the screen with a cell in reverse video.
    pub(crate) fn reversed_rows(&self) -> Vec<String> {
        let parser = self.screen.lock().unwrap();
        let screen = parser.screen();
        let (rows, cols) = screen.size();
        let reversed =
            |row: u16| (0..cols.get()).any(|col| screen.cell(row, col).is_some_and(vt100::Cell::inverse));
        let texts: Vec<_> = screen.rows(0, cols.get()).collect();
        (0..rows.get()).zip(texts).filter(|(row, _)| reversed(*row)).map(|(_, text)| text).collect()
    }

    pub(crate) fn send_keys(&mut self, keys: &str) {
        self.writer.write_all(keys.as_bytes()).unwrap();
        self.writer.flush().unwrap();
    }

    pub(crate) fn resize(&self, cols: u16, rows: u16) {
        self.screen.lock().unwrap().screen_mut().set_size(cells(rows), cells(cols));
        self.master.resize(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
    }

    /// Waits up to a minute until the screen contains the text.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) {
        self.wait_for_within(text, Duration::from_mins(1));
    }

    /// Waits up to a minute until the screen no longer contains the text.
    #[track_caller]
    pub(crate) fn wait_until_gone(&self, text: &str) {
        let begun = Instant::now();
        while self.text().contains(text) {
            assert!(
                begun.elapsed() < Duration::from_mins(1),
                "the screen still shows {text:?}:\n{}",
                self.text()
            );
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Waits up to a minute until this holds.
    #[track_caller]
    pub(crate) fn wait_until(&self, holds: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            assert!(begun.elapsed() < Duration::from_mins(1), "the screen is still:\n{}", self.text());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    #[track_caller]
    pub(crate) fn wait_for_within(&self, text: &str, timeout: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < timeout {
            if self.text().contains(text) {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
        panic!("the screen never showed {text:?}:\n{}", self.text());
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    /// Waits for the process to exit; returns its exit code.
    #[track_caller]
    pub(crate) fn wait_for_exit(&mut self) -> u32 {
        self.wait_for_status().exit_code()
    }

    /// Waits for the process to end.
    #[track_caller]
    pub(crate) fn wait_for_end(&mut self) -> Exit {
        let status = self.wait_for_status();
        match status.signal() {
            Some(signal) => Exit::Signal(signal.to_owned()),
            None => Exit::Code(status.exit_code()),
        }
    }

    #[track_caller]
    fn wait_for_status(&mut self) -> ExitStatus {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) {
            if let Some(status) = self.child.try_wait().unwrap() {
                // Its last output may still be in transit.
                std::thread::park_timeout(Duration::from_millis(200));
                return status;
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
        panic!("the process does not exit:\n{}", self.text());
    }

    /// Asserts that the terminal is restored to its initial state.
    #[track_caller]
    pub(crate) fn assert_restored(&self) {
        let raw = self.raw();
        let has = |sequence: &[u8]| raw.windows(sequence.len()).any(|window| window == sequence);
        assert!(has(b"\x1b[?1049l"), "the alternate screen is left");
        assert!(has(b"\x1b[?25h"), "the cursor is shown");
        assert!(!self.screen.lock().unwrap().screen().alternate_screen());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The process may already have exited.
        let _ = self.child.kill();
    }
}
