//! What the dashboard writes to a terminal, byte by byte: the demo in a pseudo-terminal.

use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;

use crate::support::pty::{Exit, Modes, Terminal};

mod consoles;
mod end;
mod fleets;
mod input;
mod kinds;
mod lifecycle;
mod login;
mod notifications;
mod suspend;

/// The modes while the dashboard is shown.
const SET: Modes = Modes { alternate_screen: true, mouse: true, bracketed_paste: true, hidden_cursor: true };

/// The modes that a shell expects.
const UNSET: Modes =
    Modes { alternate_screen: false, mouse: false, bracketed_paste: false, hidden_cursor: false };

/// Text colours of the embedded theme `dark`: `text`, `green` (of the state `ready`) and `teal` (of keys) of its palette.
const DARK: [&str; 3] = ["38;2;216;222;233", "38;2;163;213;140", "38;2;127;209;199"];

/// The demo with a configuration folder of its own.
fn demo(configuration: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Terminal {
    let mut all = vec![("XDG_CONFIG_HOME", configuration.to_str().unwrap())];
    all.extend(environment);
    let all: Vec<_> = all.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let arguments: Vec<_> = ["demo"].iter().chain(arguments).copied().collect();
    let terminal = Terminal::start(&arguments, &all, (110, 30));
    terminal.wait_for("checkout-fix");
    terminal.wait_for("ready");
    terminal
}

/// Sends a signal, such as `TERM`, to a process.
#[track_caller]
fn send_signal(name: &str, pid: u32) {
    let status = std::process::Command::new("kill").args(["-s", name, &pid.to_string()]).status();
    assert!(status.unwrap().success());
}

fn quit(mut terminal: Terminal) -> String {
    terminal.send_keys("q");
    assert_eq!(terminal.wait_for_exit(), 0);
    String::from_utf8(terminal.raw()).unwrap()
}

/// A configuration folder with a theme of this name.
fn folder_with_theme(name: &str, theme: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let themes = folder.path().join("hatchery").join("themes");
    std::fs::create_dir_all(&themes).unwrap();
    std::fs::write(themes.join(format!("{name}.toml")), theme).unwrap();
    folder
}

#[test]
fn own_theme_wins_over_the_embedded_one() {
    let empty = tempfile::tempdir().unwrap();
    let raw = quit(demo(empty.path(), &["--theme", "dark"], &[]));
    assert!(DARK.iter().all(|color| raw.contains(color)), "{raw:?}");

    let own =
        folder_with_theme("dark", "[roles]\ntext = '#0badf0'\nstate = { fg = '#f00ba4', bg = '#101112' }\n");
    let raw = quit(demo(own.path(), &["--theme", "dark"], &[]));
    for color in ["38;2;11;173;240", "38;2;240;11;164", "48;2;16;17;18"] {
        assert!(raw.contains(color), "{color} in {raw:?}");
    }
    assert!(DARK.iter().all(|color| !raw.contains(color)), "{raw:?}");
}

#[test]
fn own_theme_can_be_configured_and_inherits() {
    let own = folder_with_theme("mine", "inherits = 'dark'\n[palette]\ngreen = '#0badf0'\n");
    std::fs::write(own.path().join("hatchery").join("config.toml"), "theme = 'mine'\n").unwrap();
    let raw = quit(demo(own.path(), &[], &[]));
    assert!(raw.contains("38;2;11;173;240") && raw.contains(DARK[0]), "{raw:?}");
    assert!(!raw.contains(DARK[1]), "the green of dark is replaced: {raw:?}");
}

#[test]
fn own_theme_with_a_mistake_is_a_usage_error() {
    let own = folder_with_theme("mine", "[roles]\ntext = 'reddish'\n");
    let binary = env!("CARGO_BIN_EXE_hatchery");
    let output = std::process::Command::new(binary)
        .args(["demo", "--theme", "mine"])
        .env_clear()
        .env("XDG_CONFIG_HOME", own.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:#?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("mine") && text.contains("reddish"), "{text}");
}

/// The user has chosen these, so that they can be read on a light background too.
#[test]
fn default_theme_has_the_16_colors_of_the_terminal() {
    let empty = tempfile::tempdir().unwrap();
    let raw = quit(demo(empty.path(), &["--speed", "0.1"], &[]));
    assert!(!colors(&raw).is_empty());
    for parameters in colors(&raw) {
        let numbers: Vec<u16> =
            parameters.split(';').map(|number| number.parse().unwrap_or_default()).collect();
        let is_other = |three: &[u16]| matches!(three, [38 | 48, 2, _] | [38 | 48, 5, 16..=255]);
        assert!(!numbers.windows(3).any(is_other), "{parameters}");
    }
}

#[test]
fn keys_are_configured_and_a_clash_names_both_actions() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hatchery").join("config.toml");
    std::fs::create_dir(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "[keys]\nlaunch = \"n\"\n").unwrap();
    let mut terminal = demo(folder.path(), &["--speed", "0.1"], &[]);
    terminal.send_keys("l");
    std::thread::park_timeout(Duration::from_millis(200));
    assert!(!terminal.text().contains("Launch an environment"), "{}", terminal.text());
    terminal.send_keys("n");
    terminal.wait_for("Launch an environment");
    terminal.send_keys("\x1b");
    terminal.wait_until_gone("Launch an environment");
    quit(terminal);

    std::fs::write(&file, "[keys]\nlaunch = \"x\"\n").unwrap();
    let mut terminal = Terminal::start(
        &["demo"],
        &[("XDG_CONFIG_HOME".to_owned(), folder.path().to_str().unwrap().to_owned())],
        (110, 30),
    );
    assert_eq!(terminal.wait_for_end(), Exit::Code(2));
    let text = terminal.text();
    assert!(text.contains("x is bound to both launch and terminate"), "{text}");
}

#[test]
fn no_color_writes_no_colors_and_keeps_the_selection() {
    let empty = tempfile::tempdir().unwrap();
    let colored = quit(demo(empty.path(), &[], &[]));
    assert!(!colors(&colored).is_empty(), "the default has colours");
    let colored = quit(demo(empty.path(), &[], &[("NO_COLOR", "")]));
    assert!(!colors(&colored).is_empty(), "an empty NO_COLOR is none");

    let mut terminal = demo(empty.path(), &["--speed", "0.1"], &[("NO_COLOR", "1")]);
    let first = terminal.reversed_rows();
    assert_eq!(first.len(), 1, "one row is selected:\n{}", terminal.text());
    terminal.send_keys("j");
    let start = std::time::Instant::now();
    while terminal.reversed_rows() == first {
        assert!(start.elapsed().as_secs() < 10, "the selection moves:\n{}", terminal.text());
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
    // The dialogs, too.
    terminal.send_keys("l");
    terminal.wait_for("Launch an environment");
    terminal.send_keys("\x1b");
    terminal.wait_until_gone("Launch an environment");
    let raw = quit(terminal);
    assert_eq!(colors(&raw), Vec::<&str>::new());
}

/// Selects an environment that has an address. The rows come page by page, so that any may be selected at first, and
/// rows may come above it.
#[track_caller]
fn select_ready(terminal: &mut Terminal) {
    for key in ["g", "j", "j", "j", "j", "j", "j", "j"].into_iter().cycle().take(24) {
        let text = terminal.text();
        if text.lines().any(|line| line.contains('▸') && line.contains("● ready")) {
            return;
        }
        terminal.send_keys(key);
        let start = Instant::now();
        while terminal.text() == text && start.elapsed().as_secs() < 2 {
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
    panic!("no ready environment:\n{}", terminal.text());
}

#[test]
fn copying_writes_osc_52() {
    let empty = tempfile::tempdir().unwrap();
    // No environment comes or goes meanwhile.
    let mut terminal = demo(empty.path(), &["--speed", "0.1"], &[]);
    select_ready(&mut terminal);
    let selected = terminal.reversed_rows().concat();
    terminal.send_keys("Y");
    terminal.wait_for("sent to the clipboard");
    let id = clipboard(&terminal.raw()).pop().unwrap();
    assert!(id.starts_with("dev-") && selected.contains(&id), "{id:?} in {selected:?}");
    terminal.wait_for(&format!("sent to the clipboard: {id}"));

    terminal.send_keys("y");
    terminal.wait_for("sent to the clipboard: http");
    let url = clipboard(&terminal.raw()).pop().unwrap();
    assert!(url.starts_with("http://") || url.starts_with("https://"), "{url:?}");
    terminal.wait_for(&format!("sent to the clipboard: {url}"));
    let raw = quit(terminal);
    assert_eq!(clipboard(raw.as_bytes()), [id, url], "nothing else is copied");
}

#[test]
fn copying_goes_through_tmux() {
    let folder = tempfile::tempdir().unwrap();
    let tmux = folder.path().join("tmux");
    let script =
        "#!/bin/sh\ncase \"$1\" in load-buffer) cat > \"${0%/*}/buffer\";; *) echo external;; esac\n";
    std::fs::write(&tmux, script).unwrap();
    std::fs::set_permissions(&tmux, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let inside = [("TMUX", "/tmp/tmux-1000/default,1,0"), ("TERM", "tmux-256color"), ("PATH", &path)];
    let mut terminal = demo(folder.path(), &["--speed", "0.1"], &inside);
    terminal.send_keys("Y");
    terminal.wait_for("copied to tmux, and sent to the clipboard: dev-");
    let copied = std::fs::read_to_string(folder.path().join("buffer")).unwrap();
    terminal.wait_for(&format!("clipboard: {copied}"));
    let raw = quit(terminal);
    assert_eq!(clipboard(raw.as_bytes()), Vec::<String>::new());
}

#[test]
fn copying_in_a_hidden_tmux_says_on_what_it_depends() {
    let empty = tempfile::tempdir().unwrap();
    // tmux on the computer from which the user has come by SSH; and one that cannot be run.
    for inside in [[("TERM", "tmux-256color"), ("A", "")], [("TMUX", "/tmp/tmux,1,0"), ("PATH", "/nowhere")]]
    {
        let mut terminal = demo(empty.path(), &["--speed", "0.1"], &inside);
        terminal.send_keys("Y");
        terminal.wait_for("if tmux (set-clipboard on) passes it on: dev-");
        let raw = quit(terminal);
        assert_eq!(clipboard(raw.as_bytes()).len(), 1);
    }
}

/// The SGR sequences with a parameter that sets a colour, of the text or of its background.
fn colors(raw: &str) -> Vec<&str> {
    let sequences = raw.split("\x1b[").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != ';')?;
        rest[end..].starts_with('m').then(|| &rest[..end])
    });
    let sets_color =
        |parameter: &str| matches!(parameter.parse(), Ok(30..=38 | 40..=48 | 90..=97 | 100..=107));
    sequences.filter(|parameters| parameters.split(';').any(sets_color)).collect()
}

/// The texts that were sent to the clipboard with OSC 52, whose end is BEL or ST.
/// <https://invisible-island.net/xterm/ctlseqs/ctlseqs.html>
fn clipboard(raw: &[u8]) -> Vec<String> {
    let raw = String::from_utf8_lossy(raw);
    raw.split("\x1b]52;c;")
        .skip(1)
        .map(|rest| {
            let end = rest.find("\x1b\\").into_iter().chain(rest.find('\x07')).min().unwrap();
            let text = base64::engine::general_purpose::STANDARD.decode(&rest[..end]).unwrap();
            String::from_utf8(text).unwrap()
        })
        .collect()
}
