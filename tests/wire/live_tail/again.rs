//! What is tried again later: Live Tail, and reads with credentials that AWS refuses.

use super::*;

/// Moves the clock of tokio, by which a follower waits.
async fn advance(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn live_tail_is_tried_again_after_growing_pauses() {
    let server = LiveTailServer::start();
    let cloud = connect(&server).await;
    let mut followed = Followed::start(&cloud);
    followed.break_sessions(&server, 4).await;
    followed.read_until(0, "polling").await;
    advance(Duration::from_mins(5)).await;
    followed.read_until(0, LIVE_TAIL).await;
    assert_eq!(sessions(&server), 5);
    server.end(SessionEnd::Closed);
    followed.read_until(0, "polling").await;
    advance(Duration::from_mins(5)).await;
    followed.read_for(Duration::from_secs(1)).await;
    assert_eq!(sessions(&server), 5);
    advance(Duration::from_mins(5)).await;
    followed.read_until(0, LIVE_TAIL).await;
    assert_eq!(sessions(&server), 6);
}

/// Permissions do not change by themselves, and each try is a refused call.
#[tokio::test]
async fn denied_live_tail_is_not_tried_again() {
    let server = LiveTailServer::start();
    server.refuse("AccessDeniedException");
    let cloud = connect(&server).await;
    let mut followed = Followed::start(&cloud);
    followed.read_until(0, "polling").await;
    advance(Duration::from_hours(1)).await;
    server.ingest(&event("1", 0, "polled"));
    followed.read_until(1, "polling").await;
    assert_eq!(sessions(&server), 1);
}

#[tokio::test]
async fn log_goes_on_when_there_are_credentials_again() {
    let server = LiveTailServer::start();
    server.refuse("LimitExceededException");
    server.ingest(&event("1", 30, "one"));
    let cloud = connect(&server).await;
    let mut followed = Followed::start(&cloud);
    followed.read_until(1, "polling").await;
    server.refuse_reads(Some("ExpiredTokenException"));
    followed.read_until(1, "polling").await;
    advance(Duration::from_secs(10)).await;
    followed.read_for(Duration::from_secs(1)).await;
    let paused = "paused: FilterLogEvents: refused by the test (ExpiredTokenException)";
    assert_eq!(followed.modes, ["polling", paused]);
    // It says so once, however long it lasts.
    for _ in 0..3 {
        advance(Duration::from_secs(61)).await;
        followed.read_for(Duration::from_millis(500)).await;
    }
    assert_eq!(followed.modes, ["polling", paused]);
    server.refuse_reads(None);
    server.ingest(&event("2", 5, "two"));
    advance(Duration::from_secs(61)).await;
    followed.read_until(2, "polling").await;
    assert_eq!(followed.lines, ["one", "two"]);
}

#[tokio::test]
async fn denied_reads_end_the_log() {
    let server = LiveTailServer::start();
    server.refuse_reads(Some("AccessDeniedException"));
    server.refuse("AccessDeniedException");
    let cloud = connect(&server).await;
    let items: Vec<_> = Followed::start(&cloud).items.collect().await;
    assert!(matches!(&items[..], [Ok(LogItem::Mode(_)), Err(_)]), "{items:?}");
}
