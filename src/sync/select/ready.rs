//! Readiness of descriptors.
//!
//! An arm asks the channel of the runtime for it, and takes that back before the select returns: the descriptor is borrowed so long.
//!
//! What comes of it is told where the port is driven, and waits for no worker: they may all be busy with the caller, who waits here on a
//! thread of theirs, or holds what they wait for. The event is dropped by the caller.
//!
//! This file has `unsafe` in it: that descriptor, and the handler that is called there.

#![allow(unsafe_code)]

use super::super::base::first::{Among, Arm, Inside, Stood};
use super::super::base::said::{Kind, What};
use super::Operation;
use crate::channel::{Event, EventId, Interest, Request};
use crate::runtime::with_pool_or;
use crate::waiter::Waiter;
use ec_pool::PoolHandle;
use ec_tasks::WaitKind;
use ec_tasks::lock::Mutex;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::slice;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two looks whether the runtime has stopped meanwhile.
const LOOKS: Duration = Duration::from_millis(2);

static GIVE_UP: WaitKind =
    WaitKind { name: "select", cancel: None, describe: |_, fd| format!("giving up readiness of fd {fd}") };

/// Comes when there is something to read, a connection to accept, or the end. Nothing is read: the call that does it may find that
/// somebody else was quicker, and wait.
///
/// Of anything that has a descriptor that can be polled: a socket, a pipe, a terminal. (A regular file is always ready.) A readiness that
/// somebody else has brought about is seen as well, whatever reads it.
///
/// Gives an error if the descriptor cannot be polled (`EBADF`: one that was opened with `O_PATH`), or if there is no runtime to do it. What
/// waits does so in the channel of the runtime that the caller is in; outside of any in that of the default one.
///
/// ```
/// use event_channel::net::{TcpListener, TcpStream};
/// use event_channel::sync::{Notification, select};
/// use std::io::{Read, Write};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let mut near = TcpStream::connect(listener.local_addr()?)?;
/// let (mut far, _) = listener.accept()?;
/// let stop = Notification::new();
///
/// near.write_all(b"hello")?;
/// select! {
///     wait_readable(&far) -> ready => ready?,
///     wait(&stop) => unreachable!(),
/// }?;
/// let mut buffer = [0; 16];
/// assert_eq!(far.read(&mut buffer)?, 5);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn wait_readable<S: AsFd + ?Sized>(source: &S) -> impl Operation<Output = io::Result<()>> + '_ {
    Ready::new(source.as_fd(), Interest::READABLE, libc::POLLIN)
}

/// As [`wait_readable`]: when something can be written, or a connection has come about.
pub fn wait_writable<S: AsFd + ?Sized>(source: &S) -> impl Operation<Output = io::Result<()>> + '_ {
    Ready::new(source.as_fd(), Interest::WRITABLE, libc::POLLOUT)
}

struct Ready<'a> {
    fd: BorrowedFd<'a>,
    interest: Interest,
    events: i16,
    output: Option<io::Result<()>>,
    asked: Option<Asked>,
}

/// A request that is on its way, or has come back.
struct Asked {
    answer: Arc<Answer>,
    pool: PoolHandle,
    id: EventId,
}

struct Answer {
    /// Told when nothing of the request is there any more.
    waiter: Arc<Waiter>,
    event: Mutex<Option<Event>>,
}

impl Asked {
    fn take(&self) -> Option<io::Result<()>> {
        let is_over = self.answer.waiter.is_told();
        let event = self.answer.event.lock().take();
        let result = event.map(|event| event.result().map(drop));
        match result {
            // Nobody has given it up: its channel was shut down with it. (Or closed, and nothing came of it.)
            Some(Err(error)) if error.raw_os_error() == Some(libc::ECANCELED) => {
                Some(Err(self.pool.channel().end_error()))
            }
            None if is_over => Some(Err(self.pool.channel().end_error())),
            result => result,
        }
    }
}

/// What the request has of the descriptor.
struct Borrowed(RawFd);

impl AsFd for Borrowed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: it is open as long as this is there: `Ready` borrows it, and waits for the end of the request that has this, in `finish`.
        unsafe { BorrowedFd::borrow_raw(self.0) }
    }
}

/// Goes with the handler of the request, whatever becomes of that: it may never be called.
struct Tells(Arc<Answer>);

impl Drop for Tells {
    fn drop(&mut self) {
        self.0.waiter.tell();
    }
}

impl<'a> Ready<'a> {
    fn new(fd: BorrowedFd<'a>, interest: Interest, events: i16) -> Self {
        Ready { fd, interest, events, output: None, asked: None }
    }

    fn try_now(&self) -> Option<io::Result<()>> {
        let mut ask = libc::pollfd { fd: self.fd.as_raw_fd(), events: self.events, revents: 0 };
        match ec_channel::poll(slice::from_mut(&mut ask), Some(Duration::ZERO)) {
            // (After an interruption it is asked again, by the request.)
            Ok(_) if ask.revents & libc::POLLNVAL != 0 => {
                Some(Err(io::Error::from_raw_os_error(libc::EBADF)))
            }
            Ok(_) => (ask.revents != 0).then_some(Ok(())),
            Err(error) => Some(Err(error)),
        }
    }

    fn ask(&mut self, inside: Inside<'_>) -> io::Result<()> {
        let over = || io::Error::other("the runtime has been shut down");
        let pool = with_pool_or("readiness cannot be waited for", |pool| pool.handle().ok_or_else(over))?;
        let answer =
            Arc::new(Answer { waiter: Waiter::of(inside.sleeper().clone()), event: Mutex::new(None) });
        let tells = Tells(answer.clone());
        let source = Arc::new(Borrowed(self.fd.as_raw_fd()));
        let request = Request::readiness(source, self.interest);
        // SAFETY: it keeps the event, in place of none, and makes a task ready or notifies a thread.
        let request = unsafe {
            request.on_complete_at_once(move |_, event| {
                tells.0.event.lock().replace(event);
                tells.0.waiter.tell();
            })
        };
        let id = pool.channel().post(request)?;
        self.asked = Some(Asked { answer, pool, id });
        Ok(())
    }
}

impl Arm for Ready<'_> {
    fn attempt(&mut self) -> bool {
        self.output = match &self.asked {
            Some(asked) => asked.take(),
            None => self.try_now(),
        };
        self.output.is_some()
    }

    fn what(&self) -> Option<What> {
        let kind = if self.interest == Interest::READABLE { Kind::Readable } else { Kind::Writable };
        Some(What::new(kind, u64::from(self.fd.as_raw_fd().unsigned_abs())))
    }

    fn prepare(&mut self, inside: Inside<'_>) -> bool {
        self.output = self.ask(inside).err().map(Err);
        self.output.is_some()
    }

    fn stand(&mut self, among: &Among<'_>, inner: &mut dyn FnMut(&Among<'_>)) -> Stood {
        match &self.asked {
            Some(asked) => inner(&among.with(&|| asked.answer.waiter.is_told())),
            None => inner(among),
        }
        Stood::Idle
    }

    fn finish(&mut self) {
        if let Some(asked) = self.asked.take() {
            asked.pool.channel().cancel(asked.id);
            // (No point, and no deadline: until it is told. Nobody but the caller may drive the port, if the runtime has stopped.)
            let fd = self.fd.as_raw_fd() as u64;
            loop {
                let soon = Instant::now() + LOOKS;
                if !matches!(asked.answer.waiter.wait(&GIVE_UP, fd, Some(soon), false), Ok(false)) {
                    break;
                }
                asked.pool.drive_if_stopped();
            }
            // (It has what has the answer.)
            drop(asked.take());
        }
    }
}

impl Operation for Ready<'_> {
    type Output = io::Result<()>;

    fn output(&mut self) -> Option<io::Result<()>> {
        self.output.take()
    }
}
