//! Saves lines of a log to a file.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::Driver;
use super::Incoming;
use crate::domain::text::sanitize;
use crate::tui::app::message::{Msg, SaveError, SaveRequest};
use crate::tui::terminal::Surface;

impl<S: Surface> Driver<S> {
    /// Saves lines while the dashboard is in use, and before it ends.
    pub(super) fn save_log(&mut self, fleet: usize, request: SaveRequest) {
        let sender = self.sender.clone();
        self.requests.spawn(async move {
            let (task, path, lines) = (request.task, request.path.clone(), request.lines.len());
            let saved = tokio::task::spawn_blocking(move || save(&request)).await;
            let result = saved.unwrap_or_else(|error| Err(SaveError::Failed(error.to_string())));
            let _ = sender.send(Incoming::Msg(fleet, Msg::LogSaved { task, path, lines, result })).await;
        });
    }
}

/// Writes the lines; returns the file's absolute path.
fn save(request: &SaveRequest) -> Result<String, SaveError> {
    let path = expand(&request.path);
    let failed = |error: &io::Error| {
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        match folder.filter(|folder| error.kind() == io::ErrorKind::NotFound && !folder.exists()) {
            Some(folder) => SaveError::Failed(format!("there is no folder {}", folder.display())),
            None => SaveError::Failed(error.to_string()),
        }
    };
    match path.metadata() {
        Ok(found) if found.is_dir() => return Err(SaveError::Failed("it is a folder".to_owned())),
        // Opening a named pipe would wait for its reader.
        Ok(found) if !found.is_file() => {
            return Err(SaveError::Failed("it is not a regular file".to_owned()));
        }
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(!request.replace).create(true).truncate(request.replace);
    let file = options.open(&path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => SaveError::Exists,
        _ => failed(&error),
    })?;
    if let Err(error) = write(BufWriter::new(file), request) {
        if !request.replace {
            let _ = std::fs::remove_file(&path);
        }
        return Err(failed(&error));
    }
    let absolute = std::path::absolute(&path).unwrap_or(path);
    Ok(sanitize(&absolute.display().to_string()))
}

/// Writes lines as `hatchery logs` prints them.
fn write(mut file: impl Write, request: &SaveRequest) -> io::Result<()> {
    for line in &request.lines {
        match &line.source {
            Some(source) => {
                let at = request.zone.format_full(line.at);
                writeln!(file, "{at} {source} {}", line.text)?;
            }
            None => writeln!(file, "{}", line.text)?,
        }
    }
    file.flush()
}

/// Replaces `~` at the start by the user's home.
fn expand(path: &str) -> PathBuf {
    let rest = path.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/'));
    match rest.and_then(|rest| Some(etcetera::home_dir().ok()?.join(rest.trim_start_matches('/')))) {
        Some(path) => path,
        None => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use tempfile::TempDir;

    use super::*;
    use crate::tui::app::message::SavedLine;
    use crate::tui::zone::Zone;

    fn request(path: &Path, replace: bool, text: &str) -> SaveRequest {
        let at = DateTime::from_timestamp(1_773_144_000, 0).unwrap();
        let line = SavedLine { at, source: Some("payments".into()), text: text.into() };
        let remark = SavedLine { at, source: None, text: "… 5 older lines left out".into() };
        let path = path.to_str().unwrap().to_owned();
        SaveRequest { task: 1, path, replace, lines: vec![remark, line], zone: Zone::Named(chrono_tz::UTC) }
    }

    #[test]
    fn file_is_replaced_only_on_request() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("dev-12.log");
        assert_eq!(save(&request(&path, false, "one")), Ok(path.to_str().unwrap().to_owned()));
        let expected = "… 5 older lines left out\n2026-03-10 12:00:00Z payments one\n";
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
        assert_eq!(save(&request(&path, false, "a longer one")), Err(SaveError::Exists));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
        save(&request(&path, true, "x")).unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("payments x\n"));
    }

    #[test]
    fn reason_is_said() {
        let folder = TempDir::new().unwrap();
        let failed = |path: &Path| match save(&request(path, false, "x")) {
            Err(SaveError::Failed(why)) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(failed(folder.path()), "it is a folder");
        let missing = folder.path().join("missing");
        assert_eq!(failed(&missing.join("x.log")), format!("there is no folder {}", missing.display()));
        assert!(!missing.exists());
    }

    #[cfg(unix)]
    #[test]
    fn file_has_the_mode_of_the_umask() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = TempDir::new().unwrap();
        let (path, other) = (folder.path().join("x.log"), folder.path().join("y"));
        save(&request(&path, false, "x")).unwrap();
        std::fs::File::create(&other).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&other));
    }

    #[test]
    fn tilde_is_the_home() {
        assert_eq!(expand("~/x.log"), etcetera::home_dir().unwrap().join("x.log"));
        assert_eq!(expand("~x.log"), PathBuf::from("~x.log"));
    }
}
