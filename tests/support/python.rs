//! Virtual environments of Python, in which the tests install programs that they start.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A virtual environment under the target folder.
#[derive(Debug)]
pub(crate) struct VirtualEnvironment {
    /// Name of its folder.
    pub(crate) name: &'static str,
    /// What pip installs. Versions are pinned.
    pub(crate) requirements: &'static [&'static str],
}

impl VirtualEnvironment {
    /// Returns the path of an installed program.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.path().join("bin").join(name)
    }

    /// Returns the folder of the environment; the first call creates it.
    pub(crate) fn path(&self) -> PathBuf {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let environment = target.join(self.name);
        let done = environment.join("installed");
        let wanted = self.requirements.join("\n");
        // Several tests may install it at the same time.
        let lock = File::create(target.join(format!("{}.lock", self.name))).unwrap();
        lock.lock().unwrap();
        if std::fs::read_to_string(&done).is_ok_and(|installed| installed == wanted) {
            return environment;
        }
        let _ = std::fs::remove_dir_all(&environment);
        run(Command::new("python3").args(["-m", "venv"]).arg(&environment), "Python 3 with its venv module");
        let mut install = Command::new(environment.join("bin/python"));
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        run(install.args(self.requirements), "access to PyPI");
        std::fs::write(done, wanted).unwrap();
        environment
    }
}

fn run(command: &mut Command, needs: &str) {
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("these tests need {needs}: {error} ({command:?})"));
    let mut errors = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_to_string(&mut errors).unwrap();
    assert!(child.wait().unwrap().success(), "these tests need {needs}: {errors}");
}
