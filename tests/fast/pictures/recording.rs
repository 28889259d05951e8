//! A recording of the demo, from a launch to the end of the environment, as an asciicast.
//! <https://docs.asciinema.org/manual/asciicast/v2/>

use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hatchery::clock::Clock;
use hatchery::cloud::sim::{Scenario, SimCloud};
use hatchery::engine::RunOptions;
use hatchery::tui::driver::run_on;
use hatchery::tui::terminal::Surface;
use ratatui::backend::{Backend as _, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent};
use ratatui::crossterm::style::force_color_output;
use ratatui::layout::{Position, Size};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::{assert_current, now, options};
use crate::support::sample_fleet::{connected, engine, text_of};

const SIZE: Size = Size::new(110, 28);

/// How many times faster than real time the demo runs.
const SPEED: f64 = 30.0;

/// The largest file that a page may link to, in bytes.
const MAX_BYTES: usize = 300_000;

struct Frame {
    at: Instant,
    cells: Buffer,
    cursor: Option<Position>,
}

/// The frames so far.
#[derive(Clone)]
struct Recorder(Arc<Mutex<Vec<Frame>>>);

impl Surface for Recorder {
    fn size(&self) -> io::Result<Size> {
        Ok(SIZE)
    }

    fn show(&mut self, drawn: Buffer, cursor: Option<Position>) -> io::Result<bool> {
        self.0.lock().unwrap().push(Frame { at: Instant::now(), cells: drawn, cursor });
        Ok(true)
    }

    fn invalidate(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn copy(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }
}

/// A user who types, and looks at the screen.
struct User {
    keys: mpsc::UnboundedSender<io::Result<Event>>,
    screen: Recorder,
}

impl User {
    async fn press(&self, code: KeyCode, seconds: f64) {
        self.keys.send(Ok(Event::Key(KeyEvent::from(code)))).unwrap();
        sleep(Duration::from_secs_f64(seconds)).await;
    }

    async fn type_in(&self, text: &str) {
        for c in text.chars() {
            self.press(KeyCode::Char(c), 0.09).await;
        }
    }

    /// Waits until a line has both texts.
    async fn wait_for(&self, name: &str, state: &str) {
        for _ in 0..600 {
            let screen = self.screen.0.lock().unwrap().last().map(|frame| text_of(&frame.cells));
            if screen.is_some_and(|text| text.lines().any(|line| line.contains(name) && line.contains(state)))
            {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("{name} never became {state}");
    }
}

/// Launches an environment, waits until it is ready, looks at its log, and terminates it.
async fn play(user: &User) {
    user.wait_for("checkout-fix", "ready").await;
    sleep(Duration::from_secs(2)).await;
    user.press(KeyCode::Char('l'), 0.8).await;
    user.type_in("voucher-fix").await;
    user.press(KeyCode::Tab, 0.3).await;
    user.press(KeyCode::Tab, 0.3).await;
    user.type_in("payments=f-131").await;
    sleep(Duration::from_millis(800)).await;
    user.press(KeyCode::Enter, 1.0).await;
    user.wait_for("voucher-fix", "ready").await;
    sleep(Duration::from_secs(2)).await;
    user.press(KeyCode::Char('L'), 4.0).await;
    user.press(KeyCode::Esc, 1.0).await;
    user.press(KeyCode::Char('x'), 2.0).await;
    user.press(KeyCode::Char('y'), 1.0).await;
    user.wait_for("voucher-fix", "terminating").await;
    sleep(Duration::from_secs(4)).await;
}

async fn record() -> Vec<Frame> {
    let clock = Clock::virtual_from(now(), SPEED);
    let sim = SimCloud::new(Scenario::demo().unwrap(), 1, clock.clone());
    let (events, schedule) = (sim.clone(), engine(&sim, &clock, "schedule"));
    tokio::spawn(async move { events.run_events().await });
    tokio::spawn(async move {
        let (_handle, mut events) =
            schedule.run(RunOptions { background: true, refresh: Duration::from_mins(1) });
        while events.recv().await.is_some() {}
    });
    let connected = connected(&sim, &clock, "you");
    let connect = move || std::future::ready(Ok(connected.clone()));
    let (keys, mut pressed) = mpsc::unbounded_channel();
    let events = futures::stream::poll_fn(move |context| pressed.poll_recv(context));
    let user = User { keys, screen: Recorder(Arc::default()) };
    let mut options = options(clock, "ansi");
    options.zone = chrono_tz::UTC.into();
    let running = tokio::spawn(run_on(user.screen.clone(), events, connect, options));
    play(&user).await;
    running.abort();
    std::mem::take(&mut *user.screen.0.lock().unwrap())
}

/// Returns what a terminal is sent for the frames.
fn asciicast(frames: &[Frame]) -> String {
    // Else the variable `NO_COLOR` would decide.
    force_color_output(true);
    let header = serde_json::json!({
        "version": 2,
        "width": SIZE.width,
        "height": SIZE.height,
        "idle_time_limit": 2.0,
        "title": "hatchery: launch, log and termination in the demo",
        "env": { "TERM": "xterm-256color" },
    });
    let mut text = format!("{header}\n");
    let begun = frames[0].at;
    let mut last = &Buffer::empty(frames[0].cells.area);
    for Frame { at, cells, cursor } in frames {
        let mut bytes = Vec::new();
        let mut backend = CrosstermBackend::new(&mut bytes);
        backend.hide_cursor().unwrap();
        backend.draw(last.diff(cells).into_iter()).unwrap();
        if let Some(at) = cursor {
            backend.set_cursor_position(*at).unwrap();
            backend.show_cursor().unwrap();
        }
        let seconds = (at.duration_since(begun).as_secs_f64() * 1_000.0).round() / 1_000.0;
        let bytes = String::from_utf8(bytes).unwrap();
        writeln!(text, "{}", serde_json::json!([seconds, "o", bytes])).unwrap();
        last = cells;
    }
    text
}

#[tokio::test(start_paused = true)]
async fn readme_recording_is_current() {
    let recording = asciicast(&record().await);
    assert!(recording.len() < MAX_BYTES, "{} bytes", recording.len());
    assert_current("demo.cast", &recording);
}

#[tokio::test(start_paused = true)]
async fn recording_shows_the_whole_life() {
    let frames: Vec<_> = record().await.iter().map(|frame| text_of(&frame.cells)).collect();
    let mut rest = frames.iter();
    for part in
        ["Launch an environment", "is launching on", "◐ images", "following", "Terminate", "terminating"]
    {
        assert!(rest.any(|frame| frame.contains(part)), "{part} comes after what is before it");
    }
}
