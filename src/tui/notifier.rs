//! Notifications outside the dashboard: a sequence that the terminal shows as a notification of the desktop, its bell, or the desktop's own
//! service.
//!
//! There is no way to ask a terminal whether it knows a sequence that all of them answer, so the choice goes by its name.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::app::message::Multiplexer;
use super::clipboard::{multiplexer, tmux};
use super::options::NotifyBy;
use super::text::fit;

#[cfg(all(feature = "desktop", unix, not(target_os = "macos")))]
mod desktop;

/// The greatest width of a title and a text in columns. Desktops show less, and kitty takes at most 2,048 bytes at a time.
const MAX_TITLE: usize = 100;
const MAX_TEXT: usize = 300;

/// What is asked of tmux: the option `allow-passthrough`, which tmux before 3.3 does not have; whether hatchery's window is shown; and the
/// terminal around it, by `TERM` and by its own name.
const TMUX_QUESTION: &str = "#{allow-passthrough},#{window_active},#{client_termname},#{client_termtype}";

/// How a notification reaches a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sequence {
    Bell,
    Osc9,
    Osc777,
    Osc99,
}

/// Sends notifications.
pub(super) struct Notifier {
    by: NotifyBy,
    /// The number of notifications so far.
    count: u64,
}

/// A notification on its way.
pub(super) enum Sending {
    /// To be written to the terminal.
    Sequence(Vec<u8>),
    /// Returns the sequence to write to the terminal, if there is one.
    Later(BoxFuture<'static, Option<Vec<u8>>>),
}

impl Notifier {
    /// With `Off`, what is sent nevertheless is sent as with `Auto`: the user has turned notifications on.
    pub(super) fn new(by: NotifyBy) -> Self {
        Self { by, count: 0 }
    }

    /// Sends a notification, or begins to.
    pub(super) fn send(&mut self, title: &str, text: &str) -> Sending {
        self.count += 1;
        let message = Message::new(title, text, self.count);
        let find = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let multiplexer = multiplexer();
        let known = match self.by {
            NotifyBy::Bell => Some(Sequence::Bell),
            NotifyBy::Osc9 => Some(Sequence::Osc9),
            NotifyBy::Osc777 => Some(Sequence::Osc777),
            NotifyBy::Osc99 => Some(Sequence::Osc99),
            NotifyBy::Auto | NotifyBy::Off | NotifyBy::Desktop if multiplexer.is_some() => None,
            NotifyBy::Auto | NotifyBy::Off | NotifyBy::Desktop => sequence_of(find),
        };
        let desktop = match self.by {
            NotifyBy::Desktop => true,
            // Inside tmux, which the user may have attached to from elsewhere, only what tmux says counts.
            NotifyBy::Auto | NotifyBy::Off => multiplexer.is_none() && known.is_none() && has_desktop(find),
            _ => false,
        };
        if desktop {
            return Sending::Later(
                async move {
                    if show_on_desktop(&message).await {
                        return None;
                    }
                    Some(through(multiplexer, known, &message).await)
                }
                .boxed(),
            );
        }
        match (multiplexer, known) {
            (_, Some(Sequence::Bell)) | (Some(Multiplexer::Screen | Multiplexer::UnreachableTmux), _) => {
                Sending::Sequence(message.encode(Sequence::Bell))
            }
            (None, known) => Sending::Sequence(message.encode(known.unwrap_or(Sequence::Bell))),
            (Some(Multiplexer::Tmux), known) => {
                Sending::Later(async move { Some(through(multiplexer, known, &message).await) }.boxed())
            }
        }
    }
}

/// Returns what reaches the terminal around the multiplexer, if there is one.
async fn through(multiplexer: Option<Multiplexer>, known: Option<Sequence>, message: &Message) -> Vec<u8> {
    match multiplexer {
        None => message.encode(known.unwrap_or(Sequence::Bell)),
        Some(Multiplexer::Tmux) => {
            let pane = std::env::var("TMUX_PANE").unwrap_or_default();
            let target = if pane.is_empty() { vec![] } else { vec!["-t", pane.as_str()] };
            let arguments = [&["display-message", "-p"][..], &target, &[TMUX_QUESTION]].concat();
            let answer = tmux(&arguments, "").await.unwrap_or_default();
            message.for_tmux(answer.trim_end(), known)
        }
        Some(Multiplexer::Screen | Multiplexer::UnreachableTmux) => message.encode(Sequence::Bell),
    }
}

/// Returns the sequence that the terminal knows; `None` if it is known for none.
fn sequence_of(variable: impl Fn(&str) -> Option<String>) -> Option<Sequence> {
    let of = |name: &str| variable(name).unwrap_or_default();
    // TERM first: it comes along with SSH, and programs that a terminal starts inherit the others from it, also other terminals.
    sequence_of_name(&of("TERM")).or_else(|| sequence_of_name(&of("TERM_PROGRAM"))).or_else(|| {
        match of("LC_TERMINAL").as_str() {
            "iTerm2" => Some(Sequence::Osc9),
            _ if variable("KITTY_WINDOW_ID").is_some() => Some(Sequence::Osc99),
            _ => None,
        }
    })
}

/// Returns the sequence that a terminal with this `TERM`, `TERM_PROGRAM` or name knows. Windows Terminal is not among them: it knows none before
/// 2026, but its bell marks the task bar.
fn sequence_of_name(name: &str) -> Option<Sequence> {
    let name = name.to_ascii_lowercase();
    let name = name.strip_prefix("xterm-").unwrap_or(&name);
    // https://iterm2.com/documentation-escape-codes.html, https://wezterm.org/escape-sequences.html,
    // https://sw.kovidgoyal.net/kitty/desktop-notifications, https://codeberg.org/dnkl/foot/src/branch/master/doc/foot-ctlseqs.7.scd
    let known = [
        ("iterm", Sequence::Osc9),
        ("wezterm", Sequence::Osc9),
        ("ghostty", Sequence::Osc9),
        ("kitty", Sequence::Osc99),
        ("foot", Sequence::Osc777),
        ("rxvt", Sequence::Osc777),
        ("urxvt", Sequence::Osc777),
    ];
    known.into_iter().find(|(start, _)| name.starts_with(start)).map(|(_, sequence)| sequence)
}

/// What is shown.
struct Message {
    title: String,
    text: String,
    number: u64,
}

impl Message {
    fn new(title: &str, text: &str, number: u64) -> Self {
        let clean = |text: &str, columns| fit(&crate::domain::text::sanitize(text), columns, "…");
        Self { title: clean(title, MAX_TITLE), text: clean(text, MAX_TEXT), number }
    }

    fn encode(&self, sequence: Sequence) -> Vec<u8> {
        let Self { title, text, number } = self;
        let bytes = match sequence {
            Sequence::Bell => "\x07".to_owned(),
            // The name comes first because ConEmu takes a number there for a command.
            Sequence::Osc9 => format!("\x1b]9;hatchery: {title}: {text}\x1b\\"),
            Sequence::Osc777 => {
                let part = |part: &str| part.replace(';', ",");
                format!("\x1b]777;notify;{};{}\x1b\\", part(title), part(text))
            }
            // kitty shows it only while its window does not have the focus.
            Sequence::Osc99 => {
                let (title, text) = (STANDARD.encode(title), STANDARD.encode(text));
                let name = STANDARD.encode("hatchery");
                format!(
                    "\x1b]99;i=hatchery-{number}:d=0:e=1:o=unfocused:f={name};{title}\x1b\\\
                     \x1b]99;i=hatchery-{number}:d=1:e=1:p=body;{text}\x1b\\"
                )
            }
        };
        bytes.into_bytes()
    }

    /// Encodes it for tmux, which answered [`TMUX_QUESTION`]. tmux passes a sequence on to the terminal only if the user allows it, and with
    /// `on` only while the window is shown; a bell always marks the window.
    fn for_tmux(&self, answer: &str, known: Option<Sequence>) -> Vec<u8> {
        let mut parts = answer.splitn(4, ',');
        let mut part = || parts.next().unwrap_or_default();
        let (allowed, is_shown, term, name) = (part(), part() == "1", part(), part());
        let passes = match allowed {
            "all" => true,
            // tmux 3.3 says 1.
            "on" | "1" => is_shown,
            _ => false,
        };
        let known = known.or_else(|| sequence_of_name(term)).or_else(|| sequence_of_name(name));
        let sequence = known.filter(|_| passes).unwrap_or(Sequence::Bell);
        if sequence == Sequence::Bell {
            return self.encode(sequence);
        }
        let sequence = String::from_utf8_lossy(&self.encode(sequence)).replace('\x1b', "\x1b\x1b");
        format!("\x1bPtmux;{sequence}\x1b\\").into_bytes()
    }
}

/// Whether a desktop is in front of the user, who is elsewhere in an SSH session.
fn has_desktop(variable: impl Fn(&str) -> Option<String>) -> bool {
    let is_set = |name| variable(name).is_some();
    cfg!(all(feature = "desktop", unix, not(target_os = "macos")))
        && !is_set("SSH_CONNECTION")
        && !is_set("SSH_TTY")
        && (is_set("DISPLAY") || is_set("WAYLAND_DISPLAY"))
}

/// Shows a message with the desktop's service; returns whether it did.
#[cfg(all(feature = "desktop", unix, not(target_os = "macos")))]
async fn show_on_desktop(message: &Message) -> bool {
    desktop::show(&message.title, &message.text).await
}

#[cfg(not(all(feature = "desktop", unix, not(target_os = "macos"))))]
#[allow(clippy::unused_async)] // as where there is such a service
async fn show_on_desktop(_: &Message) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn encoded(title: &str, text: &str, sequence: Sequence) -> String {
        String::from_utf8(Message::new(title, text, 7).encode(sequence)).unwrap()
    }

    #[rstest]
    #[case::bell(Sequence::Bell, "\x07")]
    #[case::osc9(Sequence::Osc9, "\x1b]9;hatchery: fx is ready: dev-7; 4;1\x1b\\")]
    #[case::osc777(Sequence::Osc777, "\x1b]777;notify;fx is ready;dev-7, 4,1\x1b\\")]
    #[case::osc99(
        Sequence::Osc99,
        "\x1b]99;i=hatchery-7:d=0:e=1:o=unfocused:f=aGF0Y2hlcnk=;ZnggaXMgcmVhZHk=\x1b\\\
         \x1b]99;i=hatchery-7:d=1:e=1:p=body;ZGV2LTc7IDQ7MQ==\x1b\\"
    )]
    fn sequences_byte_by_byte(#[case] sequence: Sequence, #[case] expected: &str) {
        assert_eq!(encoded("fx is ready", "dev-7; 4;1", sequence), expected);
    }

    #[rstest]
    fn hostile_text_cannot_leave_its_sequence(
        #[values(Sequence::Osc9, Sequence::Osc777, Sequence::Osc99)] sequence: Sequence,
    ) {
        let hostile = "a\x1b\\\x07\x1b]52;c;eA==\x07\u{9c}\u{9d}b\nc\u{202e};d";
        let inner = encoded(hostile, hostile, sequence);
        let inner = inner.replace("\x1b\\\x1b]99;", "");
        let inner = inner.strip_prefix("\x1b]").unwrap().strip_suffix("\x1b\\").unwrap();
        assert!(!inner.chars().any(char::is_control), "{inner:?}");
        assert!(!inner.contains('\u{202e}'), "{inner:?}");
        if sequence == Sequence::Osc777 {
            assert_eq!(inner.matches(';').count(), 3, "{inner:?}");
        }
    }

    #[rstest]
    fn long_text_is_cut(#[values(Sequence::Osc9, Sequence::Osc777, Sequence::Osc99)] sequence: Sequence) {
        // kitty's limit for one part is 4,096 bytes of base64.
        let length = encoded(&"語".repeat(9_000), &"👍".repeat(9_000), sequence).len();
        assert!((400..4_096).contains(&length), "{length}");
    }

    #[rstest]
    #[case::xterm(&[("TERM", "xterm-256color")], None)]
    #[case::apple(&[("TERM", "xterm-256color"), ("TERM_PROGRAM", "Apple_Terminal")], None)]
    #[case::windows(&[("TERM", "xterm-256color"), ("WT_SESSION", "1")], None)]
    #[case::iterm(&[("TERM", "xterm-256color"), ("TERM_PROGRAM", "iTerm.app")], Some(Sequence::Osc9))]
    #[case::iterm_ssh(&[("TERM", "xterm-256color"), ("LC_TERMINAL", "iTerm2")], Some(Sequence::Osc9))]
    #[case::wezterm(&[("TERM", "xterm-256color"), ("TERM_PROGRAM", "WezTerm")], Some(Sequence::Osc9))]
    #[case::ghostty(&[("TERM", "xterm-ghostty"), ("TERM_PROGRAM", "ghostty")], Some(Sequence::Osc9))]
    #[case::kitty(&[("TERM", "xterm-kitty")], Some(Sequence::Osc99))]
    #[case::kitty_as_xterm(&[("TERM", "xterm-256color"), ("KITTY_WINDOW_ID", "1")], Some(Sequence::Osc99))]
    #[case::foot(&[("TERM", "foot-extra")], Some(Sequence::Osc777))]
    #[case::foot_from_kitty(&[("TERM", "foot"), ("KITTY_WINDOW_ID", "1")], Some(Sequence::Osc777))]
    #[case::rxvt(&[("TERM", "rxvt-unicode-256color")], Some(Sequence::Osc777))]
    fn terminal_is_known_by_its_variables(
        #[case] variables: &[(&str, &str)],
        #[case] expected: Option<Sequence>,
    ) {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, v)| (*v).to_owned());
        assert_eq!(sequence_of(find), expected);
    }

    const BELL: &str = "\x07";
    const WRAPPED_9: &str = "\x1bPtmux;\x1b\x1b]9;hatchery: a: b\x1b\x1b\\\x1b\\";
    const WRAPPED_777: &str = "\x1bPtmux;\x1b\x1b]777;notify;a;b\x1b\x1b\\\x1b\\";

    #[rstest]
    #[case::too_old("", None, BELL)]
    #[case::not_allowed("off,1,foot,foot(1.16)", None, BELL)]
    #[case::not_allowed_3_3("0,1,foot,foot(1.16)", Some(Sequence::Osc9), BELL)]
    #[case::shown("1,1,xterm-256color,iTerm2 3.5.0", None, WRAPPED_9)]
    #[case::hidden("on,0,foot,foot(1.16)", None, BELL)]
    #[case::hidden_but_passed("all,0,foot,", None, WRAPPED_777)]
    #[case::unknown_terminal("all,1,xterm-256color,XTerm(379)", None, BELL)]
    #[case::chosen("on,1,xterm-256color,", Some(Sequence::Osc777), WRAPPED_777)]
    #[case::chosen_bell("all,1,foot,", Some(Sequence::Bell), BELL)]
    fn tmux_passes_on_what_it_is_allowed_to(
        #[case] answer: &str,
        #[case] known: Option<Sequence>,
        #[case] expected: &str,
    ) {
        let bytes = Message::new("a", "b", 1).for_tmux(answer, known);
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }
}
