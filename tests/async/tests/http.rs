//! hyper in tasks: each connection is a task that waits for hyper's future, and a handler may call whatever blocks.

#[path = "../../net_common/mod.rs"]
mod net_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::future::{Async, wait};
use event_channel::net::{TcpListener, TcpStream};
use event_channel::{Runtime, task, time};
use futures_io::{AsyncRead, AsyncWrite};
use hyper::body::{Body, Incoming};
use hyper::rt::ReadBufCursor;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, client, server};
use net_common::each_runtime_of;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// hyper has traits of its own.
struct Io(Async<TcpStream>);

impl Io {
    fn stream(self: Pin<&mut Self>) -> Pin<&mut Async<TcpStream>> {
        Pin::new(&mut self.get_mut().0)
    }
}

impl hyper::rt::Read for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut chunk = [0; 8 * 1024];
        let most = chunk.len().min(buf.remaining());
        let read = ready!(self.stream().poll_read(context, &mut chunk[..most]))?;
        buf.put_slice(&chunk[..read]);
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Io {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.stream().poll_write(context, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_close(context)
    }
}

async fn bytes_of(mut body: Incoming) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        bytes.extend(frame.unwrap().into_data().into_iter().flatten());
    }
    bytes
}

/// Says what it was told, backwards, from a task of its own, after a while.
async fn answer(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    let bytes = bytes_of(request.into_body()).await;
    time::sleep(Duration::from_millis(1)); // suspends the connection's task, in the middle of a poll
    let backwards = task::spawn(move || bytes.into_iter().rev().map(char::from).collect());
    Ok(Response::new(backwards.await.unwrap()))
}

fn serve(runtime: &Runtime) -> (SocketAddr, task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = runtime.spawn(move || {
        let mut connections = task::JoinSet::new();
        for stream in listener.incoming().map_while(Result::ok) {
            connections.spawn(move || {
                let connection = server::conn::http1::Builder::new()
                    .serve_connection(Io(Async::new(stream).unwrap()), service_fn(answer));
                wait(connection).unwrap();
            });
        }
        while let Some(result) = connections.join_next() {
            result.unwrap();
        }
    });
    (address, server)
}

fn said(number: usize, long: usize) -> String {
    format!("{number:08}").repeat(long)
}

fn backwards(text: &str) -> String {
    text.chars().rev().collect()
}

/// Several requests on one connection, by hyper's client, from a task or a plain thread.
fn ask(address: SocketAddr, number: usize) {
    let stream = Async::new(TcpStream::connect(address).unwrap()).unwrap();
    let (mut sender, connection) = wait(client::conn::http1::handshake(Io(stream))).unwrap();
    let connection = task::spawn(move || wait(connection));
    // (The long one fills the sockets' buffers, both ways.)
    for long in [1, 10_000, 10] {
        let text = said(number, long);
        let request = Request::builder().method(Method::POST).uri("/").header("host", "localhost");
        let request = request.body(text.clone()).unwrap();
        let response = wait(async {
            sender.ready().await.unwrap();
            let response = sender.send_request(request).await.unwrap();
            assert!(response.status().is_success());
            bytes_of(response.into_body()).await
        });
        assert!(response == backwards(&text).into_bytes(), "{} bytes", response.len());
    }
    drop(sender);
    connection.join().unwrap().unwrap();
}

/// By hand, so that it is not hyper on both ends.
fn ask_by_hand(address: SocketAddr, number: usize) {
    let mut stream = TcpStream::connect(address).unwrap();
    let text = said(number, 3);
    write!(
        stream,
        "POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{text}",
        text.len()
    )
    .unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.ends_with(&backwards(&text)), "{reply}");
}

#[test]
fn http_is_served_by_tasks_and_asked_by_tasks_and_threads() {
    limit(120, || {
        each_runtime_of(&[1, 2, 8], |runtime| {
            let (address, server) = serve(runtime);
            let mut clients = task::JoinSet::new();
            for number in 0..4 {
                clients.add(runtime.spawn(move || ask(address, number)));
                clients.add(runtime.spawn(move || ask_by_hand(address, number)));
            }
            std::thread::scope(|scope| {
                scope.spawn(|| ask(address, 100));
                scope.spawn(|| ask_by_hand(address, 101));
            });
            while let Some(result) = clients.join_next() {
                result.unwrap();
            }
            server.cancel();
            server.join().unwrap();
        });
    });
}
