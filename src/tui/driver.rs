//! Runs the dashboard: one task waits for input, messages and deadlines, updates the model, runs the effects and draws.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt as _, Stream, StreamExt as _};
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{Event, EventStream};
use ratatui::layout::Rect;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::account;
use super::app::message::{Effect, ForwardRequest, Moment, Msg};
use super::app::model::Model;
use super::app::update::update;
use super::options::TuiOptions;
use super::terminal::{CrosstermSurface, Surface};
use super::view;
use crate::cloud::{DynAccount, LogQuery};
use crate::engine::{self, Engine, Handle, RunOptions};
use crate::failure::{Failure, Kind};
use crate::port_forwards::PortForwards;
use crate::signals;

/// The shortest time between two frames: 60 frames per second.
const FRAME_INTERVAL: Duration = Duration::from_millis(16);

/// The capacity of the channel to the driver. Senders wait when it is full.
const CHANNEL_CAPACITY: usize = 1_024;

/// How long requests in flight may take to finish after the screen has closed.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// A fleet with its engine.
#[derive(Clone)]
pub struct Connected {
    /// The fleet's engine, not running yet.
    pub engine: Engine,
    /// The account of the engine's cloud.
    pub account: DynAccount,
}

/// What background tasks send to the driver.
enum Incoming {
    Msg(Msg),
    Connected(Box<Connected>),
}

type Connect = Arc<dyn Fn() -> BoxFuture<'static, Result<Connected, Failure>> + Send + Sync>;

/// Shows the dashboard on the terminal until the user quits. `connect` finds the fleet and builds its engine; it is called
/// once the first frame is drawn, and again when the user retries.
///
/// # Errors
/// Returns a failure if standard output is not a terminal, or if the terminal fails.
pub async fn run<C, F>(connect: C, options: TuiOptions) -> Result<(), Failure>
where
    C: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Result<Connected, Failure>> + Send + 'static,
{
    let surface = CrosstermSurface::enter(options.mouse).map_err(|error| terminal_failure(&error))?;
    run_on(surface, EventStream::new(), connect, options).await
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
    let connect: Connect = Arc::new(move || connect().boxed());
    let mut driver = Driver::new(surface, connect, options).map_err(|error| terminal_failure(&error))?;
    let result = driver.run(events).await.map_err(|error| terminal_failure(&error));
    let Driver { surface, mut requests, forwards, .. } = driver;
    // Restores the terminal first, so that the user does not wait in front of a frozen screen.
    drop(surface);
    let finished = async { while requests.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, async { tokio::join!(finished, forwards.close()) }).await;
    result
}

fn terminal_failure(error: &io::Error) -> Failure {
    Failure::new(
        Kind::Failed,
        format!("cannot use the terminal: {error}"),
        "run hatchery in a terminal, or use hatchery ls",
    )
}

struct Driver<S> {
    surface: S,
    model: Model,
    connect: Connect,
    started: Instant,
    sender: mpsc::Sender<Incoming>,
    receiver: mpsc::Receiver<Incoming>,
    /// Tasks to abort at the end.
    tasks: JoinSet<()>,
    /// Launches, extensions and terminations to finish at the end.
    requests: JoinSet<()>,
    engine: Option<(Engine, Handle)>,
    account: Option<DynAccount>,
    /// Kept until the dashboard ends.
    forwards: PortForwards,
    log: Option<AbortHandle>,
    quit: bool,
}

impl<S: Surface> Driver<S> {
    fn new(surface: S, connect: Connect, options: TuiOptions) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel(CHANNEL_CAPACITY);
        let started = Instant::now();
        let size = surface.size()?;
        let now = Moment::new(&options.clock, started.elapsed());
        Ok(Self {
            surface,
            model: Model::new(options, size, now),
            connect,
            started,
            sender,
            receiver,
            tasks: JoinSet::new(),
            requests: JoinSet::new(),
            engine: None,
            account: None,
            forwards: PortForwards::default(),
            log: None,
            quit: false,
        })
    }

    async fn run(&mut self, mut events: impl Stream<Item = io::Result<Event>> + Unpin) -> io::Result<()> {
        self.draw()?;
        self.run_effect(Effect::Connect)?;
        let mut stopped = std::pin::pin!(stop_signal());
        let mut drawn = Instant::now();
        // Whether something changed since the last frame, which is too recent for another one.
        let mut frame_pending = false;
        while !self.quit {
            let deadline = if frame_pending { Some(drawn + FRAME_INTERVAL) } else { self.deadline() };
            let alarm = async move {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = &mut stopped => return Ok(()),
                event = events.next() => match event {
                    Some(Ok(event)) => self.handle_event(event)?,
                    // The terminal is closed.
                    Some(Err(_)) | None => return Ok(()),
                },
                Some(incoming) = self.receiver.recv() => self.receive(incoming)?,
                () = alarm => {}
                Some(_) = self.tasks.join_next(), if !self.tasks.is_empty() => {}
                Some(_) = self.requests.join_next(), if !self.requests.is_empty() => {}
            }
            self.drain(&mut events).await?;
            frame_pending = drawn.elapsed() < FRAME_INTERVAL;
            if !frame_pending && !self.quit {
                self.draw()?;
                drawn = Instant::now();
            }
        }
        Ok(())
    }

    /// Handles everything that is already available, up to a limit, so that a flood of log lines cannot prevent drawing.
    async fn drain(
        &mut self,
        events: &mut (impl Stream<Item = io::Result<Event>> + Unpin),
    ) -> io::Result<()> {
        for _ in 0..CHANNEL_CAPACITY {
            let Ok(incoming) = self.receiver.try_recv() else { break };
            self.receive(incoming)?;
        }
        for _ in 0..CHANNEL_CAPACITY {
            // Polled with this task's waker, because crossterm keeps the first waker until an event arrives. With
            // another one, such as that of `now_or_never`, this task would not wake up.
            match poll_fn(|context| Poll::Ready(events.poll_next_unpin(context))).await {
                Poll::Ready(Some(Ok(event))) => self.handle_event(event)?,
                Poll::Ready(Some(Err(_)) | None) => {
                    self.quit = true;
                    break;
                }
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    /// Returns when the screen changes without a message.
    fn deadline(&self) -> Option<Instant> {
        let next = self.model.next_change();
        let clock = next.clock.map(|clock| self.model.options.clock.real(clock));
        let wait = clock.into_iter().chain(next.real).min()?;
        Some(Instant::now() + wait.max(FRAME_INTERVAL))
    }

    fn now(&self) -> Moment {
        Moment::new(&self.model.options.clock, self.started.elapsed())
    }

    fn draw(&mut self) -> io::Result<()> {
        self.model.set_now(self.now());
        let mut buf = Buffer::empty(Rect::new(0, 0, self.model.size.width, self.model.size.height));
        let cursor = view::draw(&self.model, &mut buf);
        self.surface.show(buf, cursor)?;
        Ok(())
    }

    fn handle_event(&mut self, event: Event) -> io::Result<()> {
        let msg = match event {
            Event::Key(key) => Msg::Key(key),
            Event::Mouse(mouse) => Msg::Mouse(mouse),
            Event::Paste(text) => Msg::Paste(text),
            Event::Resize(width, height) => Msg::Resize(width, height),
            Event::FocusGained => Msg::Focus(true),
            Event::FocusLost => Msg::Focus(false),
        };
        self.update(msg)
    }

    fn receive(&mut self, incoming: Incoming) -> io::Result<()> {
        match incoming {
            Incoming::Msg(msg) => self.update(msg),
            Incoming::Connected(connected) => self.start_engine(*connected),
        }
    }

    fn update(&mut self, msg: Msg) -> io::Result<()> {
        self.model.set_now(self.now());
        for effect in update(&mut self.model, msg) {
            self.run_effect(effect)?;
        }
        Ok(())
    }

    fn start_engine(&mut self, connected: Connected) -> io::Result<()> {
        let options = &self.model.options;
        let background = options.engine_enabled && !options.read_only;
        let (handle, mut events) = connected.engine.run(RunOptions { background, refresh: options.refresh });
        let fleet = connected.engine.config().fleet.clone();
        let region = connected.account.region().to_owned();
        self.engine = Some((connected.engine, handle));
        self.account = Some(connected.account);
        let sender = self.sender.clone();
        self.tasks.spawn(async move {
            while let Some(event) = events.recv().await {
                if sender.send(Incoming::Msg(Msg::Engine(event))).await.is_err() {
                    return;
                }
            }
            let failure = Failure::new(Kind::Failed, "the engine has stopped", "restart hatchery");
            let _ = sender.send(Incoming::Msg(Msg::Engine(engine::Event::ObserveFailed(failure)))).await;
        });
        self.update(Msg::Connected { fleet, region })
    }

    fn run_effect(&mut self, effect: Effect) -> io::Result<()> {
        match effect {
            Effect::Quit => self.quit = true,
            Effect::Redraw => self.surface.invalidate()?,
            Effect::Copy(text) => self.surface.copy(&text)?,
            Effect::Connect => {
                let (connecting, sender) = ((self.connect)(), self.sender.clone());
                self.tasks.spawn(async move {
                    let incoming = match connecting.await {
                        Ok(connected) => Incoming::Connected(Box::new(connected)),
                        Err(failure) => Incoming::Msg(Msg::ConnectFailed(failure)),
                    };
                    let _ = sender.send(incoming).await;
                });
            }
            Effect::ReadAccount => self.read_account(),
            Effect::Refresh => {
                if let Some((_, handle)) = &self.engine {
                    handle.refresh();
                }
            }
            Effect::Focus(focused) => {
                if let Some((_, handle)) = &self.engine {
                    handle.focus(focused);
                }
            }
            Effect::OpenUrl(url) => self.open_url(url),
            Effect::Forward(task, request) => self.forward(task, request),
            Effect::StopLogs => self.stop_logs(),
            Effect::FollowLogs(query, generation) => self.follow_logs(query, generation),
            Effect::Launch(..) | Effect::Extend(..) | Effect::Terminate(..) => self.send_request(effect),
        }
        Ok(())
    }

    /// Reads the account's number while the dashboard is in use already.
    fn read_account(&mut self) {
        let Some(account) = self.account.clone() else { return };
        let (clock, sender) = (self.model.options.clock.clone(), self.sender.clone());
        self.tasks.spawn(async move {
            let number = account::number(&account, &clock).await;
            let _ = sender.send(Incoming::Msg(Msg::Account(number))).await;
        });
    }

    /// Sends a launch, extension or termination to the engine.
    fn send_request(&mut self, effect: Effect) {
        let Some((engine, _)) = &self.engine else { return };
        let (engine, sender) = (engine.clone(), self.sender.clone());
        self.requests.spawn(async move {
            let msg = match effect {
                Effect::Launch(token, request) => Msg::Launched(token, engine.launch(&request).await),
                Effect::Extend(token, id, by) => Msg::Extended(token, engine.extend(&id, by).await),
                Effect::Terminate(token, id) => {
                    let result = engine.terminate(&id).await;
                    Msg::Terminated(token, id, result)
                }
                _ => return,
            };
            let audit = Msg::Engine(engine::Event::AuditWriteFailed(engine.audit_failure()));
            for msg in [msg, audit] {
                let _ = sender.send(Incoming::Msg(msg)).await;
            }
        });
    }

    fn stop_logs(&mut self) {
        if let Some(log) = self.log.take() {
            log.abort();
        }
    }

    fn follow_logs(&mut self, query: LogQuery, generation: u64) {
        self.stop_logs();
        let Some((engine, _)) = &self.engine else { return };
        let (engine, sender) = (engine.clone(), self.sender.clone());
        self.log = Some(self.tasks.spawn(async move {
            let mut items = engine.follow_logs(query);
            while let Some(item) = items.next().await {
                let item = item.map_err(|error| Failure::cloud("cannot read the log", &error));
                if sender.send(Incoming::Msg(Msg::Log(generation, item))).await.is_err() {
                    return;
                }
            }
            let _ = sender.send(Incoming::Msg(Msg::LogEnded(generation))).await;
        }));
    }

    fn forward(&mut self, task: u64, request: ForwardRequest) {
        let Some((engine, _)) = &self.engine else { return };
        let (cloud, sender, forwards) = (engine.cloud().clone(), self.sender.clone(), self.forwards.clone());
        self.tasks.spawn(async move {
            let ForwardRequest { environment, instance, path, purpose } = request;
            let url = forwards.open(&cloud, &environment, &instance, &path).await;
            let _ = sender.send(Incoming::Msg(Msg::Forwarded(task, environment, purpose, url))).await;
        });
    }

    /// Opens an HTTP URL in the browser. The URL comes from the fleet's policy, so other schemes are refused.
    fn open_url(&mut self, url: String) {
        let sender = self.sender.clone();
        self.tasks.spawn(async move {
            let address = url.clone();
            let opened = has_browser()
                && (url.starts_with("http://") || url.starts_with("https://"))
                && matches!(
                    tokio::task::spawn_blocking(move || open::that_detached(address)).await,
                    Ok(Ok(()))
                );
            if !opened {
                let _ = sender.send(Incoming::Msg(Msg::OpenFailed(url))).await;
            }
        });
    }
}

/// Whether a browser would open in front of the user, who is elsewhere in an SSH session.
fn has_browser() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if set("SSH_CONNECTION") || set("SSH_TTY") {
        return false;
    }
    cfg!(any(target_os = "macos", windows)) || set("DISPLAY") || set("WAYLAND_DISPLAY")
}

/// Waits for a signal to stop.
async fn stop_signal() {
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = signals::terminated() => {}
        () = interrupted => {}
    }
}
