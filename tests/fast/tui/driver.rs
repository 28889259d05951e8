//! The driver, on a surface that records its frames.
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hatchery::clock::Clock;
use hatchery::cloud::sim::{Scenario, SimCloud};
use hatchery::failure::{Failure, Kind};
use hatchery::tui::Connected;
use hatchery::tui::driver::run_on;
use hatchery::tui::terminal::Surface;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent};
use ratatui::layout::{Position, Size};
use rstest::rstest;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::support::sample_fleet;

#[derive(Clone, Default)]
pub(super) struct RecordingSurface {
    frames: Arc<Mutex<Vec<(Instant, String)>>>,
}

impl RecordingSurface {
    pub(super) fn frames(&self) -> Vec<(Instant, String)> {
        self.frames.lock().unwrap().clone()
    }

    pub(super) fn last(&self) -> String {
        self.frames().pop().map(|(_, frame)| frame).unwrap_or_default()
    }
}

impl Surface for RecordingSurface {
    fn size(&self) -> io::Result<Size> {
        Ok(Size::new(80, 24))
    }

    fn show(&mut self, drawn: Buffer, _: Option<Position>) -> io::Result<bool> {
        self.frames.lock().unwrap().push((Instant::now(), sample_fleet::text_of(&drawn)));
        Ok(true)
    }

    fn invalidate(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn copy(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }
}

pub(super) type Keys = mpsc::UnboundedSender<io::Result<Event>>;

pub(super) fn keyboard() -> (Keys, impl futures::Stream<Item = io::Result<Event>> + Unpin) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    (sender, futures::stream::poll_fn(move |context| receiver.poll_recv(context)))
}

pub(super) fn key(keys: &Keys, c: char) {
    keys.send(Ok(Event::Key(KeyEvent::from(KeyCode::Char(c))))).unwrap();
}

async fn never() -> Result<Connected, Failure> {
    std::future::pending().await
}

#[tokio::test(start_paused = true)]
async fn driver_draws_before_it_is_connected() {
    let surface = RecordingSurface::default();
    let (keys, events) = keyboard();
    let running = tokio::spawn(run_on(surface.clone(), events, never, sample_fleet::options()));
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(surface.last().contains("connecting…"));
    // The end of the input ends the dashboard.
    drop(keys);
    running.await.unwrap().unwrap();
}

/// A connection to a simulated account.
fn simulated(scenario: &str) -> Connected {
    let clock = Clock::virtual_from(sample_fleet::now(), 1.0);
    let sim = SimCloud::new(Scenario::parse(scenario).unwrap(), 1, clock.clone());
    sample_fleet::connected(&sim, &clock, "amy")
}

#[rstest]
#[case::known("[latency]\ncall = [1.0, 1.0]\n", "123456789012")]
#[case::denied("[faults]\ndenied = 1.0\n", "account unknown")]
#[tokio::test(start_paused = true)]
async fn driver_reads_the_account_later(#[case] scenario: &str, #[case] account: &str) {
    let surface = RecordingSurface::default();
    let (keys, events) = keyboard();
    let connected = simulated(scenario);
    let connect = move || std::future::ready(Ok(connected.clone()));
    let running = tokio::spawn(run_on(surface.clone(), events, connect, sample_fleet::options()));
    tokio::time::sleep(Duration::from_secs(10)).await;
    let frames = surface.frames();
    assert!(!frames[0].1.contains(account), "{}", frames[0].1);
    assert!(surface.last().contains(account), "{}", surface.last());
    drop(keys);
    running.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn driver_reconnects_on_refresh() {
    let surface = RecordingSurface::default();
    let (keys, events) = keyboard();
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let connect = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Err(Failure::new(Kind::Unreachable, "cannot reach EC2", "check the network")) }
    };
    let running = tokio::spawn(run_on(surface.clone(), events, connect, sample_fleet::options()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(surface.last().contains("cannot reach EC2") && surface.last().contains("press r to retry"));
    key(&keys, 'r');
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(tries.load(Ordering::Relaxed), 2);
    key(&keys, 'q');
    running.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn driver_draws_nothing_while_idle() {
    let surface = RecordingSurface::default();
    let (keys, events) = keyboard();
    let running = tokio::spawn(run_on(surface.clone(), events, never, sample_fleet::options()));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let before = surface.frames().len();
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!(surface.frames().len(), before, "an idle hour draws nothing");
    key(&keys, 'q');
    running.await.unwrap().unwrap();
}

/// A fleet at rest, whose pool is full: observations change nothing on the screen, so that the terminal draws nothing for minutes.
#[tokio::test(start_paused = true)]
async fn nothing_is_drawn_while_the_fleet_is_at_rest() {
    let surface = RecordingSurface::default();
    let (keys, events) = keyboard();
    let connected = simulated("[latency]\ncall = [0.1, 0.1]\n");
    let connect = move || std::future::ready(Ok(connected.clone()));
    let running = tokio::spawn(run_on(surface.clone(), events, connect, sample_fleet::options()));
    tokio::time::sleep(Duration::from_hours(3)).await;
    let before = surface.frames().len();
    tokio::time::sleep(Duration::from_hours(1)).await;
    // The terminal skips a frame that equals the last one.
    let mut drawn = surface.frames().split_off(before);
    drawn.dedup_by(|next, last| next.1 == last.1);
    let pauses: Vec<_> = drawn.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    let rests = pauses.iter().filter(|pause| **pause >= Duration::from_mins(1)).count();
    assert!(drawn.len() <= 60 && rests >= 3, "{} frames an hour: {pauses:?}", drawn.len());
    key(&keys, 'q');
    running.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn driver_limits_the_frame_rate() {
    let surface = RecordingSurface::default();
    let (keys, events) = keyboard();
    let running = tokio::spawn(run_on(surface.clone(), events, never, sample_fleet::options()));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let before = surface.frames().len();
    key(&keys, '?');
    for _ in 0..200 {
        key(&keys, 'j');
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    key(&keys, 'k');
    tokio::time::sleep(Duration::from_millis(50)).await;
    let frames = surface.frames();
    assert!(frames.windows(2).skip(before).all(|pair| pair[1].0 - pair[0].0 >= Duration::from_millis(16)));
    assert!((5..=20).contains(&(frames.len() - before)), "{}", frames.len() - before);
    key(&keys, 'q');
    running.await.unwrap().unwrap();
}

/// The engine of such a caller takes no steps, so that nothing is refused.
#[tokio::test(start_paused = true)]
async fn driver_finds_out_that_nothing_can_be_changed() {
    let surface = RecordingSurface::default();
    let (keys, events) = keyboard();
    let connected = simulated("free = 1\n[faults]\nread-only = [\"amy\"]\n[policy]\nspare = \"1\"\n");
    let connect = move || std::future::ready(Ok(connected.clone()));
    let running = tokio::spawn(run_on(surface.clone(), events, connect, sample_fleet::options()));
    tokio::time::sleep(Duration::from_mins(30)).await;
    let shown = surface.last();
    assert!(shown.contains("READ-ONLY"), "{shown}");
    assert!(shown.contains("read-only: your credentials cannot change things"), "{shown}");
    key(&keys, 'l');
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!surface.last().contains("Launch an environment"), "{}", surface.last());
    drop(keys);
    running.await.unwrap().unwrap();
}

/// Keys do not wait for the registry, and its answer comes to the open form.
#[tokio::test(start_paused = true)]
async fn form_shows_what_the_registry_answers() {
    let surface = RecordingSurface::default();
    let (keys, events) = keyboard();
    let registry = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/services";
    let connected = simulated(&format!(
        "services = [\"payments\"]\n[latency]\ncall = [5.0, 5.0]\n[policy]\nspare = \"0\"\nregistry = \"{registry}\"\n"
    ));
    let connect = move || std::future::ready(Ok(connected.clone()));
    let running = tokio::spawn(run_on(surface.clone(), events, connect, sample_fleet::options()));
    tokio::time::sleep(Duration::from_mins(2)).await;
    key(&keys, 'l');
    tokio::time::sleep(Duration::from_secs(1)).await;
    for code in [KeyCode::Char('x'), KeyCode::Tab, KeyCode::Tab, KeyCode::Char('p')] {
        keys.send(Ok(Event::Key(KeyEvent::from(code)))).unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let shown = surface.last();
    assert!(shown.contains("Launch an environment") && !shown.contains("payments="), "{shown}");
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert!(surface.last().contains("tab payments="), "{}", surface.last());
    keys.send(Ok(Event::Key(KeyEvent::from(KeyCode::Tab)))).unwrap();
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert!(surface.last().contains("payments=pr-"), "{}", surface.last());
    drop(keys);
    running.await.unwrap().unwrap();
}
