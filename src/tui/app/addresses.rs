//! Opens and copies the addresses of environments.

use super::dialog::Dialog;
use super::message::{Copied, Effect, ForwardRequest, Multiplexer, Purpose};
use super::model::{Model, Severity};
use crate::domain::{Address, EnvironmentId};
use crate::failure::Failure;

/// Opens an endpoint of an environment, or copies its URL. If it needs a port forward, that comes first.
pub(super) fn open(model: &mut Model, id: EnvironmentId, address: Address, purpose: Purpose) -> Vec<Effect> {
    match address {
        Address::Url(url) if purpose == Purpose::Copy => vec![Effect::Copy(url)],
        Address::Url(url) => open_url(model, url),
        Address::Forwarded { instance, path } => {
            let task = model.start_task(format!("forwarding a port to {id}"));
            vec![Effect::Forward(task, ForwardRequest { environment: id, instance, path, purpose })]
        }
    }
}

/// Opens or copies the URL of an environment whose port is forwarded now.
pub(super) fn forwarded(
    model: &mut Model,
    task: u64,
    id: &EnvironmentId,
    purpose: Purpose,
    result: Result<String, Failure>,
) -> Vec<Effect> {
    match result {
        Ok(url) => {
            model.finish_task(
                task,
                Severity::Done,
                format!("{url} is forwarded to {id} until hatchery ends"),
            );
            match purpose {
                Purpose::Copy => vec![Effect::Copy(url)],
                Purpose::Open if model.options.no_browser => show_url(model, url),
                Purpose::Open => vec![Effect::OpenUrl(url)],
            }
        }
        Err(failure) => {
            model.finish_task(task, Severity::Error, failure.sentence());
            Vec::new()
        }
    }
}

/// Opens a URL in the browser, or shows it if the options forbid that.
fn open_url(model: &mut Model, url: String) -> Vec<Effect> {
    if model.options.no_browser {
        return show_url(model, url);
    }
    model.notify(Severity::Info, format!("opening {url}"));
    vec![Effect::OpenUrl(url)]
}

/// Shows a URL and copies it.
pub(super) fn show_url(model: &mut Model, url: String) -> Vec<Effect> {
    // The toast says that the URL is being opened.
    model.toasts.retain(|toast| toast.severity != Severity::Info);
    if model.dialog.is_some() {
        // A dialog must not disappear while the user types into it.
        let task = model.next_task();
        let text = format!("no browser is available here; open {url} yourself");
        model.finish_task(task, Severity::Info, text);
        return vec![Effect::Copy(url)];
    }
    let lines =
        vec![url.clone(), String::new(), "No browser is available here. Open the URL yourself.".to_owned()];
    model.dialog = Some(Dialog::Notice { title: "Open".to_owned(), lines });
    vec![Effect::Copy(url)]
}

/// Says where a copied text went, as far as that is known.
pub(super) fn copied(model: &mut Model, text: &str, copied: Copied) {
    let through = |name| format!("sent to the clipboard, if {name} passes it on: {text}");
    let (severity, text) = match copied {
        Copied::Sent => (Severity::Done, format!("sent to the clipboard: {text}")),
        Copied::InTmux { clipboard: true } => {
            (Severity::Done, format!("copied to tmux, and sent to the clipboard: {text}"))
        }
        Copied::InTmux { clipboard: false } => {
            (Severity::Done, format!("copied to tmux, which does not use the clipboard: {text}"))
        }
        Copied::SentThrough(Multiplexer::Screen) => (Severity::Info, through("screen")),
        Copied::SentThrough(Multiplexer::Tmux | Multiplexer::UnreachableTmux) => {
            (Severity::Info, through("tmux (set-clipboard on)"))
        }
        Copied::TooLong => (Severity::Error, "too long to copy".to_owned()),
    };
    model.notify(severity, text);
}
