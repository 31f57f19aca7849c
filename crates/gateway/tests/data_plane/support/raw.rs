//! Bytes on the wire, for what no HTTP library would do.

use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::within;

/// A port that refuses connections for as long as this lives: it is taken, and nobody listens.
pub struct Refusing {
    pub port: u16,
    _socket: Socket,
}

impl Refusing {
    pub fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        socket.bind(&any.into()).unwrap();
        let port = socket.local_addr().unwrap().as_socket().unwrap().port();
        Self {
            port,
            _socket: socket,
        }
    }
}

pub struct Wire {
    pub stream: TcpStream,
    /// Read and not taken yet.
    held: Vec<u8>,
}

impl Wire {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(within(TcpStream::connect(address)).await.unwrap())
    }

    pub fn over(stream: TcpStream) -> Self {
        Self {
            stream,
            held: Vec::new(),
        }
    }

    pub async fn write(&mut self, text: impl AsRef<[u8]>) {
        within(self.stream.write_all(text.as_ref())).await.unwrap();
    }

    /// Everything up to and with `mark`.
    pub async fn read_until(&mut self, mark: &str) -> String {
        loop {
            let found = self
                .held
                .windows(mark.len())
                .position(|window| window == mark.as_bytes());
            if let Some(at) = found {
                let rest = self.held.split_off(at + mark.len());
                let taken = std::mem::replace(&mut self.held, rest);
                return String::from_utf8(taken).unwrap();
            }
            let mut piece = [0; 4096];
            let read = within(self.stream.read(&mut piece)).await.unwrap();
            assert!(
                read > 0,
                "ended before {mark:?}: {}",
                String::from_utf8_lossy(&self.held)
            );
            self.held.extend_from_slice(&piece[..read]);
        }
    }

    /// A message head.
    pub async fn read_head(&mut self) -> String {
        self.read_until("\r\n\r\n").await.to_ascii_lowercase()
    }

    /// A whole request with a body of known length.
    pub async fn read_request(&mut self) -> String {
        let head = self.read_head().await;
        let length: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().unwrap());
        while self.held.len() < length {
            let mut piece = [0; 4096];
            let read = within(self.stream.read(&mut piece)).await.unwrap();
            assert!(read > 0, "ended in the body");
            self.held.extend_from_slice(&piece[..read]);
        }
        let rest = self.held.split_off(length);
        let body = std::mem::replace(&mut self.held, rest);
        head + &String::from_utf8(body).unwrap()
    }

    /// Ends the connection with a reset instead of an end.
    pub fn reset(self) {
        SockRef::from(&self.stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }
}
