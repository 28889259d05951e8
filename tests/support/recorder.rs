//! A proxy in front of a server that records every request with its response.

use std::io::Write as _;
use std::net::Shutdown;
use std::sync::{Arc, Mutex};

use super::http::{Request, serve};

/// A recorded request.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) request: Request,
    pub(crate) response: String,
}

pub(crate) struct Recorder {
    url: String,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Recorder {
    /// Starts a proxy in front of `upstream` (`host:port`).
    pub(crate) fn start(upstream: String) -> Self {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let recorded = Arc::clone(&calls);
        let address = serve(move |request, mut client| {
            let response = request.forward(&upstream)?;
            let text = String::from_utf8_lossy(&response).into_owned();
            recorded.lock().unwrap().push(Call { request: request.clone(), response: text });
            client.write_all(&response)?;
            client.shutdown(Shutdown::Both)
        });
        Self { url: format!("http://{address}"), calls }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Returns the calls since the last time, in order.
    pub(crate) fn take(&self) -> Vec<Call> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}
