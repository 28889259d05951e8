//! Standard input, output and error of a command, or buffers in their place.

use std::io::{self, BufRead, IsTerminal as _, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::ser::Formatter;

use super::options::has_no_color;
use crate::domain::text;
use crate::failure::{Failure, Kind};

/// Where a command reads answers from and writes results to.
#[allow(clippy::struct_excessive_bools)] // independent properties of its streams
pub struct Console {
    json: bool,
    interactive: bool,
    rewrites_lines: bool,
    colors: bool,
    input: Arc<Mutex<Box<dyn BufRead + Send>>>,
    out: Mutex<Box<dyn Write + Send>>,
    err: Mutex<Box<dyn Write + Send>>,
}

impl Console {
    pub(crate) fn stdio(json: bool) -> Self {
        let err_is_terminal = io::stderr().is_terminal();
        Self {
            json,
            interactive: io::stdin().is_terminal() && err_is_terminal,
            rewrites_lines: err_is_terminal,
            colors: io::stdout().is_terminal()
                && !has_no_color()
                && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
            input: Arc::new(Mutex::new(Box::new(io::BufReader::new(io::stdin())))),
            out: Mutex::new(Box::new(io::stdout())),
            err: Mutex::new(Box::new(io::stderr())),
        }
    }

    /// Creates a console on buffers. `input` is what the user types; without it there is no user to ask.
    #[must_use]
    pub fn on_buffers(
        input: Option<&str>,
        out: impl Write + Send + 'static,
        err: impl Write + Send + 'static,
    ) -> Self {
        Self {
            json: false,
            interactive: input.is_some(),
            rewrites_lines: false,
            colors: false,
            input: Arc::new(Mutex::new(Box::new(io::Cursor::new(input.unwrap_or_default().to_owned())))),
            out: Mutex::new(Box::new(out)),
            err: Mutex::new(Box::new(err)),
        }
    }

    pub(crate) fn with_json(self, json: bool) -> Self {
        Self { json, ..self }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a user is there to answer a question.
    pub(crate) fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// Whether standard output is a terminal that shows colours to a user who wants them.
    pub(crate) fn has_colors(&self) -> bool {
        self.colors
    }

    /// Writes text to standard output. Exits the process if the reader has closed the pipe, as in `hatchery ls | head -1`.
    pub(crate) fn print(&self, text: &str) -> Result<(), Failure> {
        let mut out = lock(&self.out);
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
            result => result.map_err(|error| {
                Failure::new(Kind::Failed, format!("cannot write to standard output: {error}"), "")
            }),
        }
    }

    /// Writes one JSON document and a line break to standard output.
    pub(crate) fn print_json(&self, document: &impl serde::Serialize) -> Result<(), Failure> {
        let mut text = printable_json(document)
            .map_err(|error| Failure::new(Kind::Failed, format!("cannot write JSON: {error}"), ""))?;
        text.push('\n');
        self.print(&text)
    }

    /// Writes a message to standard error that is not part of the result. Errors are ignored, because there is no other
    /// place to report them.
    pub(crate) fn notice(&self, message: &str) {
        let _ = writeln!(lock(&self.err), "hatchery: {}", text::sanitize(message));
    }

    /// Shows progress on standard error: on a terminal a line that the next call rewrites, else one line per new `phase`.
    pub(crate) fn progress(&self, line: &str, phase: Option<&str>) {
        let mut err = lock(&self.err);
        let _ = match phase {
            _ if self.rewrites_lines => write!(err, "\r\x1b[K{line}"),
            Some(phase) => writeln!(err, "{phase}"),
            None => Ok(()),
        };
        let _ = err.flush();
    }

    /// Fails if no user can be asked to confirm something, such as `to remove fleet dev`.
    ///
    /// # Errors
    /// Returns `Usage`.
    pub(crate) fn check_interactive(&self, what: &str) -> Result<(), Failure> {
        if self.is_interactive() {
            return Ok(());
        }
        let message = format!("cannot ask for confirmation {what}: this is not a terminal");
        Err(Failure::new(Kind::Usage, message, "add --yes"))
    }

    /// Asks the user to type `expected`.
    ///
    /// # Errors
    /// Returns a failure if the user types something else; `kept` says what then did not happen.
    pub(crate) async fn confirm(&self, question: &str, expected: &str, kept: &str) -> Result<(), Failure> {
        let answer = self.ask(&format!("{question}\nType {expected} to continue: ")).await;
        let answer = answer.map_err(|error| {
            Failure::new(Kind::Failed, format!("cannot read the confirmation: {error}"), "add --yes")
        })?;
        if answer == expected {
            return Ok(());
        }
        Err(Failure::new(Kind::Failed, format!("not confirmed; {kept}"), ""))
    }

    /// Asks on standard error and returns the user's line. Reads on another thread, so that Ctrl-C ends the command meanwhile.
    pub(crate) async fn ask(&self, question: &str) -> io::Result<String> {
        {
            let mut err = lock(&self.err);
            write!(err, "{question}")?;
            err.flush()?;
        }
        let input = Arc::clone(&self.input);
        let reading = tokio::task::spawn_blocking(move || {
            let mut answer = String::new();
            lock(&input).read_line(&mut answer).map(|_| answer)
        });
        Ok(reading.await.map_err(io::Error::other)??.trim().to_owned())
    }
}

/// Formats a document so that a terminal prints it literally: strings have no other characters than printable ones, the others are escaped.
fn printable_json(document: &impl serde::Serialize) -> serde_json::Result<String> {
    let mut bytes = Vec::new();
    document.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, EscapeUnprintable))?;
    String::from_utf8(bytes).map_err(serde::ser::Error::custom)
}

/// Writes compact JSON with `\uXXXX` for every character that is not printable, such as control and bidirectional characters, which JSON
/// permits in strings. Values stay the same.
struct EscapeUnprintable;

impl Formatter for EscapeUnprintable {
    fn write_string_fragment<W: Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut start = 0;
        for (at, character) in fragment.char_indices() {
            let mut bytes = [0; 4];
            let text = character.encode_utf8(&mut bytes);
            if matches!(character, ' '..='~') || text::is_printable(text, 1) {
                continue;
            }
            writer.write_all(&fragment.as_bytes()[start..at])?;
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            start = at + character.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[start..])
    }
}

fn lock<T: ?Sized>(stream: &Mutex<Box<T>>) -> MutexGuard<'_, Box<T>> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn json_escapes_what_a_terminal_obeys() {
        let document =
            json!({ "k\u{202e}": "a\n\t\u{1b}[31m\u{7f}\u{9b}2J\u{200b}\u{e0041} naïve 日本 🚀 \"\\" });
        let expected = r#"{"k\u202e":"a\n\t\u001b[31m\u007f\u009b2J\u200b\udb40\udc41 naïve 日本 🚀 \"\\"}"#;
        assert_eq!(printable_json(&document).unwrap(), expected);
    }

    proptest! {
        #[test]
        fn json_is_printable_and_keeps_its_value(text in any::<String>()) {
            let printed = printable_json(&text).unwrap();
            prop_assert!(text::is_printable(&printed, usize::MAX), "{printed:?}");
            prop_assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), Value::from(text));
        }
    }
}
