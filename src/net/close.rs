//! Closing a connection that lingers.
//!
//! With `SO_LINGER` close(2) waits until the peer has what was sent. That wait ends at once when the kernel has anything
//! else for the thread to do, and a thread that has requests in a ring is given their completions. So a thread that has
//! none closes the socket. Whoever wants it closed waits for that thread: a task is suspended.
//!
//! What is never told to linger is closed in place, and is not asked. A socket gets the option only through its
//! descriptor, or from the listener that it comes from ([`Mode::given_out`](super::mode::Mode::given_out)).

use ec_pool::wait;
use ec_tasks::{Tokens, WaitKind};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

static CLOSE: WaitKind =
    WaitKind { name: "close", cancel: None, describe: |_, fd| format!("descriptor {fd}, which lingers") };

/// Closes a socket of which others have had the descriptor.
pub(super) fn perhaps_lingering(socket: TcpStream) {
    let linger = socket2::SockRef::from(&socket).linger().ok().flatten();
    if linger.is_none_or(|linger| linger.is_zero()) || ec_tasks::forked() {
        return;
    }
    let fd = socket.as_raw_fd() as u64;
    let closed = Arc::new(AtomicBool::new(false));
    let waiter = ec_tasks::current();
    let body = {
        let (closed, waiter) = (closed.clone(), waiter.clone());
        move || {
            drop(socket);
            closed.store(true, Ordering::Release);
            if let Some(task) = waiter {
                task.wake(Tokens::SYNC);
            }
        }
    };
    // (If there is no thread to be had the socket goes with the body: closed here, for better or worse.)
    let Ok(thread) = ec_tasks::start_thread(std::thread::Builder::new().name("ec-close".into()), body) else {
        return;
    };
    if waiter.is_some() {
        // Not a cancellation point: a drop cannot say that it was cancelled.
        let _ = wait::until(&CLOSE, fd, None, false, &closed);
    } else {
        let _ = thread.join();
    }
}
