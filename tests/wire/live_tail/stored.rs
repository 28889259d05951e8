//! The stored lines of a followed log: the newest first, the older ones beside new ones, and what polls find.

use super::*;

/// The number of calls that have read stored lines.
fn reads(server: &LiveTailServer) -> usize {
    server.calls().iter().filter(|call| *call == "FilterLogEvents").count()
}

/// The newest lines are there after one read. At most 50 follow, of which each gives three lines here.
#[tokio::test]
async fn newest_of_many_lines_come_first() {
    let server = LiveTailServer::start();
    let texts = ingest_burst(&server, 200, 60);
    let cloud = connect(&server).await;
    let mut followed = Followed::start(&cloud);
    followed.next().await;
    assert_eq!((&followed.lines[..], reads(&server)), (&texts[197..], 1));
    // New lines do not wait for the older ones.
    server.wait_for_session();
    server.deliver(&[event("new", 0, "new")]);
    let mut first_new = None;
    tokio::time::timeout(Duration::from_mins(1), async {
        while followed.modes.len() < 2 || first_new.is_none() {
            followed.next().await;
            let is_new = followed.lines.last().is_some_and(|line| line == "new");
            first_new = first_new.or(is_new.then_some(followed.lines.len()));
        }
    })
    .await
    .unwrap();
    assert!(first_new.unwrap() < 151, "{first_new:?}");
    assert_eq!(followed.lines.split_off(150), ["new"]);
    assert_eq!(followed.lines, texts[50..]);
    assert_eq!(followed.modes, [LIVE_TAIL, "older lines left out, because there are too many"]);
    assert_eq!(reads(&server), 50);
}

/// Where older lines cannot be put before newer ones, they are left out.
#[tokio::test]
async fn older_lines_are_left_out_if_they_are_not_wanted() {
    let server = LiveTailServer::start();
    let texts = ingest_burst(&server, 400, 60);
    let cloud = connect(&server).await;
    let mut followed = Followed::start_with(&cloud, 0);
    followed.read_until(3, LIVE_TAIL).await;
    let known = followed.lines.len();
    assert!(known <= 150, "{known}");
    assert_eq!(followed.modes, ["older lines left out, because there are too many", LIVE_TAIL]);
    // Polls take none of them for new ones.
    server.end(SessionEnd::Closed);
    server.ingest(&event("new", 0, "new"));
    followed.read_until(known + 1, LIVE_TAIL).await;
    assert_eq!(followed.lines[..known], texts[400 - known..]);
    assert_eq!(followed.lines[known..], ["new"]);
}

#[tokio::test]
async fn older_lines_end_at_their_bound_in_bytes() {
    let server = LiveTailServer::start();
    let texts = ingest_burst(&server, 100, 60);
    let cloud = connect(&server).await;
    // A line takes its text and 128 bytes, so that the third page is the last.
    let mut followed = Followed::start_with(&cloud, 6 * 140 + 1);
    followed.read_until(12, "older lines left out, because there are too many").await;
    followed.read_for(Duration::from_millis(300)).await;
    assert_eq!((&followed.lines[..], reads(&server)), (&texts[88..], 4));
}

/// A poll has at most ten calls, of which each gives three lines here.
#[tokio::test]
async fn poll_shows_the_newest_of_a_burst() {
    let server = LiveTailServer::start();
    server.refuse("LimitExceededException");
    server.ingest(&event("1", 30, "before"));
    let cloud = connect(&server).await;
    let mut followed = Followed::start(&cloud);
    followed.read_until(1, "polling").await;
    let texts = ingest_burst(&server, 40, 5);
    followed.read_until(31, "older lines left out, because there are too many").await;
    assert_eq!(followed.lines[1..], texts[10..]);
    server.ingest(&event("2", 0, "after"));
    followed.read_until(32, "older lines left out, because there are too many").await;
    assert_eq!(followed.lines.last().unwrap(), "after");
}

/// Where the oldest lines come first, polls go on until they have caught up.
#[tokio::test]
async fn polls_catch_up_where_the_oldest_lines_come_first() {
    let server = LiveTailServer::start();
    server.refuse("LimitExceededException");
    server.put_oldest_first();
    server.begin_with_an_empty_page();
    server.ingest(&event("1", 30, "before"));
    let cloud = connect(&server).await;
    let mut followed = Followed::start(&cloud);
    followed.read_until(1, "polling").await;
    let texts = ingest_burst(&server, 70, 5);
    tokio::time::timeout(Duration::from_mins(1), async {
        while followed.lines.len() < 71 {
            followed.next().await;
        }
    })
    .await
    .unwrap();
    assert_eq!((&followed.lines[1..], &followed.modes[..]), (&texts[..], &["polling".to_owned()][..]));
}
