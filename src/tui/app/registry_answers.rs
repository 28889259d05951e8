//! The answers of the registry: services and their image tags.

use std::collections::BTreeMap;
use std::time::Duration;

use super::dialog::services::Suggestions;
use crate::domain::text::Untrusted;
use crate::domain::{CloudError, ErrorClass, ImageTags, Registry};

/// How long an answer is used.
const MAX_AGE: Duration = Duration::from_mins(5);

/// The time after which a failed question is asked again.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// The last answer to a question, or the error as a sentence.
#[derive(Debug, Clone)]
struct Answer<T> {
    /// When the question was asked last, in real time.
    asked_at: Option<Duration>,
    result: Option<Result<T, String>>,
}

impl<T> Default for Answer<T> {
    fn default() -> Self {
        Self { asked_at: None, result: None }
    }
}

impl<T> Answer<T> {
    /// Whether the question is to be asked; if so, it counts as asked.
    fn ask(&mut self, now: Duration) -> bool {
        let pause = if matches!(self.result, Some(Err(_))) { RETRY_AFTER } else { MAX_AGE };
        let due = self.asked_at.is_none_or(|at| now.saturating_sub(at) >= pause);
        if due {
            self.asked_at = Some(now);
        }
        due
    }

    fn error(&self) -> Option<&str> {
        self.result.as_ref()?.as_ref().err().map(String::as_str)
    }
}

/// The answers of the registry.
#[derive(Debug, Clone, Default)]
pub(crate) struct RegistryAnswers {
    registry: Option<Registry>,
    services: Answer<Vec<String>>,
    tags: BTreeMap<String, Answer<Tags>>,
}

/// The newest tags of a service, newest first.
#[derive(Debug, Clone)]
struct Tags {
    names: Vec<String>,
    is_partial: bool,
}

impl RegistryAnswers {
    /// Adds what a registry has told.
    pub(super) fn add_to(&self, suggestions: &mut Suggestions, registry: &Registry) {
        suggestions.note.get_or_insert_default();
        if self.registry.as_ref() != Some(registry) {
            return;
        }
        if let Some(Ok(services)) = &self.services.result {
            suggestions.add_services(services);
        }
        for (service, answer) in &self.tags {
            if let Some(Ok(tags)) = &answer.result {
                suggestions.add_tags(service, &tags.names);
            }
        }
    }

    /// Says what is missing while the tag of a service is typed, or no tag; empty if nothing is.
    pub(super) fn note(&self, service: Option<&str>) -> String {
        let answer = service.and_then(|service| Some((service, self.tags.get(service)?)));
        let note = match answer {
            Some((_, Answer { result: Some(Err(error)), .. })) => Some(error.clone()),
            Some((service, Answer { result: Some(Ok(Tags { is_partial: true, .. })), .. })) => {
                Some(format!("ECR has too many images of {service}: its newest tags may be missing."))
            }
            _ => self.services.error().map(str::to_owned),
        };
        note.unwrap_or_default()
    }

    /// Forgets the answers of another registry.
    pub(super) fn choose(&mut self, registry: &Registry) {
        if self.registry.as_ref() != Some(registry) {
            *self = Self { registry: Some(registry.clone()), ..Self::default() };
        }
    }

    /// Whether to ask for the services now; if so, they count as asked for.
    pub(super) fn ask_services(&mut self, now: Duration) -> bool {
        self.services.ask(now)
    }

    /// Whether to ask for the tags of a service now; if so, they count as asked for.
    pub(super) fn ask_tags(&mut self, service: &str, now: Duration) -> bool {
        self.tags.entry(service.to_owned()).or_default().ask(now)
    }

    /// Takes an answer, unless the fleet's registry is another one by now.
    pub(super) fn take_services(&mut self, registry: &Registry, result: Result<Vec<Untrusted>, CloudError>) {
        if self.registry.as_ref() == Some(registry) {
            let result = result.map(|repositories| registry.services(&repositories));
            let result = result.map_err(|error| sentence("services", &error, &registry.repository("")));
            self.services.result = Some(result);
        }
    }

    /// Takes an answer, unless the fleet's registry is another one by now.
    pub(super) fn take_tags(
        &mut self,
        registry: &Registry,
        service: String,
        result: Result<ImageTags, CloudError>,
    ) {
        if self.registry.as_ref() == Some(registry) {
            let result = result.map(|found| Tags {
                names: found.valid().map(|tag| tag.name.raw().to_owned()).collect(),
                is_partial: found.is_partial,
            });
            let result = result.map_err(|error| sentence("tags", &error, &registry.repository(&service)));
            self.tags.entry(service).or_default().result = Some(result);
        }
    }
}

fn sentence(what: &str, error: &CloudError, repository: &str) -> String {
    let why = match error {
        error if error.is_denial() => format!("ecr:{} is not allowed", error.operation),
        error if error.is(ErrorClass::NotFound) => format!("there is no repository {repository}"),
        error => format!("{} ({})", error.message, error.code),
    };
    format!("No {what} from ECR: {why}.")
}
