//! What lies on top of a screen and has the keys until it is answered.

use std::collections::BTreeMap;
use std::time::Duration;

use ratatui::crossterm::event::{KeyCode, KeyEvent};
use tui_input::Input;

use super::form::{Field, edit};
use super::{Effect, Model};
use crate::domain::record::{MAX_NOTE_CHARS, MAX_SERVICES, parse_service};
use crate::domain::{EnvironmentId, Label, Policy, RecordId};
use crate::engine::LaunchRequest;
use crate::tui::action::{ACTIONS, Action, Context, Entry};
use crate::tui::units;

/// What lies on top.
#[derive(Debug, Clone)]
pub enum Dialog {
    /// The launch form.
    Launch(Box<LaunchForm>),
    /// How much more time.
    Extend(ExtendPrompt),
    /// Is it really to end?
    Terminate(TerminatePrompt),
    /// What to open.
    Open(OpenMenu),
    /// Every command, by its name.
    Palette(Palette),
    /// Something to read, closed by any key.
    Notice {
        /// Its title.
        title: String,
        /// Its lines.
        lines: Vec<String>,
    },
}

/// The launch form.
#[derive(Debug, Clone)]
pub struct LaunchForm {
    /// Name, time to live, services, note.
    pub fields: [Field; 4],
    /// The field that has the keys.
    pub focus: usize,
    max_lifetime: Duration,
}

/// Choices of the extend prompt; the last one is typed.
pub const EXTENSIONS: [(&str, u64); 3] = [("1h", 3_600), ("4h", 4 * 3_600), ("8h", 8 * 3_600)];

/// How much more time.
#[derive(Debug, Clone)]
pub struct ExtendPrompt {
    /// The record of the environment.
    pub record: RecordId,
    /// Its id.
    pub id: EnvironmentId,
    /// Which choice; `EXTENSIONS.len()` is the typed one.
    pub choice: usize,
    /// The typed one.
    pub custom: Field,
}

/// Is it really to end?
#[derive(Debug, Clone)]
pub struct TerminatePrompt {
    /// The record of the environment.
    pub record: RecordId,
    /// Its id.
    pub id: EnvironmentId,
    /// Its name.
    pub name: String,
    /// What has to be typed; `None` where it is one's own.
    pub ask: Option<String>,
    /// What was typed.
    pub typed: Input,
}

/// What to open.
#[derive(Debug, Clone)]
pub struct OpenMenu {
    /// The record of the environment.
    pub record: RecordId,
    /// Which address.
    pub index: usize,
}

/// Every command, by its name.
#[derive(Debug, Clone, Default)]
pub struct Palette {
    /// What was typed.
    pub input: Input,
    /// Which of those that match.
    pub index: usize,
}

/// What a dialog makes of a key.
#[derive(Debug)]
pub enum Answer {
    /// It stays.
    Stay,
    /// It goes.
    Close,
    /// It goes, and this is to be done.
    Launch(LaunchRequest),
    /// Likewise.
    Extend(RecordId, EnvironmentId, Duration),
    /// Likewise.
    Terminate(RecordId, EnvironmentId),
    /// Likewise.
    Open(String),
    /// Likewise.
    Act(Action),
    /// It stays, and this is said.
    Say(String),
}

impl LaunchForm {
    /// An empty form with the policy's defaults as placeholders.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        let ttl = units::length(policy.ttl.as_secs());
        let most = units::length(policy.max_lifetime.as_secs());
        let mut form = Self {
            fields: [
                Field::new("Name", "such as checkout-fix"),
                Field::new("Time to live", format!("{ttl} (at most {most})")),
                Field::new("Services", "payments=f-123 kyc=pr-77"),
                Field::new("Note", "why it is there"),
            ],
            focus: 0,
            max_lifetime: policy.max_lifetime,
        };
        form.judge();
        form
    }

    /// What is asked for, if every field is right.
    #[must_use]
    pub fn request(&self) -> Option<LaunchRequest> {
        let [name, ttl, services, note] = &self.fields;
        Some(LaunchRequest {
            name: read_name(name.text()).ok()?,
            ttl: read_length(ttl.text(), Some(self.max_lifetime)).ok()?,
            services: read_services(services.text()).ok()?,
            note: read_note(note.text()).ok()?,
        })
    }

    /// Judges every field.
    pub fn judge(&mut self) {
        let most = self.max_lifetime;
        let [name, ttl, services, note] = &mut self.fields;
        name.error = read_name(name.text()).err();
        ttl.error = read_length(ttl.text(), Some(most)).err();
        services.error = read_services(services.text()).err();
        note.error = read_note(note.text()).err();
    }

    fn go(&mut self, focus: usize) {
        self.fields[self.focus].visited = true;
        self.focus = focus % self.fields.len();
    }

    fn key(&mut self, key: KeyEvent) -> Answer {
        let count = self.fields.len();
        match key.code {
            KeyCode::Esc => return Answer::Close,
            KeyCode::Tab | KeyCode::Down => self.go(self.focus + 1),
            KeyCode::BackTab | KeyCode::Up => self.go(self.focus + count - 1),
            KeyCode::Enter => {
                for field in &mut self.fields {
                    field.visited = true;
                }
                if let Some(request) = self.request() {
                    return Answer::Launch(request);
                }
                if let Some(wrong) = self.fields.iter().position(|field| field.error.is_some()) {
                    self.focus = wrong;
                }
            }
            _ => {
                let field = &mut self.fields[self.focus];
                if edit(&mut field.input, key) {
                    field.visited |= !field.text().is_empty();
                    self.judge();
                }
            }
        }
        Answer::Stay
    }
}

fn read_name(text: &str) -> Result<Label, String> {
    if text.is_empty() {
        return Err("give it a name".to_owned());
    }
    // The rule in the words of a form: what is wrong with this one.
    text.parse().map_err(|_| {
        if text.chars().count() > 40 {
            "use at most 40 characters".to_owned()
        } else {
            "use letters, digits; . _ - but not first".to_owned()
        }
    })
}

/// Reads a length of time; `None` where nothing was typed.
pub(super) fn read_length(text: &str, most: Option<Duration>) -> Result<Option<Duration>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let length = humantime::parse_duration(text)
        .map_err(|_| "use a length of time such as 4h or 1h 30m".to_owned())?;
    match most {
        _ if length < Duration::from_mins(1) => Err("use at least a minute, such as 1m".to_owned()),
        Some(most) if length > most => {
            Err(format!("the policy allows at most {}", units::length(most.as_secs())))
        }
        // Beyond this, arithmetic with dates ends; the policy cuts it off anyway.
        None if length > Duration::from_hours(366 * 24) => Err("use at most a year".to_owned()),
        _ => Ok(Some(length)),
    }
}

fn read_services(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut services = BTreeMap::new();
    for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
        if !word.contains('=') {
            return Err(format!("{word}: write SERVICE=IMAGE_TAG"));
        }
        let (name, tag) = parse_service(word).map_err(|error| format!("{word}: {}", error.rule))?;
        if services.insert(name, tag).is_some() {
            return Err(format!("{word}: this service is named twice"));
        }
    }
    if services.len() > MAX_SERVICES {
        return Err(format!("at most {MAX_SERVICES} services fit"));
    }
    Ok(services)
}

fn read_note(text: &str) -> Result<Option<String>, String> {
    if !crate::domain::text::is_printable(text, MAX_NOTE_CHARS) {
        return Err(format!("use up to {MAX_NOTE_CHARS} printable characters"));
    }
    Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
}

impl ExtendPrompt {
    /// A prompt with the second choice.
    #[must_use]
    pub fn new(record: RecordId, id: EnvironmentId) -> Self {
        Self { record, id, choice: 1, custom: Field::new("Other", "such as 2h 30m") }
    }

    /// Whether the typed choice has the keys.
    #[must_use]
    pub fn is_custom(&self) -> bool {
        self.choice == EXTENSIONS.len()
    }

    /// How much more time is asked for, if that is clear.
    #[must_use]
    pub fn by(&self) -> Option<Duration> {
        match EXTENSIONS.get(self.choice) {
            Some((_, seconds)) => Some(Duration::from_secs(*seconds)),
            None => read_length(self.custom.text(), None).ok().flatten(),
        }
    }

    fn key(&mut self, key: KeyEvent) -> Answer {
        let choices = EXTENSIONS.len() + 1;
        match key.code {
            KeyCode::Esc => return Answer::Close,
            KeyCode::Enter => match self.by() {
                Some(by) => return Answer::Extend(self.record.clone(), self.id.clone(), by),
                None => self.custom.error = Some("use a length of time such as 4h or 1h 30m".to_owned()),
            },
            KeyCode::Tab | KeyCode::Down => self.choice = (self.choice + 1) % choices,
            KeyCode::BackTab | KeyCode::Up => self.choice = (self.choice + choices - 1) % choices,
            _ if self.is_custom() => {
                edit(&mut self.custom.input, key);
                self.custom.error = read_length(self.custom.text(), None).err();
            }
            KeyCode::Right | KeyCode::Char('l' | 'j') => self.choice = (self.choice + 1) % choices,
            KeyCode::Left | KeyCode::Char('h' | 'k') => self.choice = (self.choice + choices - 1) % choices,
            KeyCode::Char(c @ '0'..='9') => {
                // Whoever types a number means the typed choice.
                self.choice = EXTENSIONS.len();
                edit(&mut self.custom.input, KeyEvent::from(KeyCode::Char(c)));
                self.custom.error = None;
            }
            _ => {}
        }
        Answer::Stay
    }
}

impl TerminatePrompt {
    /// Whether what was typed is what was asked for.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.ask.as_deref().is_some_and(|ask| self.typed.value().trim() == ask)
    }

    fn key(&mut self, key: KeyEvent) -> Answer {
        let yes = Answer::Terminate(self.record.clone(), self.id.clone());
        match (key.code, &self.ask) {
            (KeyCode::Esc, _) | (KeyCode::Char('n' | 'N' | 'q'), None) => Answer::Close,
            (KeyCode::Char('y' | 'Y'), None) => yes,
            (KeyCode::Enter, Some(_)) if self.is_confirmed() => yes,
            (KeyCode::Enter, Some(ask)) => Answer::Say(format!("type {ask} to terminate it, or press esc")),
            (_, Some(_)) => {
                edit(&mut self.typed, key);
                Answer::Stay
            }
            _ => Answer::Stay,
        }
    }
}

impl Palette {
    /// What matches, best first.
    #[must_use]
    pub fn found(&self, context: Context) -> Vec<&'static Entry> {
        let typed = self.input.value().trim().to_lowercase();
        let mut found: Vec<_> = ACTIONS
            .iter()
            .filter(|entry| entry.action != Action::Palette && entry.contexts.contains(&context))
            .filter_map(|entry| {
                let by_id = score(entry.id, &typed).map(|score| score * 2);
                let by_help = entry.help.to_lowercase().find(&typed).map(|at| at * 2 + 7);
                Some((by_id.into_iter().chain(by_help).min()?, entry))
            })
            .collect();
        found.sort_by_key(|(score, _)| *score);
        found.into_iter().map(|(_, entry)| entry).collect()
    }

    fn key(&mut self, key: KeyEvent, context: Context) -> Answer {
        let found = self.found(context);
        let last = found.len().saturating_sub(1);
        match key.code {
            KeyCode::Esc => return Answer::Close,
            KeyCode::Enter => {
                return found.get(self.index).map_or(Answer::Stay, |entry| Answer::Act(entry.action));
            }
            KeyCode::Down | KeyCode::Tab => self.index = (self.index + 1).min(last),
            KeyCode::Up | KeyCode::BackTab => self.index = self.index.saturating_sub(1),
            _ => {
                if edit(&mut self.input, key) {
                    self.index = 0;
                }
            }
        }
        Answer::Stay
    }
}

/// How far apart the letters of `typed` lie in `text`, in order; `None` where they are not all there.
fn score(text: &str, typed: &str) -> Option<usize> {
    let mut rest = text;
    let mut gaps = 0;
    for c in typed.chars().filter(|c| !c.is_whitespace()) {
        let at = rest.find(c)?;
        gaps += at;
        rest = &rest[at + c.len_utf8()..];
    }
    Some(gaps)
}

impl Dialog {
    /// What it makes of a key.
    pub fn key(
        &mut self,
        key: KeyEvent,
        context: Context,
        urls: &[(&'static str, Option<String>)],
    ) -> Answer {
        match self {
            Self::Launch(form) => form.key(key),
            Self::Extend(prompt) => prompt.key(key),
            Self::Terminate(prompt) => prompt.key(key),
            Self::Palette(palette) => palette.key(key, context),
            Self::Notice { .. } => Answer::Close,
            Self::Open(menu) => {
                let last = urls.len().saturating_sub(1);
                match key.code {
                    KeyCode::Esc | KeyCode::Char('q') => return Answer::Close,
                    KeyCode::Down | KeyCode::Tab | KeyCode::Char('j') => {
                        menu.index = (menu.index + 1).min(last);
                    }
                    KeyCode::Up | KeyCode::BackTab | KeyCode::Char('k') => {
                        menu.index = menu.index.saturating_sub(1);
                    }
                    KeyCode::Char(c) if urls.iter().any(|(name, _)| name.starts_with(c)) => {
                        menu.index = urls.iter().position(|(name, _)| name.starts_with(c)).unwrap_or(0);
                        return open(menu.index, urls);
                    }
                    KeyCode::Enter => return open(menu.index, urls),
                    _ => {}
                }
                Answer::Stay
            }
        }
    }

    /// The line that takes pasted text.
    pub fn input(&mut self) -> Option<&mut Input> {
        match self {
            Self::Launch(form) => Some(&mut form.fields[form.focus].input),
            Self::Extend(prompt) => prompt.is_custom().then_some(&mut prompt.custom.input),
            Self::Terminate(prompt) => prompt.ask.is_some().then_some(&mut prompt.typed),
            Self::Palette(palette) => Some(&mut palette.input),
            Self::Open(_) | Self::Notice { .. } => None,
        }
    }
}

fn open(index: usize, urls: &[(&'static str, Option<String>)]) -> Answer {
    match urls.get(index) {
        Some((_, Some(url))) => Answer::Open(url.clone()),
        _ => Answer::Say("it has no address yet; it gets one with its instance".to_owned()),
    }
}

/// Does what a dialog says.
pub(super) fn answer(model: &mut Model, dialog: Dialog, answer: Answer) -> Vec<Effect> {
    match answer {
        Answer::Stay => {
            model.dialog = Some(dialog);
            Vec::new()
        }
        Answer::Close => Vec::new(),
        Answer::Say(text) => {
            model.dialog = Some(dialog);
            model.tell(super::Severity::Info, text);
            Vec::new()
        }
        Answer::Launch(request) => {
            let token = model.begin(format!("launching {}", request.name));
            vec![Effect::Launch(token, request)]
        }
        Answer::Extend(record, id, by) => {
            if model.is_gone(&record) {
                return Vec::new();
            }
            let token = model.begin(format!("extending {id} by {}", units::length(by.as_secs())));
            vec![Effect::Extend(token, id, by)]
        }
        Answer::Terminate(record, id) => {
            if model.is_gone(&record) {
                return Vec::new();
            }
            let token = model.begin(format!("terminating {id}"));
            vec![Effect::Terminate(token, id)]
        }
        Answer::Open(url) => model.open(url),
        Answer::Act(action) => super::act::act(model, action),
    }
}
