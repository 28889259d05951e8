//! `hatchery fleet set`

use super::checks;
use super::log::log_change;
use crate::cli::context::{Session, place};
use crate::cli::json;
use crate::cloud::DynAccount;
use crate::domain::policy::{SETTINGS, Setting};
use crate::domain::{Fleet, Policy, TagChanges};
use crate::failure::{Failure, Kind};

pub(super) async fn run(
    account: &DynAccount,
    fleet: &Fleet,
    settings: &[String],
    session: &Session,
) -> Result<(), Failure> {
    let (policy, changes) = apply(fleet, settings)?;
    if let Some(gap) = policy.problems().into_iter().find(|gap| !fleet.problems.contains(gap)) {
        return Err(Failure::new(Kind::Usage, gap.message, "nothing was changed"));
    }
    checks::check_references(account, fleet, &policy).await?;
    let changed: Vec<_> = SETTINGS
        .iter()
        .map(|setting| (setting.name, setting.get(&fleet.policy), setting.get(&policy)))
        .filter(|(_, from, to)| from != to)
        .collect();
    let or_dash = |value: &Option<String>| value.clone().unwrap_or_else(|| "—".to_owned());
    let lines: Vec<_> = changed
        .iter()
        .map(|(name, from, to)| format!("{name}: {} → {}", or_dash(from), or_dash(to)))
        .collect();
    let written = account.tag_fleet(&fleet.template, &changes).await;
    if !lines.is_empty() {
        let reason = lines.join("; ");
        let change = ("change-policy", reason.as_str());
        log_change(session, account, &fleet.name, change, &written).await?;
    }
    written.map_err(|error| checks::write_failure(format!("cannot change fleet {}", fleet.name), &error))?;
    let console = &session.console;
    if console.is_json() {
        return console.print_json(&json::changed_settings(&fleet.name, &changed));
    }
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    if text.is_empty() {
        return console.print("No setting has changed.\n");
    }
    console.print(&format!("Fleet {} in {}:\n{text}", fleet.name, place(account).await))
}

/// Applies `SETTING=VALUE` arguments to the fleet's policy. Returns the new policy and the tags to write.
fn apply(fleet: &Fleet, settings: &[String]) -> Result<(Policy, TagChanges), Failure> {
    let defaults = Policy::new(&fleet.name);
    let mut policy = fleet.policy.clone();
    let mut changes = TagChanges::new();
    for text in settings {
        let (name, value) = text.split_once('=').ok_or_else(|| {
            Failure::new(Kind::Usage, format!("{text:?} is not SETTING=VALUE"), "use, for example, spare=2")
        })?;
        let setting = Setting::find(name).ok_or_else(|| {
            let names: Vec<_> = SETTINGS.iter().map(|setting| setting.name).collect();
            let hint = format!("the settings are: {}", names.join(", "));
            Failure::new(Kind::Usage, format!("there is no setting {name:?}"), hint)
        })?;
        if value.trim().is_empty() {
            if let Some(default) = setting.get(&defaults) {
                setting.set(&mut policy, &default)?;
            } else if setting.get(&policy).is_some() {
                setting.set(&mut policy, "")?;
            }
            changes = changes.remove(setting.tag);
        } else {
            setting.set(&mut policy, value)?;
            changes = match setting.get(&policy) {
                Some(value) => changes.set(setting.tag, value),
                None => changes.remove(setting.tag),
            };
        }
    }
    Ok((policy, changes))
}
