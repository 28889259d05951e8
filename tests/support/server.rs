//! A server process on a free port.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running server; dropping it ends the process.
pub(crate) struct Server {
    process: Child,
    pub(crate) port: u16,
}

impl Server {
    /// Starts a program; `arguments` are its arguments for a port.
    pub(crate) fn start(program: &Path, arguments: impl Fn(u16) -> Vec<String>) -> Self {
        // Another process may take the port before the server binds it, hence the retries.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut command = Command::new(program);
            command.args(arguments(port)).stdout(Stdio::null()).stderr(Stdio::null());
            let process = command.spawn().unwrap_or_else(|error| panic!("{error}: {}", program.display()));
            let mut server = Self { process, port };
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_mins(1) && server.process.try_wait().unwrap().is_none() {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return server;
                }
                std::thread::park_timeout(Duration::from_millis(50));
            }
        }
        panic!("{} did not come up", program.display());
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The process may already have exited.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
