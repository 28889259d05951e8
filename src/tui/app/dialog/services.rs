//! The field of services under test, and what its words can become.

use std::collections::{BTreeMap, BTreeSet};

use tui_input::Input;

use crate::domain::record::parse_service;
use crate::domain::registry::is_service;

/// What separates the words of the field.
const SEPARATORS: [char; 2] = [' ', ','];

pub(super) fn parse_services(text: &str, max: usize) -> Result<BTreeMap<String, String>, String> {
    let mut services = BTreeMap::new();
    for part in text.split(SEPARATORS).filter(|part| !part.is_empty()) {
        if !part.contains('=') {
            return Err(format!("{part}: expected SERVICE=TAG"));
        }
        let (name, tag) = parse_service(part).map_err(|error| format!("{part}: {}", error.rule))?;
        if services.insert(name, tag).is_some() {
            return Err(format!("{part}: duplicate service"));
        }
    }
    if services.len() > max {
        return Err(format!("must be at most {max} services"));
    }
    Ok(services)
}

/// The services and tags that are suggested, in the order in which they became known, so that what comes later moves none of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Suggestions {
    services: Vec<String>,
    /// The tags by service.
    tags: BTreeMap<String, Vec<String>>,
    /// What the registry does not tell, and why: a sentence, or an empty text; `None` if the fleet names no registry.
    pub(crate) note: Option<String>,
}

impl Suggestions {
    pub(crate) fn add_services<'s>(&mut self, services: impl IntoIterator<Item = &'s String>) {
        add(&mut self.services, services);
    }

    pub(crate) fn add_tags<'s>(&mut self, service: &str, tags: impl IntoIterator<Item = &'s String>) {
        add(self.tags.entry(service.to_owned()).or_default(), tags);
    }

    /// Returns what the word at the cursor can become.
    pub(crate) fn find(&self, input: &Input) -> Vec<String> {
        let word = Word::at(input);
        match word.typed.split_once('=') {
            None if word.text.contains('=') => Vec::new(),
            None => {
                let known = self.services.iter().filter(|service| service.starts_with(word.typed));
                known.map(|service| format!("{service}=")).collect()
            }
            Some((service, typed)) => {
                let tags = self.tags.get(service).into_iter().flatten();
                let fitting = tags.filter(|tag| tag.starts_with(typed) && tag.as_str() != typed);
                fitting.map(|tag| format!("{service}={tag}")).collect()
            }
        }
    }

    /// Returns the field with the word at the cursor replaced by a suggestion; `None` if there is no suggestion with this index.
    pub(super) fn complete(&self, input: &Input, index: usize) -> Option<Input> {
        let suggestion = self.find(input).into_iter().nth(index)?;
        let word = Word::at(input);
        let text = input.value();
        let before = format!("{}{suggestion}", &text[..word.start]);
        let cursor = before.chars().count();
        let after = &text[word.start + word.text.len()..];
        Some(Input::new(before + after).with_cursor(cursor))
    }
}

/// Appends the values that are not there yet.
fn add<'s>(known: &mut Vec<String>, values: impl IntoIterator<Item = &'s String>) {
    let mut seen: BTreeSet<String> = known.iter().cloned().collect();
    known.extend(values.into_iter().filter(|value| seen.insert((*value).clone())).cloned());
}

/// Whether a word has been begun at the cursor.
pub(super) fn has_begun_word(input: &Input) -> bool {
    !Word::at(input).typed.is_empty()
}

/// Returns the service whose tag is typed at the cursor.
pub(super) fn typed_service(input: &Input) -> Option<String> {
    let (service, _) = Word::at(input).typed.split_once('=')?;
    is_service(service).then(|| service.to_owned())
}

/// The word of a field at the cursor.
struct Word<'i> {
    /// Where it begins, in bytes.
    start: usize,
    text: &'i str,
    /// Its part before the cursor.
    typed: &'i str,
}

impl<'i> Word<'i> {
    fn at(input: &'i Input) -> Self {
        let text = input.value();
        let cursor = text.char_indices().nth(input.cursor()).map_or(text.len(), |(at, _)| at);
        let start = text[..cursor].rfind(SEPARATORS).map_or(0, |at| at + 1);
        let end = text[cursor..].find(SEPARATORS).map_or(text.len(), |at| cursor + at);
        Self { start, text: &text[start..end], typed: &text[start..cursor] }
    }
}
