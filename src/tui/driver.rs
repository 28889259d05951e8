//! Runs the dashboard: one loop, one channel. It drains what has come, updates the model, runs the effects, draws once.

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

use super::app::{Effect, Model, Moment, Msg, update};
use super::terminal::{CrosstermSurface, Surface};
use super::{Connected, TuiOptions, screens};
use crate::cloud::LogQuery;
use crate::engine::{Engine, Handle, RunOptions};
use crate::failure::{Failure, Kind};

/// The least time between two frames.
const FRAME: Duration = Duration::from_millis(16);

/// Messages that may wait; whoever sends more waits, too.
const QUEUE: usize = 1_024;

/// How long changes that were sent are waited for after the screen has closed.
const FAREWELL: Duration = Duration::from_secs(10);

/// What comes through the channel.
enum Wake {
    Msg(Msg),
    Connected(Box<Connected>),
}

type Connect = Arc<dyn Fn() -> BoxFuture<'static, Result<Connected, Failure>> + Send + Sync>;

/// Shows the dashboard until somebody quits. `connect` finds the fleet and builds its engine; it is called again when
/// somebody asks for another try. The first frame is drawn before it is.
///
/// # Errors
/// Where there is no terminal, or it fails.
pub async fn run<C, F>(connect: C, options: TuiOptions) -> Result<(), Failure>
where
    C: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Result<Connected, Failure>> + Send + 'static,
{
    let screen = CrosstermSurface::enter(options.mouse).map_err(|error| no_terminal(&error))?;
    run_on(screen, EventStream::new(), connect, options).await
}

/// The same on any surface, with any source of events; the end of the events is the end.
///
/// # Errors
/// Where the surface fails.
pub async fn run_on<S, E, C, F>(surface: S, events: E, connect: C, options: TuiOptions) -> Result<(), Failure>
where
    S: Surface,
    E: Stream<Item = io::Result<Event>> + Unpin,
    C: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Result<Connected, Failure>> + Send + 'static,
{
    let connect: Connect = Arc::new(move || connect().boxed());
    let mut driver = Driver::new(surface, connect, options).map_err(|error| no_terminal(&error))?;
    let result = driver.run(events).await.map_err(|error| no_terminal(&error));
    let Driver { surface, mut changes, .. } = driver;
    // First the terminal, then what was sent: nobody waits in front of a screen that does not answer.
    drop(surface);
    let _ = tokio::time::timeout(FAREWELL, async { while changes.join_next().await.is_some() {} }).await;
    result
}

fn no_terminal(error: &io::Error) -> Failure {
    Failure::new(
        Kind::Failed,
        format!("the terminal cannot be used: {error}"),
        "run hatchery in a terminal, or use hatchery ls",
    )
}

struct Driver<S> {
    surface: S,
    model: Model,
    connect: Connect,
    started: Instant,
    sender: mpsc::Sender<Wake>,
    wakes: mpsc::Receiver<Wake>,
    /// What may be dropped at the end.
    tasks: JoinSet<()>,
    /// What has been asked of AWS and is waited for at the end.
    changes: JoinSet<()>,
    engine: Option<(Engine, Handle)>,
    log: Option<AbortHandle>,
    quit: bool,
}

impl<S: Surface> Driver<S> {
    fn new(surface: S, connect: Connect, options: TuiOptions) -> io::Result<Self> {
        let (sender, wakes) = mpsc::channel(QUEUE);
        let started = Instant::now();
        let size = surface.size()?;
        let now = Moment::new(&options.clock, started.elapsed());
        Ok(Self {
            surface,
            model: Model::new(options, size, now),
            connect,
            started,
            sender,
            wakes,
            tasks: JoinSet::new(),
            changes: JoinSet::new(),
            engine: None,
            log: None,
            quit: false,
        })
    }

    async fn run(&mut self, mut events: impl Stream<Item = io::Result<Event>> + Unpin) -> io::Result<()> {
        self.draw()?;
        self.effect(Effect::Connect)?;
        let mut stopped = Box::pin(stop_signal());
        let mut drawn = Instant::now();
        let mut waiting = false;
        while !self.quit {
            let deadline = if waiting { Some(drawn + FRAME) } else { self.deadline() };
            let alarm = async move {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = &mut stopped => return Ok(()),
                event = events.next() => match event {
                    Some(Ok(event)) => self.event(event)?,
                    // The end of input: the terminal is gone.
                    Some(Err(_)) | None => return Ok(()),
                },
                Some(wake) = self.wakes.recv() => self.wake(wake)?,
                () = alarm => {}
                Some(_) = self.tasks.join_next(), if !self.tasks.is_empty() => {}
                Some(_) = self.changes.join_next(), if !self.changes.is_empty() => {}
            }
            self.drain(&mut events).await?;
            waiting = drawn.elapsed() < FRAME;
            if !waiting && !self.quit {
                self.draw()?;
                drawn = Instant::now();
            }
        }
        Ok(())
    }

    /// Takes what else has come, but not for ever: a flood of log lines must not keep the screen from being drawn.
    async fn drain(
        &mut self,
        events: &mut (impl Stream<Item = io::Result<Event>> + Unpin),
    ) -> io::Result<()> {
        for _ in 0..QUEUE {
            let Ok(wake) = self.wakes.try_recv() else { break };
            self.wake(wake)?;
        }
        for _ in 0..QUEUE {
            // With this task's own waker: crossterm keeps the first one that it is given until an event comes, so a
            // look with any other would leave the loop asleep.
            match poll_fn(|context| Poll::Ready(events.poll_next_unpin(context))).await {
                Poll::Ready(Some(Ok(event))) => self.event(event)?,
                Poll::Ready(Some(Err(_)) | None) => {
                    self.quit = true;
                    break;
                }
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    /// When the screen looks different by itself.
    fn deadline(&self) -> Option<Instant> {
        let next = self.model.next_change();
        let clock = next.clock.map(|clock| self.model.options.clock.real(clock));
        let wait = clock.into_iter().chain(next.real).min()?;
        // What has come meanwhile may lie between two frames.
        Some(Instant::now() + wait.max(FRAME))
    }

    fn draw(&mut self) -> io::Result<()> {
        self.model.at(Moment::new(&self.model.options.clock, self.started.elapsed()));
        let mut buf = Buffer::empty(Rect::new(0, 0, self.model.size.width, self.model.size.height));
        let cursor = screens::draw(&self.model, &mut buf);
        self.surface.show(buf, cursor)?;
        Ok(())
    }

    fn event(&mut self, event: Event) -> io::Result<()> {
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

    fn wake(&mut self, wake: Wake) -> io::Result<()> {
        match wake {
            Wake::Msg(msg) => self.update(msg),
            Wake::Connected(connected) => self.connected(*connected),
        }
    }

    fn update(&mut self, msg: Msg) -> io::Result<()> {
        self.model.at(Moment::new(&self.model.options.clock, self.started.elapsed()));
        for effect in update(&mut self.model, msg) {
            self.effect(effect)?;
        }
        Ok(())
    }

    fn connected(&mut self, connected: Connected) -> io::Result<()> {
        let options = &self.model.options;
        let background = options.engine_enabled && !options.read_only;
        let (handle, mut events) = connected.engine.run(RunOptions { background, refresh: options.refresh });
        self.engine = Some((connected.engine, handle));
        let sender = self.sender.clone();
        self.tasks.spawn(async move {
            while let Some(event) = events.recv().await {
                if sender.send(Wake::Msg(Msg::Engine(event))).await.is_err() {
                    return;
                }
            }
            let failure =
                Failure::new(Kind::Failed, "the engine has stopped", "quit and start hatchery again");
            let _ = sender.send(Wake::Msg(Msg::Engine(crate::engine::Event::ObserveFailed(failure)))).await;
        });
        self.update(Msg::Connected { fleet: connected.fleet, region: connected.region })
    }

    fn effect(&mut self, effect: Effect) -> io::Result<()> {
        match effect {
            Effect::Quit => self.quit = true,
            Effect::Redraw => self.surface.invalidate()?,
            Effect::Copy(text) => self.surface.copy(&text)?,
            Effect::Connect => {
                let (connecting, sender) = ((self.connect)(), self.sender.clone());
                self.tasks.spawn(async move {
                    let wake = match connecting.await {
                        Ok(connected) => Wake::Connected(Box::new(connected)),
                        Err(failure) => Wake::Msg(Msg::NotConnected(failure)),
                    };
                    let _ = sender.send(wake).await;
                });
            }
            Effect::Look => {
                if let Some((_, handle)) = &self.engine {
                    handle.refresh();
                }
            }
            Effect::Focus(watching) => {
                if let Some((_, handle)) = &self.engine {
                    handle.focus(watching);
                }
            }
            Effect::OpenUrl(url) => self.open(url),
            Effect::StopLogs => {
                if let Some(log) = self.log.take() {
                    log.abort();
                }
            }
            Effect::FollowLogs(query, generation) => self.follow(query, generation),
            Effect::Launch(..) | Effect::Extend(..) | Effect::Terminate(..) => self.change(effect),
        }
        Ok(())
    }

    fn change(&mut self, effect: Effect) {
        let Some((engine, _)) = &self.engine else { return };
        let (engine, sender) = (engine.clone(), self.sender.clone());
        self.changes.spawn(async move {
            let msg = match effect {
                Effect::Launch(token, request) => Msg::Launched(token, engine.launch(&request).await),
                Effect::Extend(token, id, by) => Msg::Extended(token, engine.extend(&id, by).await),
                Effect::Terminate(token, id) => {
                    let result = engine.terminate(&id).await;
                    Msg::Terminated(token, id, result)
                }
                _ => return,
            };
            let unlogged = Msg::Engine(crate::engine::Event::AuditWriteFailed(engine.audit_failure()));
            for msg in [msg, unlogged] {
                let _ = sender.send(Wake::Msg(msg)).await;
            }
        });
    }

    fn follow(&mut self, query: LogQuery, generation: u64) {
        if let Some(log) = self.log.take() {
            log.abort();
        }
        let Some((engine, _)) = &self.engine else { return };
        let (cloud, sender) = (Arc::clone(engine.cloud()), self.sender.clone());
        self.log = Some(self.tasks.spawn(async move {
            let mut items = cloud.follow(query);
            while let Some(item) = items.next().await {
                let item = item.map_err(|error| Failure::cloud("cannot read the log", &error));
                if sender.send(Wake::Msg(Msg::Log(generation, item))).await.is_err() {
                    return;
                }
            }
            let _ = sender.send(Wake::Msg(Msg::LogEnded(generation))).await;
        }));
    }

    fn open(&mut self, url: String) {
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
                let _ = sender.send(Wake::Msg(Msg::NotOpened(url))).await;
            }
        });
    }
}

/// Whether a browser would open where the person sits. On the far end of an SSH session it would not.
fn has_browser() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if set("SSH_CONNECTION") || set("SSH_TTY") {
        return false;
    }
    cfg!(any(target_os = "macos", windows)) || set("DISPLAY") || set("WAYLAND_DISPLAY")
}

/// Waits until the process is told to stop.
#[cfg(unix)]
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let wait = |kind| async move {
        match signal(kind) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::hangup()) => {}
        () = wait(SignalKind::interrupt()) => {}
    }
}

/// Waits until the process is told to stop.
#[cfg(not(unix))]
async fn stop_signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
