//! The certificates that AWS's are checked against, and why a check fails.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector, ConnectorBuilder};
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpClient, SharedHttpConnector};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::{CertificateError, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// A file with the certificates of the authorities to trust instead of those of the system.
#[derive(Debug)]
pub(super) struct Bundle {
    pub(super) path: PathBuf,
    /// The setting that names it.
    pub(super) source: String,
}

impl Bundle {
    fn read(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        let Self { path, source } = self;
        let path = path.display();
        let content = std::fs::read(&self.path)
            .map_err(|error| format!("cannot read the certificates {path} ({source}): {error}"))?;
        let usable = usable(CertificateDer::pem_slice_iter(&content).filter_map(Result::ok));
        if usable.is_empty() {
            return Err(format!("there is no certificate in {path} ({source}), which must be PEM"));
        }
        Ok(usable)
    }
}

/// As the SDK's default client, with the certificates of a bundle, else of the system, which `SSL_CERT_FILE` and `SSL_CERT_DIR` replace.
///
/// # Errors
/// Returns the reason why the bundle cannot be used, one sentence.
pub(super) fn http_client(bundle: Option<&Bundle>) -> Result<SharedHttpClient, String> {
    let context = context(bundle)?;
    Ok(Builder::new()
        .build_with_connector_fn(move |settings, components| build(&context, settings, components)))
}

/// The same for requests that are not the SDK's.
///
/// # Errors
/// As [`http_client`].
pub(super) fn connector(bundle: Option<&Bundle>) -> Result<SharedHttpConnector, String> {
    Ok(SharedHttpConnector::new(build(&context(bundle)?, None, None)))
}

fn build(
    context: &TlsContext,
    settings: Option<&HttpConnectorSettings>,
    components: Option<&RuntimeComponents>,
) -> Connector {
    let builder = ConnectorBuilder::default().tls_provider(Provider::Rustls(CryptoMode::AwsLc));
    let mut builder = builder.tls_context(context.clone()).proxy_config(ProxyConfig::from_env());
    builder.set_connector_settings(settings.cloned());
    if let Some(components) = components {
        builder.set_sleep_impl(components.sleep_impl());
    }
    builder.build()
}

fn context(bundle: Option<&Bundle>) -> Result<TlsContext, String> {
    let certificates = match bundle {
        Some(bundle) => bundle.read()?,
        // An endpoint without TLS needs none, so that there are none is said when a check fails.
        None => usable(rustls_native_certs::load_native_certs().certs),
    };
    let mut store = TrustStore::empty();
    for certificate in &certificates {
        store.add_pem_certificate(to_pem(certificate));
    }
    let context = TlsContext::builder().with_trust_store(store).build();
    context.map_err(|error| format!("cannot use the certificates: {error}"))
}

/// Drops what is no certificate of an authority, such as a future kind of key: the SDK ends the process at one.
fn usable(certificates: impl IntoIterator<Item = CertificateDer<'static>>) -> Vec<CertificateDer<'static>> {
    let is_usable =
        |certificate: &CertificateDer<'static>| RootCertStore::empty().add(certificate.clone()).is_ok();
    certificates.into_iter().filter(is_usable).collect()
}

fn to_pem(certificate: &CertificateDer<'_>) -> String {
    let body = STANDARD.encode(certificate);
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
}

/// Why a connection fails at a certificate: a code and a message. `None` if it is something else.
pub(super) fn problem(error: &(dyn Error + 'static)) -> Option<(&'static str, &'static str)> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(reason)) = error.downcast_ref() {
            return Some(describe(reason));
        }
        // The source of an error of input or output is its payload's source, not the payload.
        next = match error.downcast_ref::<io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}

fn describe(reason: &CertificateError) -> (&'static str, &'static str) {
    match reason {
        // An authority of the same name with another key does not sign it either.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => (
            "CertificateUnknown",
            "the certificate of the server is not trusted: its issuer is unknown to this computer",
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            ("CertificateTime", "the certificate of the server has expired")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            ("CertificateTime", "the certificate of the server is not valid yet")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            ("CertificateName", "the certificate of the server is for another name")
        }
        _ => ("CertificateInvalid", "the certificate of the server is not valid"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_is_found_behind_errors_of_input() {
        let certificate = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let error = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, certificate));
        assert_eq!(problem(&error).unwrap().0, "CertificateUnknown");
        assert_eq!(problem(&io::Error::other("the connection is closed")), None);
    }

    #[test]
    fn bundle_without_certificates_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let read = |content: &str| {
            let path = folder.path().join("ca.pem");
            std::fs::write(&path, content).unwrap();
            Bundle { path, source: "AWS_CA_BUNDLE".to_owned() }.read().unwrap_err()
        };
        let broken = "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n";
        for content in ["", "not PEM", broken, "-----BEGIN CERTIFICATE-----\n"] {
            assert!(read(content).contains("no certificate"), "{content}");
        }
        let path = folder.path().join("none");
        let missing = Bundle { path, source: "AWS_CA_BUNDLE".to_owned() }.read().unwrap_err();
        assert!(missing.contains("AWS_CA_BUNDLE"), "{missing}");
    }
}
