//! The binary in a pseudo-terminal, and its screen.

use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, PtySize, native_pty_system};

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
}

impl Terminal {
    /// Starts the binary in a terminal of this size, with only these environment variables.
    pub(crate) fn start(arguments: &[&str], environment: &[(String, String)], size: (u16, u16)) -> Self {
        let (cols, rows) = size;
        let pair =
            native_pty_system().openpty(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_hatchery"));
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
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read) = reader.read(&mut buffer) {
                if read == 0 {
                    return;
                }
                seen.lock().unwrap().process(&buffer[..read]);
                bytes.lock().unwrap().extend_from_slice(&buffer[..read]);
            }
        });
        Self { screen, raw, writer, child, master: pair.master }
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
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) {
            if let Some(status) = self.child.try_wait().unwrap() {
                // Its last output may still be in transit.
                std::thread::park_timeout(Duration::from_millis(200));
                return status.exit_code();
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
