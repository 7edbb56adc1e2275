//! The calls of the table, made so that they come back by themselves. Those that are no points may be tried together; a point is tried alone.

mod channels;
mod locks;
mod net;
mod runtimes;
mod select;
mod sync;
mod tasks;

use crate::net_common::pair;
use event_channel::channel::{Event, EventChannel, LocalChannel, Request};
use event_channel::net::{TcpListener, TcpStream, UdpSocket, lookup_host};
use event_channel::runtime::Handle;
use event_channel::sync::{
    Arc, Barrier, Condvar, LazyLock, Mutex, MutexGuard, Notification, Once, OnceLock, RwLock,
    RwLockWriteGuard, Semaphore,
};
use event_channel::task::{self, Builder, CancelToken, JoinHandle, JoinSet};
use event_channel::time::{self, Duration, Instant};
use event_channel::{Runtime, future, is_cancelled, is_deadline, is_read_timeout};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown};
use std::sync::mpsc;

pub type Call = Box<dyn FnMut() -> io::Result<()>>;

/// Long enough for a wait to begin.
const SHORT: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(3600);
const HERE: &str = "127.0.0.1:0";

fn call(f: impl FnMut() -> io::Result<()> + 'static) -> Call {
    Box::new(f)
}

/// For a call that cannot fail.
fn calls<T>(mut f: impl FnMut() -> T + 'static) -> Call {
    call(move || {
        f();
        Ok(())
    })
}

/// A task that takes a while.
fn child() -> JoinHandle<()> {
    task::spawn(|| time::sleep(SHORT))
}

pub type Row = (&'static [&'static str], fn() -> Call);

/// All of them.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    [net::CALLS, sync::CALLS, locks::CALLS, channels::CALLS, select::CALLS, tasks::CALLS, runtimes::CALLS]
        .into_iter()
        .flatten()
}
