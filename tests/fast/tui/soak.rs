//! The memory of a dashboard that is open for a day with the log of an environment.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hatchery::clock::Clock;
use hatchery::cloud::sim::{Scenario, SimCloud};
use hatchery::tui::driver::run_on;
use hatchery::tui::terminal::Surface;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent};
use ratatui::layout::{Position, Size};
use tokio::sync::mpsc;

use crate::support::sample_fleet;

/// Keeps the last frame only.
#[derive(Clone, Default)]
struct LastFrame(Arc<Mutex<Buffer>>);

impl Surface for LastFrame {
    fn size(&self) -> io::Result<Size> {
        Ok(Size::new(80, 24))
    }

    fn show(&mut self, drawn: Buffer, _: Option<Position>) -> io::Result<bool> {
        *self.0.lock().unwrap() = drawn;
        Ok(true)
    }

    fn invalidate(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn copy(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }
}

/// The resident memory of this process in MB.
fn memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1_024.0
}

/// The log is bounded at 32 MB, which the lines of a day do not reach.
#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
#[ignore = "takes minutes: simulates a day"]
async fn memory_is_flat_over_a_day() {
    let clock = Clock::virtual_from(sample_fleet::now(), 1.0);
    let sim = SimCloud::new(Scenario::demo().unwrap(), 1, clock.clone());
    sim.limit_history(0);
    let events = sim.clone();
    tokio::spawn(async move { events.run_events().await });
    let connected = sample_fleet::connected(&sim, &clock, "pwong");
    let connect = move || std::future::ready(Ok(connected.clone()));
    let (keys, mut pressed) = mpsc::unbounded_channel();
    let pressed = futures::stream::poll_fn(move |context| pressed.poll_recv(context));
    let surface = LastFrame::default();
    let running = tokio::spawn(run_on(surface.clone(), pressed, connect, sample_fleet::options()));
    tokio::time::sleep(Duration::from_mins(1)).await;
    keys.send(Ok(Event::Key(KeyEvent::from(KeyCode::Char('L'))))).unwrap();
    tokio::time::sleep(Duration::from_mins(1)).await;
    let shown = sample_fleet::text_of(&surface.0.lock().unwrap());
    assert!(shown.contains("Logs checkout-fix") && shown.contains("following"), "{shown}");
    let mut measured = Vec::new();
    for hour in 1..=24 {
        tokio::time::sleep(Duration::from_hours(1)).await;
        measured.push(memory());
        eprintln!("after {hour} h: {:.1} MB", memory());
    }
    let grown = measured[23] - measured[5];
    assert!(grown < 12.0, "{grown:.1} MB in 18 hours: {measured:?}");
    drop(keys);
    running.await.unwrap().unwrap();
}
