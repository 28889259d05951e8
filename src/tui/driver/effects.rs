//! Gives keys to `update`, and runs the effects that it returns.

use std::io;

use chrono::{DateTime, Utc};
use futures::StreamExt as _;

use super::keys::{is_paste, typed_char};
use super::program::Program;
use super::{Driver, Incoming};
use crate::cloud::{LogQuery, PermissionSamples};
use crate::domain::Registry;
use crate::domain::history::{MAX_EVENTS, Reading};
use crate::engine;
use crate::failure::Failure;
use crate::tui::app::log_view::buffer::MAX_BYTES;
use crate::tui::app::message::{Copied, Effect, ForwardRequest, HoldRequest, HoldTarget, Msg, Multiplexer};
use crate::tui::notifier::Sending;
use crate::tui::terminal::Surface;
use crate::tui::{account, clipboard};

impl<S: Surface> Driver<S> {
    /// Acts on the held keys once their time is over, or `now`.
    pub(super) fn press_keys(&mut self, now: bool) -> io::Result<()> {
        let Some((mut keys, pasted)) = self.keys.take(now) else { return Ok(()) };
        if !pasted && is_paste(&keys, false) && self.fleets.active().opens_query(keys[0]) {
            self.input(Msg::Key(keys.remove(0)))?;
        }
        let text: String = keys.iter().filter_map(|key| typed_char(*key)).collect();
        if pasted && !text.is_empty() || is_paste(&keys, self.fleets.active().takes_text()) {
            self.keys.was_paste();
            return self.input(Msg::Paste(text));
        }
        for key in keys {
            self.input(Msg::Key(key))?;
        }
        Ok(())
    }

    pub(super) fn run_effect(&mut self, fleet: usize, effect: Effect) -> io::Result<()> {
        match effect {
            Effect::Quit => self.quit = true,
            Effect::Redraw => self.surface.invalidate()?,
            Effect::Copy(text) => self.copy(fleet, text)?,
            Effect::CaptureMouse(captured) => self.surface.capture_mouse(captured)?,
            Effect::Notify { title, text } => self.notify(&title, &text)?,
            Effect::Suspend => self.suspending = true,
            Effect::HandOver(request) => self.handing_over = Some((fleet, Program::Console(request))),
            Effect::LogIn(login) => self.handing_over = Some((fleet, Program::Login(login))),
            Effect::Connect => {
                let Some(link) = self.links.get(fleet) else { return Ok(()) };
                let (connecting, sender) = ((link.connect)(), self.sender.clone());
                self.tasks.spawn(async move {
                    let incoming = match connecting.await {
                        Ok(connected) => Incoming::Connected(fleet, Box::new(connected)),
                        Err(failure) => Incoming::Msg(fleet, Msg::ConnectFailed(failure)),
                    };
                    let _ = sender.send(incoming).await;
                });
            }
            Effect::ReadAccount => self.read_account(fleet),
            Effect::CheckWrites => self.check_writes(fleet),
            Effect::Refresh => {
                if let Some((_, handle)) = self.engine(fleet) {
                    handle.refresh();
                }
            }
            Effect::SetBackground(background) => {
                if let Some((_, handle)) = self.engine(fleet) {
                    handle.set_background(background);
                }
            }
            Effect::ListServices(registry) => self.list_services(fleet, registry),
            Effect::ListImageTags(registry, service) => self.list_image_tags(fleet, registry, service),
            Effect::ReadHistory(since) => self.read_history(fleet, since),
            Effect::Focus(focused) => {
                if let Some((_, handle)) = self.engine(fleet) {
                    handle.focus(focused);
                }
            }
            Effect::OpenUrl(url) => self.open_url(fleet, url),
            Effect::Forward(task, request) => self.forward(fleet, task, request),
            Effect::SaveLog(request) => self.save_log(fleet, *request),
            Effect::StopLogs => self.stop_logs(fleet),
            Effect::FollowLogs(query, generation) => self.follow_logs(fleet, query, generation),
            Effect::Launch(..)
            | Effect::Extend(..)
            | Effect::Redeploy(..)
            | Effect::Pin(..)
            | Effect::UndoExtension(..)
            | Effect::Hold(..)
            | Effect::Release(..)
            | Effect::Terminate(..)
            | Effect::Reset(..) => self.send_request(fleet, effect),
        }
        Ok(())
    }

    /// Shows what the credentials wait for.
    pub(super) fn show_waits(&mut self, fleet: usize) {
        let Some(mut waits) = self.fleets.models().get(fleet).and_then(|model| model.options.waits.clone())
        else {
            return;
        };
        let sender = self.sender.clone();
        self.tasks.spawn(async move {
            while waits.changed().await.is_ok() {
                let what = waits.borrow_and_update().clone();
                if sender.send(Incoming::Msg(fleet, Msg::Waiting(what))).await.is_err() {
                    return;
                }
            }
        });
    }

    /// Reads the account's number while the dashboard is in use already.
    fn read_account(&mut self, fleet: usize) {
        let Some(account) = self.links.get(fleet).and_then(|link| link.account.clone()) else { return };
        let (clock, sender) = (self.fleets.active().options.clock.clone(), self.sender.clone());
        self.tasks.spawn(async move {
            let number = account::number(&account, &clock).await;
            let _ = sender.send(Incoming::Msg(fleet, Msg::Account(number))).await;
        });
    }

    /// Asks whether the credentials can change anything, on the resources of the latest observation.
    fn check_writes(&mut self, index: usize) {
        let account = self.links.get(index).and_then(|link| link.account.clone());
        let view = self.fleets.models().get(index).and_then(|model| model.fleet_view.as_ref());
        let (Some(account), Some(view)) = (account, view) else { return };
        let (fleet, samples) = (view.world.fleet.clone(), PermissionSamples::of(&view.world));
        let sender = self.sender.clone();
        self.tasks.spawn(async move {
            let answer = account.write_permission(&fleet, &samples).await;
            let _ = sender.send(Incoming::Msg(index, Msg::WritesChecked(answer))).await;
        });
    }

    /// Copies a text: inside tmux to tmux, else to the terminal's clipboard.
    fn copy(&mut self, fleet: usize, text: String) -> io::Result<()> {
        if text.len() > clipboard::MAX_BYTES {
            return self.update(fleet, Msg::Copied(text, Copied::TooLong));
        }
        let Some(multiplexer) = clipboard::multiplexer() else {
            self.surface.copy(&text)?;
            return self.update(fleet, Msg::Copied(text, Copied::Sent));
        };
        let sender = self.sender.clone();
        self.tasks.spawn(async move {
            let incoming = match clipboard::copy_to(multiplexer, &text).await {
                Some(copied) => Incoming::Msg(fleet, Msg::Copied(text, copied)),
                None => Incoming::CopyThrough(fleet, multiplexer, text),
            };
            let _ = sender.send(incoming).await;
        });
        Ok(())
    }

    /// Sends a text to the terminal's clipboard through a multiplexer that may not pass it on.
    pub(super) fn copy_through(
        &mut self,
        fleet: usize,
        multiplexer: Multiplexer,
        text: String,
    ) -> io::Result<()> {
        self.surface.copy(&text)?;
        self.update(fleet, Msg::Copied(text, Copied::SentThrough(multiplexer)))
    }

    /// Sends a notification, if it can, at once.
    fn notify(&mut self, title: &str, text: &str) -> io::Result<()> {
        match self.notifier.send(title, text) {
            Sending::Sequence(sequence) => self.surface.notify(&sequence),
            Sending::Later(sending) => {
                let sender = self.sender.clone();
                self.tasks.spawn(async move {
                    if let Some(sequence) = sending.await {
                        let _ = sender.send(Incoming::Notify(sequence)).await;
                    }
                });
                Ok(())
            }
        }
    }

    /// Sends a user's request to the engine.
    fn send_request(&mut self, fleet: usize, effect: Effect) {
        let Some((engine, _)) = self.engine(fleet) else { return };
        let (engine, sender) = (engine.clone(), self.sender.clone());
        self.requests.spawn(async move {
            let msg = match effect {
                Effect::Launch(token, request) => Msg::Launched(token, engine.launch(&request).await),
                Effect::Extend(token, id, by) => Msg::Extended(token, engine.extend(&id, by).await),
                Effect::Pin(token, id, until) => Msg::Extended(token, engine.pin(&id, until).await),
                Effect::UndoExtension(token, extension) => {
                    let result = engine.undo_extension(&extension).await;
                    Msg::ExtensionUndone(token, extension.environment, result)
                }
                Effect::Hold(token, HoldRequest { target, by, why }) => {
                    let result = match &target {
                        HoldTarget::Environment(id) => engine.hold(id, by, &why).await,
                        HoldTarget::Database(id) => engine.hold_database(id, by, &why).await,
                    };
                    Msg::Held(token, target, result)
                }
                Effect::Release(token, target) => {
                    let result = match &target {
                        HoldTarget::Environment(id) => engine.release(id).await,
                        HoldTarget::Database(id) => engine.release_database(id).await,
                    };
                    Msg::Released(token, target, result)
                }
                Effect::Redeploy(token, id, request) => {
                    Msg::Redeployed(token, engine.redeploy(&id, &request).await)
                }
                Effect::Terminate(token, id) => {
                    let result = engine.terminate(&id).await;
                    Msg::Terminated(token, id, result)
                }
                Effect::Reset(token, id) => Msg::WasReset(token, engine.reset(&id).await),
                _ => return,
            };
            let audit = Msg::Engine(engine::Event::AuditWriteFailed(engine.audit_failure()));
            for msg in [msg, audit] {
                let _ = sender.send(Incoming::Msg(fleet, msg)).await;
            }
        });
    }

    fn read_history(&mut self, fleet: usize, since: DateTime<Utc>) {
        let Some((engine, _)) = self.engine(fleet) else { return };
        let (engine, sender) = (engine.clone(), self.sender.clone());
        self.tasks.spawn(async move {
            let until = engine.cloud().time().unwrap_or_else(|| engine.clock().now());
            let read = engine.cloud().audit(&engine.config().fleet, since, MAX_EVENTS).await;
            let result = read.map(|events| {
                let reading = Reading::of(&events, since, until, MAX_EVENTS);
                (events, reading)
            });
            let result = result.map_err(|error| Failure::cloud("cannot read the audit log", &error));
            let _ = sender.send(Incoming::Msg(fleet, Msg::History(result))).await;
        });
    }

    fn list_services(&mut self, fleet: usize, registry: Registry) {
        let Some((engine, _)) = self.engine(fleet) else { return };
        let (cloud, sender) = (engine.cloud().clone(), self.sender.clone());
        self.tasks.spawn(async move {
            let listed = cloud.repositories(&registry).await;
            let _ = sender.send(Incoming::Msg(fleet, Msg::ServicesListed(registry, listed))).await;
        });
    }

    fn list_image_tags(&mut self, fleet: usize, registry: Registry, service: String) {
        let Some((engine, _)) = self.engine(fleet) else { return };
        let (cloud, sender) = (engine.cloud().clone(), self.sender.clone());
        self.tasks.spawn(async move {
            let listed = cloud.image_tags(&registry, &service).await;
            let _ = sender.send(Incoming::Msg(fleet, Msg::ImageTagsListed(registry, service, listed))).await;
        });
    }

    fn stop_logs(&mut self, fleet: usize) {
        if let Some(log) = self.links.get_mut(fleet).and_then(|link| link.log.take()) {
            log.abort();
        }
    }

    fn follow_logs(&mut self, fleet: usize, query: LogQuery, generation: u64) {
        self.stop_logs(fleet);
        let Some((engine, _)) = self.engine(fleet) else { return };
        let (engine, sender) = (engine.clone(), self.sender.clone());
        let following = self.tasks.spawn(async move {
            let mut items = engine.follow_logs(query, MAX_BYTES);
            while let Some(item) = items.next().await {
                let item = item.map_err(|error| Failure::cloud("cannot read the log", &error));
                if sender.send(Incoming::Msg(fleet, Msg::Log(generation, item))).await.is_err() {
                    return;
                }
            }
            let _ = sender.send(Incoming::Msg(fleet, Msg::LogEnded(generation))).await;
        });
        if let Some(link) = self.links.get_mut(fleet) {
            link.log = Some(following);
        }
    }

    fn forward(&mut self, fleet: usize, task: u64, request: ForwardRequest) {
        let Some((engine, _)) = self.engine(fleet) else { return };
        let (cloud, sender, forwards) = (engine.cloud().clone(), self.sender.clone(), self.forwards.clone());
        self.tasks.spawn(async move {
            let ForwardRequest { environment, instance, path, purpose } = request;
            let url = forwards.open(&cloud, &environment, &instance, &path).await;
            let _ = sender.send(Incoming::Msg(fleet, Msg::Forwarded(task, environment, purpose, url))).await;
        });
    }

    /// Opens an HTTP URL in the browser. The URL comes from the fleet's policy, so other schemes are refused.
    fn open_url(&mut self, fleet: usize, url: String) {
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
                let _ = sender.send(Incoming::Msg(fleet, Msg::OpenFailed(url))).await;
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
