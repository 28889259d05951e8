//! `hatchery fleet show`

use crate::cli::console::Console;
use crate::cli::{json, table};
use crate::domain::policy::SETTINGS;
use crate::domain::{Fleet, Policy};
use crate::failure::Failure;

pub(super) fn run(fleet: &Fleet, console: &Console) -> Result<(), Failure> {
    if console.is_json() {
        return console.print_json(&json::fleet(fleet));
    }
    let defaults = Policy::new(&fleet.name);
    let rows = SETTINGS.iter().map(|setting| {
        let value = setting.get(&fleet.policy);
        let is_default = value == setting.get(&defaults);
        vec![
            setting.name.to_owned(),
            value.unwrap_or_else(|| "—".to_owned()),
            if is_default { "default" } else { "" }.to_owned(),
            setting.about.to_owned(),
        ]
    });
    console.print(&table::render(&["SETTING", "VALUE", "", "DESCRIPTION"], rows.collect(), ""))?;
    fleet.problems.iter().for_each(|problem| console.notice(&problem.message));
    Ok(())
}
