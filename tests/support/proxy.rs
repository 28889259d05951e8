//! Servers between the binary and moto that do what AWS does and moto does not.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Result, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// An answer that may have been given: whoever comes second waits until it has.
type Given = Arc<Mutex<Option<Vec<u8>>>>;

/// Answers an action with an error of EC2, or lets it through.
pub(crate) type Rule = fn(action: &str) -> Option<(&'static str, &'static str)>;

/// Starts a server in front of `upstream` (`host:port`), or in front of nothing. Its URL.
pub(crate) fn start(upstream: Option<String>, rule: Rule) -> String {
    serve(move |request| {
        if let Some((code, message)) = rule(request.parameter("Action")) {
            let body = format!(
                "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>\
                 <RequestID>0</RequestID></Response>"
            );
            return Ok(answer("400 Bad Request", "text/xml", &body));
        }
        upstream.as_deref().map_or(Ok(Vec::new()), |upstream| request.send_to(upstream))
    })
}

/// Starts a server that gives `ClientToken` the meaning that it has in EC2, which moto does not: whoever asks again with
/// the same token gets the first answer again, and nothing new is made, however many ask at once. Its URL.
/// <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html>
///
/// An empty answer becomes `{}`, which means the same to those who ask in JSON and leaves something that can be cut off.
pub(crate) fn honouring_tokens(upstream: String) -> String {
    let given: Mutex<HashMap<String, Given>> = Mutex::default();
    serve(move |request| {
        let token = request.parameter("ClientToken");
        if token.is_empty() {
            let whole = request.send_to(&upstream)?;
            let empty = whole.starts_with(b"HTTP/1.1 200") && whole.ends_with(b"\r\n\r\n");
            return Ok(if empty { answer("200 OK", "application/x-amz-json-1.1", "{}") } else { whole });
        }
        let key = format!("{} {token}", request.parameter("Action"));
        let slot = Arc::clone(given.lock().unwrap().entry(key).or_default());
        let mut first = slot.lock().unwrap();
        if let Some(first) = &*first {
            return Ok(first.clone());
        }
        let whole = request.send_to(&upstream)?;
        if whole.starts_with(b"HTTP/1.1 200") {
            *first = Some(whole.clone());
        }
        Ok(whole)
    })
}

fn answer(status: &str, kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}");
    format!("{head}\r\nConnection: close\r\n\r\n{body}").into_bytes()
}

/// One request, whose connection ends with its answer.
struct Request {
    head: String,
    body: Vec<u8>,
}

impl Request {
    /// `None` where the client goes away before it has asked anything.
    fn read(client: &TcpStream) -> Result<Option<Self>> {
        let mut reader = BufReader::new(client);
        let mut head = String::new();
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            if line == "\r\n" {
                break;
            }
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if !lower.starts_with("connection:") {
                head.push_str(&line);
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        Ok(Some(Self { head, body }))
    }

    /// A parameter of the query protocols, as it is on the wire; empty where there is none.
    fn parameter(&self, name: &str) -> &str {
        let pairs = std::str::from_utf8(&self.body).unwrap_or_default().split('&');
        pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map_or("", |(_, v)| v)
    }

    /// The whole answer of a server.
    fn send_to(&self, upstream: &str) -> Result<Vec<u8>> {
        let mut server = TcpStream::connect(upstream)?;
        write!(server, "{}Connection: close\r\n\r\n", self.head)?;
        server.write_all(&self.body)?;
        let mut whole = Vec::new();
        server.read_to_end(&mut whole)?;
        Ok(whole)
    }
}

fn serve(answer: impl Fn(&Request) -> Result<Vec<u8>> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || -> Result<()> {
                // A client that goes away is no concern of the test.
                if let Some(request) = Request::read(&client)? {
                    client.write_all(&answer(&request)?)?;
                    client.shutdown(Shutdown::Both)?;
                }
                Ok(())
            });
        }
    });
    format!("http://{address}")
}
