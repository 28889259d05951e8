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

use crate::support::builders::initial_environment;
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

/// An account whose calls take seconds, with an environment of the user.
fn slow() -> (SimCloud, Connected) {
    let clock = Clock::virtual_from(sample_fleet::now(), 1.0);
    let scenario = Scenario::parse(
        "free = 1\n[latency]\ncall = [3.0, 3.0]\n[policy]\nspare = \"1\"\n\
         [[environments]]\nname = \"mine\"\nowner = \"pwong\"\nage = \"2h\"\nttl = \"2d\"\n",
    );
    let sim = SimCloud::new(scenario.unwrap(), 1, clock.clone());
    let connected = sample_fleet::connected(&sim, &clock, "pwong");
    (sim, connected)
}

/// Presses a key, and returns what is on the screen shortly after. Keys at longer intervals than this one are no paste.
async fn press(keys: &Keys, surface: &RecordingSurface, code: KeyCode) -> String {
    keys.send(Ok(Event::Key(KeyEvent::from(code)))).unwrap();
    tokio::time::sleep(Duration::from_millis(80)).await;
    surface.last()
}

fn has_termination(sim: &SimCloud) -> bool {
    sim.inspect(|state| {
        state.templates().any(|(_, template)| template.tags.contains_key("hatchery:terminate"))
    })
}

/// Each key acts on what is on the screen when it is pressed: nothing waits for a call, so nothing is left to act later.
#[tokio::test(start_paused = true)]
async fn keys_act_at_once_while_a_launch_hangs() {
    let surface = RecordingSurface::default();
    let (keys, events) = keyboard();
    let (sim, connected) = slow();
    let connect = move || std::future::ready(Ok(connected.clone()));
    let running = tokio::spawn(run_on(surface.clone(), events, connect, sample_fleet::options()));
    tokio::time::sleep(Duration::from_mins(20)).await;
    assert!(surface.last().contains("mine"), "{}", surface.last());

    let press = |code| press(&keys, &surface, code);
    press(KeyCode::Char('l')).await;
    press(KeyCode::Char('x')).await;
    let shown = press(KeyCode::Enter).await;
    assert!(shown.contains("launching x"), "{shown}");
    let asked = Instant::now();
    let shown = press(KeyCode::Char('?')).await;
    assert!(shown.contains("Launch an environment"), "{shown}");
    press(KeyCode::Esc).await;
    let shown = press(KeyCode::Char('x')).await;
    assert!(shown.contains("Terminate mine"), "{shown}");
    let shown = press(KeyCode::Esc).await;
    assert!(!shown.contains("Terminate mine") && shown.contains("launching x"), "{shown}");
    assert!(asked.elapsed() < Duration::from_secs(1), "the launch has not come back");

    let before = surface.frames().len();
    tokio::time::sleep(Duration::from_mins(20)).await;
    let later = surface.frames().split_off(before);
    assert!(later.iter().any(|(_, frame)| frame.contains("is launching on")), "the launch has come back");
    assert!(later.iter().all(|(_, frame)| !frame.contains("Terminate ")), "no dialog opens by itself");
    assert!(!has_termination(&sim));
    drop(keys);
    running.await.unwrap().unwrap();
}

/// What is typed before there is anything to act on is not kept for when there is.
#[tokio::test(start_paused = true)]
async fn keys_before_the_connection_are_not_replayed() {
    let surface = RecordingSurface::default();
    let (keys, events) = keyboard();
    let (sim, connected) = slow();
    let connect = move || {
        let connected = connected.clone();
        async move {
            tokio::time::sleep(Duration::from_mins(1)).await;
            Ok(connected)
        }
    };
    let running = tokio::spawn(run_on(surface.clone(), events, connect, sample_fleet::options()));
    // Few enough that they are no paste, even together.
    for c in ['x', 'y', 'l'] {
        press(&keys, &surface, KeyCode::Char(c)).await;
    }
    assert!(surface.last().contains("connecting…"), "{}", surface.last());
    let before = surface.frames().len();
    tokio::time::sleep(Duration::from_mins(20)).await;
    assert!(surface.last().contains("mine"), "{}", surface.last());
    for (_, frame) in surface.frames().split_off(before) {
        assert!(!frame.contains("Terminate mine") && !frame.contains("Launch an environment"), "{frame}");
    }
    assert!(!has_termination(&sim));
    drop(keys);
    running.await.unwrap().unwrap();
}

/// Each page of a listing takes half a minute. The first frame has nothing to list, and the rows of a page do not wait for those of the next.
#[tokio::test(start_paused = true)]
async fn rows_of_the_first_page_do_not_wait_for_the_others() {
    let surface = RecordingSurface::default();
    let (keys, events) = keyboard();
    let clock = Clock::virtual_from(sample_fleet::now(), 1.0);
    let mut scenario = Scenario::parse("[latency]\ncall = [30.0, 30.0]\n[faults]\npage = 5\n").unwrap();
    scenario.environments = (1..=40).map(initial_environment).collect();
    let sim = SimCloud::new(scenario, 1, clock.clone());
    let connected = sample_fleet::connected(&sim, &clock, "amy");
    let connect = move || std::future::ready(Ok(connected.clone()));
    let running = tokio::spawn(run_on(surface.clone(), events, connect, sample_fleet::options()));
    // The fleet, and the first page, which has its template too.
    tokio::time::sleep(Duration::from_secs(61)).await;
    let shown = surface.last();
    let rows = shown.lines().filter(|line| line.contains("env-")).count();
    assert!((1..=5).contains(&rows), "{shown}");
    // The listing of the records has nine pages.
    tokio::time::sleep(Duration::from_secs(150)).await;
    let shown = surface.last();
    // The number of environments, with a plus sign while there may be more.
    let count = |shown: &str| {
        let word = shown.split("envs ").nth(1)?.split_whitespace().next()?;
        word.trim_end_matches('+').parse::<usize>().ok()
    };
    assert!(count(&shown).is_some_and(|count| (10..40).contains(&count)), "{shown}");
    tokio::time::sleep(Duration::from_mins(3)).await;
    assert_eq!(count(&surface.last()), Some(40), "{}", surface.last());
    drop(keys);
    running.await.unwrap().unwrap();
}
