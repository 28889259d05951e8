//! A server that opens TLS in front of an emulator, with certificates of an authority that no computer knows.

use std::path::PathBuf;

use super::moto::ENVIRONMENT;
use super::server::Server;

/// A running server; dropping it ends the process.
pub(crate) struct TlsProxy {
    server: Server,
    folder: tempfile::TempDir,
}

impl TlsProxy {
    /// `kind` is that of the certificate: `valid`, `expired`, `early` or `name`.
    pub(crate) fn start(upstream: &str, kind: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = format!("{}/tests/support/tls_proxy.py", env!("CARGO_MANIFEST_DIR"));
        let path = folder.path().to_str().unwrap();
        let server = Server::start(&ENVIRONMENT.program("python"), |port| {
            ["-B", &script, &port.to_string(), upstream, path, kind].map(str::to_owned).into()
        });
        Self { server, folder }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.server.port)
    }

    /// Its URL as that of a proxy.
    pub(crate) fn proxy_url(&self) -> String {
        self.server.url()
    }

    /// The certificate of its authority.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }
}
