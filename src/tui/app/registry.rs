//! Asks the registry what the forms for services need, and gives them what it has answered.

use super::message::Effect;
use super::model::Model;
use crate::domain::text::Untrusted;
use crate::domain::{CloudError, ImageTags, Registry};

impl Model {
    /// Returns the questions to the registry that the open form needs, and tells the form what is missing.
    pub(super) fn registry_questions(&mut self) -> Vec<Effect> {
        let Some(dialog) = &mut self.dialog else { return Vec::new() };
        let typed = dialog.typed_service();
        let Some(suggestions) = dialog.suggestions() else { return Vec::new() };
        let registry = self.fleet_view.as_ref().and_then(|view| view.world.fleet.policy.registry.clone());
        let Some(registry) = registry else { return Vec::new() };
        self.registry.choose(&registry);
        suggestions.note = Some(self.registry.note(typed.as_deref()));
        let mut effects = Vec::new();
        if self.registry.ask_services(self.now.real) {
            effects.push(Effect::ListServices(registry.clone()));
        }
        if let Some(service) = typed.filter(|service| self.registry.ask_tags(service, self.now.real)) {
            effects.push(Effect::ListImageTags(registry, service));
        }
        effects
    }

    pub(super) fn services_listed(
        &mut self,
        registry: &Registry,
        result: Result<Vec<Untrusted>, CloudError>,
    ) {
        self.registry.take_services(registry, result);
        self.suggest_answers(registry);
    }

    pub(super) fn image_tags_listed(
        &mut self,
        registry: &Registry,
        service: String,
        result: Result<ImageTags, CloudError>,
    ) {
        self.registry.take_tags(registry, service, result);
        self.suggest_answers(registry);
    }

    fn suggest_answers(&mut self, registry: &Registry) {
        if let Some(suggestions) = self.dialog.as_mut().and_then(|dialog| dialog.suggestions()) {
            self.registry.add_to(suggestions, registry);
        }
    }
}
