//! Connections accepted.

use crate::common::each_driver;
use ec_channel::Request;
use ec_test_support::limit;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

#[test]
fn an_accepted_connection_that_nobody_takes_is_closed() {
    limit(30, || {
        each_driver(|channel| {
            let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
            channel.post(Request::accept(listener.clone())).unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            drop(channel.get_event().unwrap());
            assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
        })
    });
}
