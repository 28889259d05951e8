//! The part of HTTP/1.1 that the servers of these tests need: one request per connection.

use std::io::{BufRead as _, BufReader, Error, Read as _, Result, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use serde_json::Value;

/// A request with its whole body.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// The request line and the headers without `Connection`, each with its line end.
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// Reads one request; `None` if the client closes the connection before it sends one.
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
                length = value.trim().parse().map_err(Error::other)?;
            }
            if !lower.starts_with("connection:") {
                head.push_str(&line);
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        Ok(Some(Self { head, body }))
    }

    /// The method and the path, such as `GET /2018-06-01/runtime/invocation/next`.
    pub(crate) fn route(&self) -> &str {
        self.head.split(" HTTP/").next().unwrap()
    }

    /// A header's value; empty if it is absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        let headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next().unwrap_or("")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Sends the request to another server (`host:port`) and returns its whole response.
    pub(crate) fn forward(&self, upstream: &str) -> Result<Vec<u8>> {
        let mut server = TcpStream::connect(upstream)?;
        write!(server, "{}Connection: close\r\n\r\n", self.head)?;
        server.write_all(&self.body)?;
        let mut response = Vec::new();
        server.read_to_end(&mut response)?;
        Ok(response)
    }
}

/// A whole response; the connection ends after it.
pub(crate) fn response(status: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}")
        .into_bytes()
}

/// Starts a server on a free port of 127.0.0.1. Each request is answered on its own thread.
pub(crate) fn serve(
    answer: impl Fn(&Request, TcpStream) -> Result<()> + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || -> Result<()> {
                // Errors are ignored: a client may disconnect at any time, for example when its process is killed.
                match Request::read(&client)? {
                    Some(request) => answer(&request, client),
                    None => Ok(()),
                }
            });
        }
    });
    address
}
