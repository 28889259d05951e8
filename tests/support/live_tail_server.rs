//! A CloudWatch Logs endpoint with Live Tail, which moto does not have: `StartLiveTail` answers with a real event stream.
//! <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartLiveTail.html>

use std::io::{Result, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use serde_json::{Value, json};

use super::http::{Request, response, serve};

/// `FilterLogEvents` gives so few events per page that a few lines already need several pages.
const PAGE: usize = 3;

/// A log event. Live Tail delivers it without its id.
#[derive(Debug, Clone)]
pub(crate) struct LogEvent {
    pub(crate) id: String,
    /// Milliseconds since the epoch.
    pub(crate) at: i64,
    pub(crate) stream: String,
    pub(crate) text: String,
}

/// The end of a Live Tail session.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SessionEnd {
    /// The response ends.
    Closed,
    /// The connection is closed in the middle of the response.
    Dropped,
    /// The stream delivers an exception.
    Exception(&'static str),
    /// The stream delivers a message whose checksum is wrong.
    Corrupt,
}

#[derive(Default)]
struct State {
    events: Vec<LogEvent>,
    refusal: Option<&'static str>,
    /// The operations that were called, in order.
    calls: Vec<String>,
    /// The body of the last `StartLiveTail`.
    start_request: Value,
    session: Option<Sender<Chunk>>,
    /// Sessions that send nothing any more.
    silent: Vec<Sender<Chunk>>,
    /// Whether `FilterLogEvents` knows no `startFromHead`.
    is_oldest_first: bool,
    /// Whether the first page of `FilterLogEvents` is empty.
    first_page_is_empty: bool,
    /// The number of calls of `FilterLogEvents` that are throttled.
    throttled_reads: usize,
    /// The error of `FilterLogEvents`.
    refused_reads: Option<&'static str>,
}

/// A piece of a chunked response.
enum Chunk {
    Data(Vec<u8>),
    /// Nothing is sent any more, and the connection stays open.
    Silence,
    /// The last chunk. Without it, the connection breaks off.
    Last,
}

pub(crate) struct LiveTailServer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl LiveTailServer {
    /// Starts a server of its own log events.
    pub(crate) fn start() -> Self {
        Self::start_in_front_of(None)
    }

    /// Starts a server that answers `StartLiveTail` and forwards everything else to `upstream` (`host:port`).
    pub(crate) fn start_in_front_of(upstream: Option<String>) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let address = serve(move |request, mut client| {
            let operation = request.header("x-amz-target").trim_start_matches("Logs_20140328.").to_owned();
            shared.lock().unwrap().calls.push(operation.clone());
            let answer = match (operation.as_str(), &upstream) {
                ("StartLiveTail", _) => match start_session(&shared, request) {
                    Ok(chunks) => return stream(client, &chunks),
                    Err(refusal) => refusal,
                },
                (_, Some(upstream)) => request.forward(upstream)?,
                ("DescribeLogGroups", None) => describe_log_groups(),
                ("FilterLogEvents", None) => filter_log_events(&shared, request),
                _ => error("InvalidAction"),
            };
            client.write_all(&answer)?;
            client.shutdown(Shutdown::Both)
        });
        Self { address, state }
    }

    /// The endpoint's URL. `StartLiveTail` prefixes the host with `stream-`, which would make a name of 127.0.0.1 that no
    /// resolver knows. With a user name in the URL, the prefix lands there and the host stays as it is.
    pub(crate) fn url(&self) -> String {
        format!("http://logs@{}", self.address)
    }

    /// Makes `StartLiveTail` fail with this error code.
    pub(crate) fn refuse(&self, code: &'static str) {
        self.state.lock().unwrap().refusal = Some(code);
    }

    /// Makes the open session silent, as a connection that has lost its other end is.
    pub(crate) fn silence(&self) {
        self.send(Chunk::Silence);
        let mut state = self.state.lock().unwrap();
        let session = state.session.take();
        state.silent.extend(session);
    }

    /// Answers with the oldest events first, as all endpoints did before June 2026.
    pub(crate) fn put_oldest_first(&self) {
        self.state.lock().unwrap().is_oldest_first = true;
    }

    /// Begins each answer with an empty page.
    pub(crate) fn begin_with_an_empty_page(&self) {
        self.state.lock().unwrap().first_page_is_empty = true;
    }

    /// Throttles so many calls of `FilterLogEvents`.
    pub(crate) fn throttle_reads(&self, count: usize) {
        self.state.lock().unwrap().throttled_reads = count;
    }

    /// Makes `FilterLogEvents` fail with this error code, or succeed again.
    pub(crate) fn refuse_reads(&self, code: Option<&'static str>) {
        self.state.lock().unwrap().refused_reads = code;
    }

    /// Ingests an event: `FilterLogEvents` finds it from now on. Live Tail does not deliver it.
    pub(crate) fn ingest(&self, event: &LogEvent) {
        self.state.lock().unwrap().events.push(event.clone());
    }

    /// Delivers events to the open session in one update, as Live Tail does once a second.
    pub(crate) fn deliver(&self, events: &[LogEvent]) {
        self.deliver_sampled(events, false);
    }

    /// The same, with whether the events are a sample of more.
    pub(crate) fn deliver_sampled(&self, events: &[LogEvent], sampled: bool) {
        let results: Vec<_> = events
            .iter()
            .map(|event| {
                json!({
                    "logGroupIdentifier": "123456789012:/hatchery/dev/environments",
                    "logStreamName": event.stream,
                    "message": event.text,
                    "timestamp": event.at,
                    "ingestionTime": event.at,
                })
            })
            .collect();
        let update = json!({ "sessionMetadata": { "sampled": sampled }, "sessionResults": results });
        self.send(Chunk::Data(frame("event", ":event-type", "sessionUpdate", &update)));
    }

    /// Ends the open session.
    pub(crate) fn end(&self, end: SessionEnd) {
        match end {
            SessionEnd::Closed => self.send(Chunk::Last),
            SessionEnd::Dropped => {}
            SessionEnd::Exception(name) => {
                let body = json!({ "message": "the session has ended" });
                self.send(Chunk::Data(frame("exception", ":exception-type", name, &body)));
            }
            SessionEnd::Corrupt => {
                let mut message = frame("event", ":event-type", "sessionUpdate", &json!({}));
                *message.last_mut().unwrap() ^= 1;
                self.send(Chunk::Data(message));
            }
        }
        self.state.lock().unwrap().session = None;
    }

    /// The operations that were called, in order.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.state.lock().unwrap().calls.clone()
    }

    /// The body of the last `StartLiveTail`.
    pub(crate) fn start_request(&self) -> Value {
        self.state.lock().unwrap().start_request.clone()
    }

    /// Waits until a session is open.
    pub(crate) fn wait_for_session(&self) {
        let start = Instant::now();
        while self.state.lock().unwrap().session.is_none() {
            assert!(start.elapsed() < Duration::from_secs(30), "no session was started: {:?}", self.calls());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    fn send(&self, chunk: Chunk) {
        let state = self.state.lock().unwrap();
        state.session.as_ref().expect("a session is open").send(chunk).unwrap();
    }
}

/// Opens a session, or returns the error response.
fn start_session(state: &Mutex<State>, request: &Request) -> std::result::Result<Receiver<Chunk>, Vec<u8>> {
    let mut state = state.lock().unwrap();
    state.start_request = request.json();
    if let Some(code) = state.refusal {
        return Err(error(code));
    }
    let (sender, receiver) = channel();
    let start = json!({ "sessionId": "5a3f0c1e-0000-4000-8000-000000000000" });
    for (event, body) in [("initial-response", json!({})), ("sessionStart", start)] {
        sender.send(Chunk::Data(frame("event", ":event-type", event, &body))).unwrap();
    }
    state.session = Some(sender);
    Ok(receiver)
}

/// Sends chunks until the last one, or until their sender is gone: then the connection is closed without a last one. In each second without one,
/// an empty update is sent, as AWS does.
fn stream(mut client: TcpStream, chunks: &Receiver<Chunk>) -> Result<()> {
    client.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\nTransfer-Encoding: chunked\r\n\r\n",
    )?;
    let empty = json!({ "sessionMetadata": { "sampled": false }, "sessionResults": [] });
    loop {
        let chunk = match chunks.recv_timeout(Duration::from_secs(1)) {
            Ok(chunk) => chunk,
            Err(RecvTimeoutError::Timeout) => {
                Chunk::Data(frame("event", ":event-type", "sessionUpdate", &empty))
            }
            Err(RecvTimeoutError::Disconnected) => break,
        };
        match chunk {
            Chunk::Data(bytes) => {
                write!(client, "{:x}\r\n", bytes.len())?;
                client.write_all(&bytes)?;
                client.write_all(b"\r\n")?;
            }
            Chunk::Silence => while chunks.recv().is_ok() {},
            Chunk::Last => client.write_all(b"0\r\n\r\n")?,
        }
    }
    client.shutdown(Shutdown::Both)
}

/// Encodes one message of an event stream.
fn frame(message_type: &'static str, name_header: &'static str, name: &'static str, body: &Value) -> Vec<u8> {
    let text = |value: &'static str| HeaderValue::String(value.into());
    let message = Message::new(body.to_string().into_bytes())
        .add_header(Header::new(":message-type", text(message_type)))
        .add_header(Header::new(name_header, text(name)))
        .add_header(Header::new(":content-type", text("application/json")));
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).unwrap();
    bytes
}

fn describe_log_groups() -> Vec<u8> {
    let name = "/hatchery/dev/environments";
    let arn = format!("arn:aws:logs:eu-west-1:123456789012:log-group:{name}");
    let group = json!({ "logGroupName": name, "arn": format!("{arn}:*"), "logGroupArn": arn });
    json_response("200 OK", &json!({ "logGroups": [group] }))
}

fn filter_log_events(state: &Mutex<State>, request: &Request) -> Vec<u8> {
    let asked = request.json();
    let prefix = asked["logStreamNamePrefix"].as_str().unwrap_or_default();
    let since = asked["startTime"].as_i64().unwrap_or_default();
    let begin = asked["nextToken"].as_str().map_or(0, |token| token.parse().unwrap());
    let mut state = state.lock().unwrap();
    if state.throttled_reads > 0 {
        state.throttled_reads -= 1;
        return error("ThrottlingException");
    }
    if let Some(code) = state.refused_reads {
        return error(code);
    }
    if state.first_page_is_empty && asked["nextToken"].is_null() {
        return json_response("200 OK", &json!({ "events": [], "nextToken": "0" }));
    }
    let events = state.events.clone();
    let mut matching: Vec<_> =
        events.into_iter().filter(|event| event.at >= since && event.stream.starts_with(prefix)).collect();
    matching.sort_by_key(|event| event.at);
    if asked["startFromHead"] == false && !state.is_oldest_first {
        matching.reverse();
    }
    let page: Vec<_> = matching
        .iter()
        .skip(begin)
        .take(PAGE)
        .map(|event| {
            json!({
                "eventId": event.id,
                "timestamp": event.at,
                "ingestionTime": event.at,
                "logStreamName": event.stream,
                "message": event.text,
            })
        })
        .collect();
    let mut answer = json!({ "events": page });
    if begin + PAGE < matching.len() {
        answer["nextToken"] = (begin + PAGE).to_string().into();
    }
    json_response("200 OK", &answer)
}

fn error(code: &str) -> Vec<u8> {
    json_response("400 Bad Request", &json!({ "__type": code, "message": "refused by the test" }))
}

fn json_response(status: &str, body: &Value) -> Vec<u8> {
    // AWS's responses have their time, which a follower needs.
    let date = hatchery::clock::Clock::system().now().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    response(status, &[("Content-Type", "application/x-amz-json-1.1"), ("Date", &date)], &body.to_string())
}
