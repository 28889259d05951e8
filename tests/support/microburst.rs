//! microburst: a proxy that answers as AWS does when something is wrong, or does not answer, in front of another server.
//!
//! Nothing here is left to chance: each call has a schedule of its own, which says what its first, its second, … request
//! meets, and then begins again.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::server::Server;

/// What a request meets on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// Nothing: it goes through.
    Nothing,
    /// Throttling, in the words of the service. Nothing is done.
    Throttled,
    /// `InternalError`, status 500. Nothing is done.
    Broken,
    /// `ServiceUnavailable`, status 503. Nothing is done.
    Unavailable,
    /// No permission. Nothing is done.
    Denied,
    /// It is done, and the answer comes later than usual.
    Slow,
    /// It waits and is then told 504 by a gateway. Nothing is done.
    TimedOut,
    /// The connection is reset. Nothing is done.
    Reset,
    /// It is done, and the connection is reset before the answer.
    Lost,
    /// It is done, and half of the answer comes, as if it were the whole.
    Halved,
    /// It is done after this time, which is longer than anybody waits for the answer.
    Late(Duration),
}

impl Fault {
    fn rule(self, service: &str) -> Value {
        let throttling = match service {
            "ec2" => {
                json!({ "code": "RequestLimitExceeded", "status": 503, "message": "Request limit exceeded." })
            }
            "rds" => json!({ "code": "Throttling", "status": 400, "message": "Rate exceeded" }),
            _ => json!({ "code": "ThrottlingException", "status": 400, "message": "Rate exceeded" }),
        };
        match self {
            Self::Nothing => json!({}),
            Self::Throttled => json!({ "error": throttling }),
            Self::Broken => json!({ "error": {
                "code": "InternalError", "status": 500, "message": "An internal error has occurred",
            } }),
            Self::Unavailable => json!({ "error": {
                "code": "ServiceUnavailable", "status": 503, "message": "The service is unavailable",
            } }),
            Self::Denied => json!({ "error": {
                "code": "AccessDeniedException", "status": 400, "message": "You are not authorized",
            } }),
            Self::Slow => json!({ "latency": 400 }),
            Self::TimedOut => json!({ "timeout_ms": 300 }),
            Self::Reset => json!({ "reset": true }),
            Self::Lost => json!({ "response": { "abort_bytes": 0 } }),
            Self::Halved => json!({ "response": { "truncate_frac": 0.5 } }),
            Self::Late(after) => json!({ "latency": u64::try_from(after.as_millis()).unwrap() }),
        }
    }
}

/// A call to AWS: an operation, or some of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Call {
    pub(crate) service: &'static str,
    pub(crate) operation: &'static str,
    /// Which requests; all where absent. A `JMESPath` over the parameters.
    pub(crate) only: Option<&'static str>,
}

/// What each request of a call meets, one after the other and then from the beginning.
pub(crate) type Schedule = Vec<(Call, Vec<Fault>)>;

/// A running proxy; it ends when this is dropped.
pub(crate) struct Microburst {
    server: Server,
}

impl Microburst {
    /// Starts a proxy that lets everything through to an upstream URL.
    pub(crate) fn start(upstream: &str) -> Self {
        let server = Server::start("microburst", |port| {
            ["--upstream", upstream, "--port", &port.to_string()].map(str::to_owned).into()
        });
        Self { server }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// Begins a schedule. Whatever is not in it goes through.
    ///
    /// Of several rules the first that fires decides, and the others do not see the request. So the first of `n` rules
    /// sees all and fires on one in `n`, the second sees the rest and fires on one in `n - 1`, and so on: which makes
    /// the turns of the schedule.
    pub(crate) fn set(&self, schedule: &Schedule) {
        let mut rules = Vec::new();
        for (call, faults) in schedule {
            for (turn, fault) in faults.iter().enumerate() {
                let mut rule = fault.rule(call.service);
                rule["service"] = call.service.into();
                rule["operation"] = call.operation.into();
                rule["sequence"] = json!({ "fail": 1, "pass": faults.len() - turn - 1 });
                if let Some(only) = call.only {
                    rule["body"] = only.into();
                }
                rules.push(rule);
            }
        }
        // Sees what the schedule has not: see `unscheduled`.
        rules.push(json!({ "service": "*" }));
        let set = self.control("POST", "rules", &json!(rules).to_string());
        assert_eq!(set.as_array().map(Vec::len), Some(rules.len()), "{set}");
    }

    /// How often each call has met what, by the proxy's own count.
    pub(crate) fn met(&self, schedule: &Schedule) -> BTreeMap<(Call, Fault), u64> {
        let rules = self.control("GET", "rules", "");
        let turns =
            schedule.iter().flat_map(|(call, faults)| faults.iter().map(move |fault| (*call, *fault)));
        let mut met = BTreeMap::new();
        for (turn, rule) in turns.zip(rules.as_array().unwrap()) {
            *met.entry(turn).or_default() += rule["fired_count"].as_u64().unwrap();
        }
        met
    }

    /// Operations that were called and are in no schedule.
    pub(crate) fn unscheduled(&self) -> Vec<String> {
        let rules = self.control("GET", "rules", "");
        let last = rules.as_array().unwrap().last().unwrap();
        let fired = self.control("GET", &format!("fired?limit=10000&rule_id={}", last["id"]), "");
        let fired = fired.as_array().unwrap();
        // The proxy's log forgets the oldest; its count does not.
        assert_eq!(last["fired_count"], fired.len(), "{fired:?}");
        fired.iter().map(|event| event["operation"].to_string()).collect()
    }

    fn control(&self, method: &str, what: &str, body: &str) -> Value {
        let address = self.server.address();
        let mut connection = TcpStream::connect(&address).unwrap();
        let length = body.len();
        write!(
            connection,
            "{method} /_microburst/{what} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error} in {answer}"))
    }
}
