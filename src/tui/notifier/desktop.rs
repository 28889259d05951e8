//! The notification service of Linux desktops, over D-Bus. On macOS and Windows, notify-rust needs an application that is installed as such, which a
//! program in a terminal is not.

use std::time::Duration;

use notify_rust::Notification;

/// How long the service may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Shows a notification; returns whether the service took it.
pub(super) async fn show(title: &str, text: &str) -> bool {
    let mut notification = Notification::new();
    notification.appname("hatchery").summary(title).body(&without_markup(text));
    matches!(tokio::time::timeout(TIMEOUT, notification.show_async()).await, Ok(Ok(_)))
}

/// Escapes what a body would take for markup.
/// <https://specifications.freedesktop.org/notification-spec/latest/markup.html>
fn without_markup(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_has_no_markup() {
        assert_eq!(without_markup("<a href='x'>&</a>"), "&lt;a href='x'&gt;&amp;&lt;/a&gt;");
    }
}
