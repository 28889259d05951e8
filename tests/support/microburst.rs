//! microburst: a proxy that injects AWS errors, delays and lost responses in front of another server.
//!
//! Faults are scheduled, not random: each call has a list of outcomes for its first, second, … request, which repeats.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::moto;
use super::server::Server;

/// The outcome of a request. Errors, time-outs and [`Fault::Reset`] come before the server sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    PassThrough,
    /// The service's own throttling error.
    Throttled,
    /// Status 500.
    InternalError,
    /// `ServiceUnavailable`, status 503.
    Unavailable,
    AccessDenied,
    /// Applied; the response takes 400 ms longer.
    Slow,
    /// Status 504 of a gateway, after 300 ms.
    GatewayTimeout,
    /// The connection is reset before the request is applied.
    Reset,
    /// Applied; the connection is reset before the response.
    ResponseLost,
    /// Applied; the body ends after half of the response, without an error.
    ResponseTruncated,
    /// Applied after this time, which exceeds the client's time-out.
    Delayed(Duration),
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
            Self::PassThrough => json!({}),
            Self::Throttled => json!({ "error": throttling }),
            Self::InternalError => json!({ "error": {
                "code": "InternalError", "status": 500, "message": "An internal error has occurred",
            } }),
            Self::Unavailable => json!({ "error": {
                "code": "ServiceUnavailable", "status": 503, "message": "The service is unavailable",
            } }),
            Self::AccessDenied => json!({ "error": {
                "code": "AccessDeniedException", "status": 400, "message": "You are not authorized",
            } }),
            Self::Slow => json!({ "latency": 400 }),
            Self::GatewayTimeout => json!({ "timeout_ms": 300 }),
            Self::Reset => json!({ "reset": true }),
            Self::ResponseLost => json!({ "response": { "abort_bytes": 0 } }),
            Self::ResponseTruncated => json!({ "response": { "truncate_frac": 0.5 } }),
            Self::Delayed(after) => json!({ "latency": u64::try_from(after.as_millis()).unwrap() }),
        }
    }
}

/// An AWS operation, or some of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Call {
    pub(crate) service: &'static str,
    pub(crate) operation: &'static str,
    /// `JMESPath` over the parameters; `None` matches every request.
    pub(crate) filter: Option<&'static str>,
}

/// The outcomes of each call, in order; they repeat.
pub(crate) type Schedule = Vec<(Call, Vec<Fault>)>;

/// A running proxy; dropping it ends the process.
pub(crate) struct Microburst {
    server: Server,
}

impl Microburst {
    /// Starts a proxy without faults in front of a URL.
    pub(crate) fn start(upstream: &str) -> Self {
        let server = Server::start(&moto::ENVIRONMENT.program("microburst"), |port| {
            ["--upstream", upstream, "--port", &port.to_string()].map(str::to_owned).into()
        });
        Self { server }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// Starts a schedule. Calls that are not in it pass through.
    ///
    /// microburst applies the first rule that fires and hides the request from the rules after it. So the first of `n` rules
    /// fires on one request in `n`, the second on one in `n - 1` of the rest, and so on, which yields the faults in order.
    pub(crate) fn set(&self, schedule: &Schedule) {
        let mut rules = Vec::new();
        for (call, faults) in schedule {
            for (turn, fault) in faults.iter().enumerate() {
                let mut rule = fault.rule(call.service);
                rule["service"] = call.service.into();
                rule["operation"] = call.operation.into();
                rule["sequence"] = json!({ "fail": 1, "pass": faults.len() - turn - 1 });
                if let Some(filter) = call.filter {
                    rule["body"] = filter.into();
                }
                rules.push(rule);
            }
        }
        // Matches every call that the schedule does not cover; `unscheduled` reads it.
        rules.push(json!({ "service": "*" }));
        let set = self.control("POST", "rules", &json!(rules).to_string());
        assert_eq!(set.as_array().map(Vec::len), Some(rules.len()), "{set}");
    }

    /// How often each call met each fault, as counted by the proxy.
    pub(crate) fn fault_counts(&self, schedule: &Schedule) -> BTreeMap<(Call, Fault), u64> {
        let rules = self.control("GET", "rules", "");
        let turns =
            schedule.iter().flat_map(|(call, faults)| faults.iter().map(move |fault| (*call, *fault)));
        let mut counts = BTreeMap::new();
        for (turn, rule) in turns.zip(rules.as_array().unwrap()) {
            *counts.entry(turn).or_default() += rule["fired_count"].as_u64().unwrap();
        }
        counts
    }

    /// Operations that were called and that the schedule does not cover, without Image Builder's, which moto lacks.
    pub(crate) fn unscheduled(&self) -> Vec<String> {
        let rules = self.control("GET", "rules", "");
        let last = rules.as_array().unwrap().last().unwrap();
        let fired = self.control("GET", &format!("fired?limit=10000&rule_id={}", last["id"]), "");
        let fired = fired.as_array().unwrap();
        // The proxy's log drops its oldest entries; its count does not.
        assert_eq!(last["fired_count"], fired.len(), "{fired:?}");
        let operations = fired.iter().filter_map(|event| event["operation"].as_str());
        operations.filter(|operation| *operation != "ListImagePipelines").map(str::to_owned).collect()
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
        let mut response = String::new();
        connection.read_to_string(&mut response).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{response}");
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error} in {response}"))
    }
}
