//! Host names are looked up in many tasks at once, through std and through this project's own call.

use crate::check::Check;
use crate::support::{hop, skip, tasks};
use event_channel::net::lookup_host;
use std::net::ToSocketAddrs;

pub const CHECKS: &[Check] = &[
    Check::new("getaddrinfo_works_in_tasks", getaddrinfo_works_in_tasks),
    Check::new("lookup_host_works_in_tasks", lookup_host_works_in_tasks),
];

fn getaddrinfo_works_in_tasks() {
    // In tasks first, so that it is they who load what the resolver needs.
    tasks(60, |i| {
        let port = 1000 + i as u16;
        for _ in 0..5 {
            hop();
            if let Ok(mut found) = ("localhost", port).to_socket_addrs() {
                assert!(found.len() > 0 && found.all(|one| one.ip().is_loopback() && one.port() == port));
            }
            // Read by getaddrinfo as well, without a name service.
            let numeric: Vec<_> = ("127.0.0.9", port).to_socket_addrs().expect("a number").collect();
            assert_eq!(numeric, [([127, 0, 0, 9], port).into()]);
        }
    });
    if ("localhost", 1).to_socket_addrs().is_err() {
        skip("this machine does not know localhost");
    }
}

fn lookup_host_works_in_tasks() {
    if ("localhost", 1).to_socket_addrs().is_err() {
        skip("this machine does not know localhost");
    }
    tasks(60, |i| {
        for _ in 0..5 {
            hop();
            let mut found = lookup_host(&format!("localhost:{}", 1000 + i)).expect("localhost");
            assert!(found.all(|one| one.ip().is_loopback() && usize::from(one.port()) == 1000 + i));
            assert!(lookup_host("localhost").expect("localhost").all(|one| one.ip().is_loopback()));
        }
    });
}
