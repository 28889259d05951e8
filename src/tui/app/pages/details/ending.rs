//! When an environment ends, what it costs until then, and what its problems need.

use crate::domain::environment::EnvironmentState;
use crate::domain::format::format_duration;
use crate::domain::lifecycle;
use crate::tui::action::Action;
use crate::tui::app::model::Model;
use crate::tui::app::pages::page::Page;
use crate::tui::app::rows::EnvironmentRow;
use crate::tui::format;

/// Adds the expiry, the expected end with grace and sweeps, and the cost so far and until the expiry.
pub(super) fn add(page: &mut Page<'_>, model: &Model, row: &EnvironmentRow) {
    let (zone, now) = (model.styles.zone, model.aws_now());
    let record = &row.details.record;
    if let Some(at) = row.expires_at {
        let left = format::between(now, at);
        let left =
            if left.is_zero() { "expired".to_owned() } else { format!("{} left", format::left(left).text) };
        page.value("Ends", format!("{} ({left})", format::date_time(at, zone)));
    } else {
        let text = "unreadable expiry; ends at the fleet's max-lifetime at the latest";
        page.styled_value("Ends", "level.warning", text);
    }
    if let Some(view) = &model.fleet_view {
        let policy = &view.world.fleet.policy;
        let (earliest, latest) = lifecycle::expected_end(record, policy);
        let times = [earliest, latest].map(|at| format::short_date_time(at, now, zone));
        let why = match (&record.terminate, record.reaping_since) {
            (Some(_), _) => "on request, at the next sweep".to_owned(),
            (None, Some(_)) => "in grace; an extension still keeps it".to_owned(),
            (None, None) => {
                let (grace, sweep) = (policy.grace, lifecycle::SWEEP_INTERVAL.to_std().unwrap_or_default());
                format!(
                    "with {} of grace and sweeps every {}",
                    format_duration(grace),
                    format_duration(sweep)
                )
            }
        };
        page.value("Expected end", format!("{} to {} ({why})", times[0], times[1]));
        if let Some(cost) = row.cost {
            let (accrued, per_hour) = (format::dollars(cost.accrued), format::dollars(cost.per_hour));
            let whole = row.expires_at.map(|at| format::dollars(cost.until(at, now)));
            let whole = whole.map(|whole| format!(", {whole} until its expiry")).unwrap_or_default();
            page.value("Cost", format!("{accrued} so far, {per_hour} per hour{whole}"));
        }
    }
}

/// Adds what to do about the problems of an environment.
pub(super) fn advice(page: &mut Page<'_>, model: &Model, row: &EnvironmentRow) {
    let key = |action| model.key_label(action);
    let (logs, extend) = (key(Action::Logs), key(Action::Extend));
    let advice = match row.state {
        EnvironmentState::Failed => format!(
            "read its log ({logs}), keep it for inspection ({}), or terminate it ({}) and launch it again",
            key(Action::Hold),
            key(Action::Terminate)
        ),
        EnvironmentState::Reaping | EnvironmentState::Expired => {
            format!("extend it ({extend}) to keep it; after the grace it is gone with its database")
        }
        EnvironmentState::Stopped => {
            format!("start its instance in AWS, or terminate it ({})", key(Action::Terminate))
        }
        _ if row.problems.is_empty() => return,
        _ => format!("read its log ({logs}); deploy again ({})", key(Action::Redeploy)),
    };
    page.styled_value("To do", "text", &advice);
}
