//! Runs the dashboard: one task waits for input, messages and deadlines, updates the model, runs the effects and draws. Each fleet has a
//! connection and an engine of its own, and what comes from them is for the model of that fleet.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt as _, Stream, StreamExt as _};
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::Event;
use ratatui::layout::Rect;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::app::fleets::Fleets;
use super::app::message::{Effect, Moment, Msg, Multiplexer};
use super::events::{InputGate, read_events};
use super::notifier::Notifier;
use super::options::TuiOptions;
use super::signals::{self, Ending, Request, Signals};
use super::terminal::{self, CrosstermSurface, Surface};
use super::view;
use crate::cloud::DynAccount;
use crate::engine::{self, Engine, Handle, RunOptions};
use crate::failure::{Failure, Kind};
use crate::sessions::PortForwards;

mod child;
mod effects;
mod hand_over;
mod keys;
mod kubectl;
mod login;
mod program;
mod save;

use keys::Keys;
use program::Program;

/// The shortest time between two frames: 60 frames per second.
const FRAME_INTERVAL: Duration = Duration::from_millis(16);

/// The capacity of the channel to the driver. Senders wait when it is full.
const CHANNEL_CAPACITY: usize = 1_024;

/// How long requests in flight may take to finish after the screen has closed. A signal does not wait for them.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long port forwards may take to close after a signal.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// A fleet with its engine.
#[derive(Clone)]
pub struct Connected {
    /// The fleet's engine, not running yet.
    pub engine: Engine,
    /// The account of the engine's cloud.
    pub account: DynAccount,
}

/// What background tasks send to the driver, with the index of the fleet.
enum Incoming {
    Msg(usize, Msg),
    Connected(usize, Box<Connected>),
    /// Send a text to the clipboard of the terminal around the multiplexer.
    CopyThrough(usize, Multiplexer, String),
    /// Write the sequence of a notification.
    Notify(Vec<u8>),
}

type Connect = Arc<dyn Fn() -> BoxFuture<'static, Result<Connected, Failure>> + Send + Sync>;

/// One fleet of the dashboard: how it looks, and how to reach it.
pub struct FleetConnection {
    options: TuiOptions,
    connect: Connect,
}

impl FleetConnection {
    /// `connect` finds the fleet and builds its engine; it is called once the first frame is drawn, and again when the user retries.
    pub fn new<C, F>(connect: C, options: TuiOptions) -> Self
    where
        C: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<Connected, Failure>> + Send + 'static,
    {
        Self { options, connect: Arc::new(move || connect().boxed()) }
    }
}

/// Shows the dashboard of at least one fleet on the terminal until the user quits. What is not the fleet's own, such as the theme and the
/// clock, is taken from the options of the first. A signal that ends the dashboard ends the process.
///
/// # Errors
/// Returns a failure if this is not a terminal that can show the dashboard, or if the terminal fails.
pub async fn run_fleets(fleets: Vec<FleetConnection>) -> Result<(), Failure> {
    let surface = CrosstermSurface::enter(fleets.iter().all(|fleet| fleet.options.mouse))?;
    let signals = Signals::listen().map_err(|error| terminal::failure(&error))?;
    let (events, input) = read_events().map_err(|error| terminal::failure(&error))?;
    run_until_signal(surface, (events, input), signals, fleets).await
}

/// Shows the dashboard on any surface, until the user quits or `events` ends.
///
/// # Errors
/// Returns a failure if the surface fails.
pub async fn run_on<S, E, C, F>(surface: S, events: E, connect: C, options: TuiOptions) -> Result<(), Failure>
where
    S: Surface,
    E: Stream<Item = io::Result<Event>> + Unpin,
    C: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Result<Connected, Failure>> + Send + 'static,
{
    run_fleets_on(surface, events, vec![FleetConnection::new(connect, options)]).await
}

/// As [`run_on`], for at least one fleet.
///
/// # Errors
/// Returns a failure if the surface fails.
pub async fn run_fleets_on<S, E>(surface: S, events: E, fleets: Vec<FleetConnection>) -> Result<(), Failure>
where
    S: Surface,
    E: Stream<Item = io::Result<Event>> + Unpin,
{
    run_until_signal(surface, (events, InputGate::none()), Signals::none(), fleets).await
}

async fn run_until_signal<S, E>(
    surface: S,
    (events, input): (E, InputGate),
    mut signals: Signals,
    fleets: Vec<FleetConnection>,
) -> Result<(), Failure>
where
    S: Surface,
    E: Stream<Item = io::Result<Event>> + Unpin,
{
    let mut driver = Driver::new(surface, input, fleets).map_err(|error| terminal::failure(&error))?;
    let ended = driver.run(events, &mut signals).await.map_err(|error| terminal::failure(&error));
    let Driver { surface, mut requests, forwards, .. } = driver;
    // Restores the terminal first, so that the user does not wait in front of a frozen screen.
    drop(surface);
    signals.restored();
    let mut ending = *ended.as_ref().unwrap_or(&None);
    if ending.is_none() {
        let finished = async { while requests.join_next().await.is_some() {} };
        tokio::select! {
            _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, finished) => {}
            signal = signals.end() => ending = Some(signal),
        }
    }
    tokio::select! {
        () = forwards.close() => {}
        // A second signal does not wait.
        signal = signals.end() => ending = Some(signal),
        () = tokio::time::sleep(CLOSE_TIMEOUT), if ending.is_some() => {}
    }
    if let Some(ending) = ending {
        ending.die();
    }
    ended.map(|_| ())
}

/// What a fleet runs on.
struct Link {
    connect: Connect,
    engine: Option<(Engine, Handle)>,
    account: Option<DynAccount>,
    log: Option<AbortHandle>,
}

struct Driver<S> {
    surface: S,
    input: InputGate,
    fleets: Fleets,
    /// One for each fleet, in their order.
    links: Vec<Link>,
    started: Instant,
    sender: mpsc::Sender<Incoming>,
    receiver: mpsc::Receiver<Incoming>,
    /// Tasks to abort at the end.
    tasks: JoinSet<()>,
    /// Launches, extensions, terminations and resets to finish at the end.
    requests: JoinSet<()>,
    /// Kept until the dashboard ends.
    forwards: PortForwards,
    keys: Keys,
    notifier: Notifier,
    /// The user wants to suspend.
    suspending: bool,
    /// The program that is to get the terminal, with the index of its fleet.
    handing_over: Option<(usize, Program)>,
    /// What has come while a program had the terminal.
    held: Vec<Incoming>,
    quit: bool,
}

impl<S: Surface> Driver<S> {
    fn new(surface: S, input: InputGate, fleets: Vec<FleetConnection>) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel(CHANNEL_CAPACITY);
        let started = Instant::now();
        let size = surface.size()?;
        let (options, links): (Vec<_>, Vec<_>) = fleets
            .into_iter()
            .map(|FleetConnection { options, connect }| {
                (options, Link { connect, engine: None, account: None, log: None })
            })
            .unzip();
        let first = options.first().ok_or_else(|| io::Error::other("there is no fleet to show"))?;
        let now = Moment::new(&first.clock, started.elapsed());
        let notify_by = first.notify;
        Ok(Self {
            surface,
            input,
            fleets: Fleets::new(options, size, now),
            links,
            started,
            sender,
            receiver,
            tasks: JoinSet::new(),
            requests: JoinSet::new(),
            forwards: PortForwards::default(),
            keys: Keys::default(),
            notifier: Notifier::new(notify_by),
            suspending: false,
            handing_over: None,
            held: Vec::new(),
            quit: false,
        })
    }

    /// Runs until the user quits, or a signal ends the process, which it returns.
    async fn run(
        &mut self,
        mut events: impl Stream<Item = io::Result<Event>> + Unpin,
        signals: &mut Signals,
    ) -> io::Result<Option<Ending>> {
        self.draw()?;
        for fleet in 0..self.links.len() {
            self.show_waits(fleet);
            self.run_effect(fleet, Effect::Connect)?;
        }
        let mut drawn = Instant::now();
        // Whether something changed since the last frame, which is too recent for another one.
        let mut frame_pending = false;
        while !self.quit {
            let deadline = if frame_pending { Some(drawn + FRAME_INTERVAL) } else { self.deadline() };
            let deadline = deadline.into_iter().chain(self.keys.deadline()).min();
            let alarm = async move {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                request = signals.next() => match request {
                    Request::End(ending) => return Ok(Some(ending)),
                    // A group that is stopped from outside is stopped as a whole by what stops it.
                    Request::Suspend => if let Some(ending) = self.suspend(signals, false).await? {
                        return Ok(Some(ending));
                    },
                    Request::Continue => self.resume()?,
                    // Of a key that was pressed when a program had the terminal.
                    Request::Interrupt => {}
                },
                () = terminal::panicked() => return Err(io::Error::other("a task panicked")),
                event = events.next() => match event {
                    Some(Ok(event)) => self.handle_event(event)?,
                    // The terminal is closed.
                    Some(Err(_)) | None => return Ok(None),
                },
                Some(incoming) = self.receiver.recv() => self.receive(incoming)?,
                () = alarm => self.input(Msg::Tick)?,
                Some(_) = self.tasks.join_next(), if !self.tasks.is_empty() => {}
                Some(_) = self.requests.join_next(), if !self.requests.is_empty() => {}
            }
            self.drain(&mut events)?;
            self.press_keys(false)?;
            if std::mem::take(&mut self.suspending)
                && let Some(ending) = self.suspend(signals, true).await?
            {
                return Ok(Some(ending));
            }
            if let Some((fleet, program)) = self.handing_over.take()
                && let Some(ending) = self.hand_over(fleet, program, signals).await?
            {
                return Ok(Some(ending));
            }
            frame_pending = drawn.elapsed() < FRAME_INTERVAL;
            if !frame_pending && !self.quit {
                self.draw()?;
                drawn = Instant::now();
            }
        }
        Ok(None)
    }

    /// Restores the terminal and stops the process until it is continued. Returns the signal that ends the process instead.
    async fn suspend(&mut self, signals: &mut Signals, group: bool) -> io::Result<Option<Ending>> {
        if !signals::can_suspend() {
            self.input(Msg::CannotSuspend)?;
            return Ok(None);
        }
        self.surface.leave();
        signals::suspend(group);
        loop {
            match signals.next().await {
                Request::Continue => break,
                Request::End(ending) => return Ok(Some(ending)),
                Request::Suspend | Request::Interrupt => {}
            }
        }
        self.resume()?;
        Ok(None)
    }

    /// Sets the terminal up again, whose size and modes may have changed.
    fn resume(&mut self) -> io::Result<()> {
        self.surface.resume()?;
        let size = self.surface.size()?;
        self.input(Msg::Resize(size.width, size.height))
    }

    /// Handles everything that is already available, up to a limit, so that a flood of log lines cannot prevent drawing.
    fn drain(&mut self, events: &mut (impl Stream<Item = io::Result<Event>> + Unpin)) -> io::Result<()> {
        for _ in 0..CHANNEL_CAPACITY {
            let Ok(incoming) = self.receiver.try_recv() else { break };
            self.receive(incoming)?;
        }
        for _ in 0..CHANNEL_CAPACITY {
            match events.next().now_or_never() {
                Some(Some(Ok(event))) => self.handle_event(event)?,
                Some(Some(Err(_)) | None) => {
                    self.quit = true;
                    break;
                }
                None => break,
            }
        }
        Ok(())
    }

    /// Returns when the screen changes without a message.
    fn deadline(&self) -> Option<Instant> {
        let next = self.fleets.next_change();
        let clock = next.clock.map(|clock| self.fleets.active().options.clock.real(clock));
        let wait = clock.into_iter().chain(next.real).min()?;
        Some(Instant::now() + wait.max(FRAME_INTERVAL))
    }

    fn now(&self) -> Moment {
        Moment::new(&self.fleets.active().options.clock, self.started.elapsed())
    }

    fn draw(&mut self) -> io::Result<()> {
        self.fleets.set_now(self.now());
        let size = self.fleets.active().size;
        let mut buf = Buffer::empty(Rect::new(0, 0, size.width, size.height));
        let cursor = view::draw_fleets(&mut self.fleets, &mut buf);
        self.surface.show(buf, cursor)?;
        Ok(())
    }

    fn handle_event(&mut self, event: Event) -> io::Result<()> {
        let msg = match event {
            Event::Key(key) => {
                self.keys.push(key);
                return Ok(());
            }
            Event::Mouse(mouse) => Msg::Mouse(mouse),
            Event::Paste(text) => Msg::Paste(text),
            Event::Resize(width, height) => Msg::Resize(width, height),
            Event::FocusGained => Msg::Focus(true),
            Event::FocusLost => Msg::Focus(false),
        };
        // What was typed before comes first.
        self.press_keys(true)?;
        self.input(msg)
    }

    fn receive(&mut self, incoming: Incoming) -> io::Result<()> {
        match incoming {
            Incoming::Msg(fleet, msg) => self.update(fleet, msg),
            Incoming::Connected(fleet, connected) => self.start_engine(fleet, *connected),
            Incoming::CopyThrough(fleet, multiplexer, text) => self.copy_through(fleet, multiplexer, text),
            Incoming::Notify(sequence) => self.surface.notify(&sequence),
        }
    }

    /// Applies what the user does and what the terminal tells.
    fn input(&mut self, msg: Msg) -> io::Result<()> {
        self.fleets.set_now(self.now());
        let effects = self.fleets.input(msg);
        self.run_effects(effects)
    }

    /// Applies a message for a fleet.
    fn update(&mut self, fleet: usize, msg: Msg) -> io::Result<()> {
        self.fleets.set_now(self.now());
        let effects = self.fleets.receive(fleet, msg);
        self.run_effects(effects)
    }

    fn run_effects(&mut self, effects: Vec<(usize, Effect)>) -> io::Result<()> {
        effects.into_iter().try_for_each(|(fleet, effect)| self.run_effect(fleet, effect))
    }

    fn engine(&self, fleet: usize) -> Option<&(Engine, Handle)> {
        self.links.get(fleet)?.engine.as_ref()
    }

    fn start_engine(&mut self, index: usize, connected: Connected) -> io::Result<()> {
        let (Some(link), Some(model)) = (self.links.get_mut(index), self.fleets.models().get(index)) else {
            return Ok(());
        };
        let options = &model.options;
        let background = options.engine_enabled && !options.read_only;
        let (handle, mut events) = connected.engine.run(RunOptions { background, refresh: options.refresh });
        let fleet = connected.engine.config().fleet.clone();
        let region = connected.account.region().to_owned();
        link.engine = Some((connected.engine, handle));
        link.account = Some(connected.account);
        let sender = self.sender.clone();
        self.tasks.spawn(async move {
            while let Some(event) = events.recv().await {
                if sender.send(Incoming::Msg(index, Msg::Engine(event))).await.is_err() {
                    return;
                }
            }
            let failure = Failure::new(Kind::Failed, "the engine has stopped", "restart hatchery");
            let failed = Msg::Engine(engine::Event::ObserveFailed(failure));
            let _ = sender.send(Incoming::Msg(index, failed)).await;
        });
        self.update(index, Msg::Connected { fleet, region })
    }
}
