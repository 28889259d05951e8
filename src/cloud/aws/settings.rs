//! What the environment and the user's profile say of Region, endpoints and certificates. As in the AWS CLI, an empty endpoint is none, and
//! an empty Region or bundle of certificates is a mistake. The SDK ends the process at an empty endpoint.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use aws_config::imds::region::ImdsRegionProvider;
use aws_config::profile::ProfileSet;
use aws_config::{ConfigLoader, Region, SdkConfig};
use aws_runtime::env_config::EnvConfigValue;
use aws_smithy_runtime_api::client::http::{SharedHttpClient, SharedHttpConnector};
use aws_types::os_shim_internal::Env;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use url::Url;

use super::tls;
use crate::cloud::Result;
use crate::domain::{CloudError, ErrorClass, text};

/// The services that hatchery calls, by the ids that the variables of their endpoints are named after.
const SERVICES: [&str; 9] = [
    "EC2",
    "RDS",
    "CloudWatch Logs",
    "STS",
    "Service Quotas",
    "imagebuilder",
    "SSM",
    "SNS",
    "Secrets Manager",
];

const ENDPOINT_VARIABLE: &str = "AWS_ENDPOINT_URL";
const ENDPOINT_KEY: &str = "endpoint_url";

const REGION_VARIABLES: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];
const BUNDLE_VARIABLE: &str = "AWS_CA_BUNDLE";

/// The environment and the profile. Only variables whose empty value is a mistake can be empty.
#[derive(Debug)]
pub(super) struct Settings {
    env: Env,
    sections: ProfileSet,
}

impl Settings {
    /// Reads the environment. `sections` are those of the files, with the profile to use.
    pub(super) fn new(sections: ProfileSet) -> Self {
        Self { env: Env::from(variables()), sections }
    }

    /// Returns a value of the environment, else of the profile.
    fn get(&self, variable: &str, key: &str) -> Option<String> {
        let of_env = self.env.get(variable).ok();
        of_env.or_else(|| self.sections.get(key).map(str::to_owned)).filter(|value| !value.is_empty())
    }

    /// Returns the first of these that is set, and what it was set by.
    ///
    /// # Errors
    /// Returns class `Invalid` if it is empty.
    fn find(&self, variables: &[&'static str], key: &str) -> Result<Option<(String, String)>> {
        let of_env = variables.iter().find_map(|name| Some(((*name).to_owned(), self.env.get(name).ok()?)));
        let of_profile = || Some((format!("{key} of the profile"), self.sections.get(key)?.to_owned()));
        match of_env.or_else(of_profile) {
            Some((source, value)) if value.trim().is_empty() => {
                let message = format!("{source} is set, but empty");
                Err(CloudError::new(ErrorClass::Invalid, "Connect", "EmptySetting", message))
            }
            found => Ok(found),
        }
    }

    fn region(&self) -> Result<Option<String>> {
        let found = self.find(&REGION_VARIABLES, "region")?;
        Ok(found.map(|(_, region)| region))
    }

    /// The client of all requests, those for credentials included.
    ///
    /// # Errors
    /// Returns class `Invalid` if the file with the certificates of authorities cannot be used or has no name.
    pub(super) fn http_client(&self) -> Result<SharedHttpClient> {
        tls::http_client(self.bundle()?.as_ref()).map_err(invalid)
    }

    /// The client of webhooks, with the same certificates and proxies.
    ///
    /// # Errors
    /// As [`Self::http_client`].
    pub(super) fn webhook_connector(&self) -> Result<SharedHttpConnector> {
        tls::connector(self.bundle()?.as_ref()).map_err(invalid)
    }

    fn bundle(&self) -> Result<Option<tls::Bundle>> {
        let found = self.find(&[BUNDLE_VARIABLE], "ca_bundle")?;
        Ok(found.map(|(source, path)| tls::Bundle { path: expand_home(&path, &self.env), source }))
    }

    /// Tells the loader the Region.
    ///
    /// # Errors
    /// Returns class `Invalid` if it is empty.
    pub(super) fn with_region(&self, loader: ConfigLoader) -> Result<ConfigLoader> {
        Ok(match self.region()? {
            Some(region) => loader.region(Region::new(region)),
            // The last one of the SDK's chain.
            None => loader.region(ImdsRegionProvider::builder().build()),
        })
    }

    /// Replaces the endpoints, which the SDK takes as they are.
    ///
    /// # Errors
    /// Returns class `Invalid` if one is not a URL that requests can be sent to.
    pub(super) fn with_endpoints(self, config: SdkConfig) -> Result<SdkConfig> {
        let ignored = self.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "ignore_configured_endpoint_urls");
        let endpoints = Endpoints {
            is_ignored: ignored.is_some_and(|value| value.eq_ignore_ascii_case("true")),
            settings: self,
        };
        let global = endpoints.find(None, ENDPOINT_VARIABLE, ENDPOINT_KEY).filter(|_| !endpoints.is_ignored);
        if let Some(url) = &global {
            check_endpoint("AWS_ENDPOINT_URL, or endpoint_url of the profile,", url)?;
        }
        if !endpoints.is_ignored {
            for service in SERVICES {
                if let Some(url) = endpoints.find(Some(service), ENDPOINT_VARIABLE, ENDPOINT_KEY) {
                    check_endpoint(&format!("the endpoint of {service}"), &url)?;
                }
            }
        }
        let mut builder = config.into_builder();
        builder.set_endpoint_url(global);
        Ok(builder.service_config(endpoints).build())
    }
}

/// The SDK's own implementation takes empty values.
#[derive(Debug)]
pub(super) struct Endpoints {
    settings: Settings,
    is_ignored: bool,
}

impl Endpoints {
    fn find(&self, service: Option<&str>, variable: &str, key: &str) -> Option<String> {
        let value = EnvConfigValue::new().env(variable).profile(key);
        let value = match service {
            Some(id) => value.service_id(id),
            None => value,
        };
        let (value, _) = value.load(&self.settings.env, Some(&self.settings.sections))?;
        Some(value.into_owned()).filter(|value| !value.is_empty())
    }
}

impl LoadServiceConfig for Endpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        if self.is_ignored && key.env() == ENDPOINT_VARIABLE {
            return None;
        }
        self.find(Some(key.service_id()), key.env(), key.profile())
    }
}

/// The variables that are set. An empty value counts only where it is a mistake.
fn variables() -> HashMap<String, String> {
    let set = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())));
    let can_be_empty = |name: &str| REGION_VARIABLES.contains(&name) || name == BUNDLE_VARIABLE;
    set.filter(|(name, value)| !value.is_empty() || can_be_empty(name)).collect()
}

/// Rejects an endpoint that no request can be sent to. `what` names it in the error.
pub(super) fn check_endpoint(what: &str, endpoint: &str) -> Result<()> {
    let is_valid = Url::parse(endpoint).is_ok_and(|url| {
        ["http", "https"].contains(&url.scheme()) && url.has_host() && url.port() != Some(0)
    });
    if is_valid {
        return Ok(());
    }
    Err(invalid(format!(
        "{what} is not a URL such as https://localhost:4566: {:?}",
        text::sanitize(endpoint)
    )))
}

fn expand_home(path: &str, env: &Env) -> PathBuf {
    match (path.strip_prefix("~/"), env.get("HOME")) {
        (Some(rest), Ok(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(path),
    }
}

fn invalid(message: String) -> CloudError {
    CloudError::new(ErrorClass::Invalid, "Connect", "InvalidSetting", message)
}

#[cfg(test)]
mod tests {
    use aws_config::profile;
    use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
    use aws_types::os_shim_internal::Fs;
    use rstest::rstest;

    use super::*;

    async fn settings(variables: &[(&str, &str)], config: &str) -> Settings {
        let mut all: HashMap<_, _> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        all.insert("HOME".to_owned(), "/home/amy".to_owned());
        let files = EnvConfigFiles::builder().with_contents(EnvConfigFileKind::Config, config).build();
        let env = Env::from(all);
        let sections = profile::load(&Fs::real(), &env, &files, Some("default".into())).await.unwrap();
        Settings { env, sections }
    }

    fn endpoints(settings: Settings) -> Vec<Option<String>> {
        let config = settings.with_endpoints(SdkConfig::builder().build()).unwrap();
        let of = |service| {
            let key = ServiceConfigKey::builder().service_id(service);
            let key = key.env(ENDPOINT_VARIABLE).profile(ENDPOINT_KEY).build().unwrap();
            config.service_config().unwrap().load_config(key)
        };
        vec![config.endpoint_url().map(str::to_owned), of("EC2"), of("RDS")]
    }

    fn texts(values: &[Option<String>]) -> Vec<Option<&str>> {
        values.iter().map(Option::as_deref).collect()
    }

    #[tokio::test]
    async fn endpoints_come_from_the_nearest_value_that_is_not_empty() {
        let config = "[default]\nendpoint_url = http://profile\nservices = local\n\n[services local]\nrds =\n  endpoint_url = http://rds\n";
        let found = endpoints(settings(&[], config).await);
        assert_eq!(texts(&found), [Some("http://profile"), Some("http://profile"), Some("http://rds")]);
        let variables = [("AWS_ENDPOINT_URL", "http://all"), ("AWS_ENDPOINT_URL_EC2", "http://ec2")];
        let found = endpoints(settings(&variables, config).await);
        assert_eq!(texts(&found), [Some("http://all"), Some("http://ec2"), Some("http://all")]);
        let ignored = [("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")];
        assert_eq!(endpoints(settings(&ignored, config).await), [None, None, None]);
        assert_eq!(endpoints(settings(&[], "[default]\nendpoint_url =\n").await), [None, None, None]);
    }

    #[tokio::test]
    async fn environment_beats_the_profile() {
        let config = "[default]\nregion = eu-west-1\nca_bundle = ~/ca.pem\n";
        let settings = settings(&[("AWS_DEFAULT_REGION", "eu-north-1")], config).await;
        assert_eq!(settings.region().unwrap().as_deref(), Some("eu-north-1"));
        let bundle = settings.bundle().unwrap().unwrap();
        assert!(bundle.path.is_absolute() && bundle.source == "ca_bundle of the profile", "{bundle:?}");
    }

    /// As the AWS CLI refuses them, where another place has a value too.
    #[rstest]
    #[case::region(&[("AWS_REGION", ""), ("AWS_DEFAULT_REGION", "eu-north-1")], "AWS_REGION is set, but empty")]
    #[case::older_region(&[("AWS_DEFAULT_REGION", "")], "AWS_DEFAULT_REGION is set, but empty")]
    #[case::profile(&[], "region of the profile is set, but empty")]
    #[tokio::test]
    async fn empty_region_is_refused(#[case] variables: &[(&str, &str)], #[case] part: &str) {
        let settings = settings(variables, "[default]\nregion =\n").await;
        let error = settings.region().unwrap_err();
        assert!(error.message.contains(part), "{error}");
    }

    #[tokio::test]
    async fn older_variable_of_the_region_may_be_empty() {
        let variables = [("AWS_REGION", "eu-north-1"), ("AWS_DEFAULT_REGION", "")];
        assert_eq!(settings(&variables, "").await.region().unwrap().as_deref(), Some("eu-north-1"));
    }

    #[rstest]
    #[case(&[("AWS_CA_BUNDLE", "")], "[default]\nca_bundle = ~/ca.pem\n", "AWS_CA_BUNDLE is set, but empty")]
    #[case(&[], "[default]\nca_bundle =\n", "ca_bundle of the profile is set, but empty")]
    #[tokio::test]
    async fn empty_bundle_is_refused(
        #[case] variables: &[(&str, &str)],
        #[case] config: &str,
        #[case] part: &str,
    ) {
        let error = settings(variables, config).await.bundle().unwrap_err();
        assert!(error.message.contains(part), "{error}");
    }

    #[rstest]
    #[case("http://127.0.0.1:5000", true)]
    #[case("https://vpce-0123.ec2.eu-west-1.vpce.amazonaws.com", true)]
    #[case("http://[::1]:4566/", true)]
    #[case("localhost:4566", false)]
    #[case("nonsense", false)]
    #[case("http://", false)]
    #[case("http://[::1", false)]
    #[case("http://a b/", false)]
    #[case("http://x:99999", false)]
    #[case("ftp://x", false)]
    #[case("file:///etc/passwd", false)]
    fn endpoints_are_urls_of_http(#[case] endpoint: &str, #[case] expected: bool) {
        assert_eq!(check_endpoint("the endpoint", endpoint).is_ok(), expected);
    }
}
