//! A proxy between the binary and an emulator, which refuses what a test wants refused.

use std::io::{BufRead as _, BufReader, Read as _, Result, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;

/// Returns the code and message of an error of EC2 or RDS for an action, or `None` to pass it through.
pub(crate) type Rule = fn(action: &str) -> Option<(&'static str, &'static str)>;

/// Starts a proxy in front of `upstream` (`host:port`), if any, and returns its URL.
pub(crate) fn start(upstream: Option<String>, rule: Rule) -> String {
    serve(move |request| {
        if let Some((code, message)) = rule(request.parameter("Action")) {
            let error = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
            let body = if request.head.contains("/rds/aws4_request") {
                format!("<ErrorResponse>{error}<RequestId>0</RequestId></ErrorResponse>")
            } else {
                format!("<Response><Errors>{error}</Errors><RequestID>0</RequestID></Response>")
            };
            return Ok(response("400 Bad Request", "text/xml", &body));
        }
        upstream.as_deref().map_or(Ok(Vec::new()), |upstream| request.send_to(upstream))
    })
}

fn response(status: &str, kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}");
    format!("{head}\r\nConnection: close\r\n\r\n{body}").into_bytes()
}

/// One request; its connection closes after the response.
struct Request {
    head: String,
    body: Vec<u8>,
}

impl Request {
    /// Returns `None` if the client disconnects before it sent a request.
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

    /// Returns a parameter of the query protocols, still URL-encoded; empty if absent.
    fn parameter(&self, name: &str) -> &str {
        let pairs = std::str::from_utf8(&self.body).unwrap_or_default().split('&');
        pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map_or("", |(_, v)| v)
    }

    /// Forwards the request and returns the complete response.
    fn send_to(&self, upstream: &str) -> Result<Vec<u8>> {
        let mut server = TcpStream::connect(upstream)?;
        write!(server, "{}Connection: close\r\n\r\n", self.head)?;
        server.write_all(&self.body)?;
        let mut whole = Vec::new();
        server.read_to_end(&mut whole)?;
        Ok(whole)
    }
}

fn serve(handler: impl Fn(&Request) -> Result<Vec<u8>> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let handler = Arc::new(handler);
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let handler = Arc::clone(&handler);
            std::thread::spawn(move || -> Result<()> {
                // Errors are ignored: a client may disconnect at any time.
                if let Some(request) = Request::read(&client)? {
                    client.write_all(&handler(&request)?)?;
                    client.shutdown(Shutdown::Both)?;
                }
                Ok(())
            });
        }
    });
    format!("http://{address}")
}
