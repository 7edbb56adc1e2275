//! Something that the application says to itself.

#![allow(unsafe_code)]

use super::EventKind;
use crate::events::body::Kept;
use crate::events::inside::Inside;
use crate::events::request::Request;
use crate::events::stream::{Flow, GivenBack, Origin};
use crate::fork;
use crate::operation::{Carry, Class, Line, Readiness, Verdict, is_interrupted};
use crate::posts::Posts;
use crate::sys::eventfd::Eventfd;
use io_uring::{opcode, squeue, types};
use std::fmt;
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Instant;

impl Request {
    /// Complete as it is posted: one thread that waits in `get_event` (now or later) gets it. Nothing is allocated for one without context
    /// and handler.
    pub fn notification() -> Self {
        Self(Inside::bare(EventKind::Notification as u8))
    }

    /// For a notification without handler: everyone who waits when it is posted gets a copy, once (with the same id and token; the context
    /// is one's alone); if nobody does, the next one gets it.
    ///
    /// A call of `get_event` waits from the moment that it has found nothing until it has something to return, in all its forms but
    /// `try_get_event`. So one that a copy is for already waits no longer: it gets none of what is posted before it has returned with that.
    /// The copy of a call that ends otherwise (its task never runs again, say) goes with it; at its time-out, or cancelled, it returns
    /// the copy.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// const RELOAD: u64 = 1;
    /// let channel = EventChannel::new()?;
    /// std::thread::scope(|scope| {
    ///     for number in 0..4 {
    ///         let channel = &channel;
    ///         scope.spawn(move || {
    ///             while let Ok(event) = channel.get_event() {
    ///                 if event.token() == RELOAD {
    ///                     println!("thread {number} reads the settings anew");
    ///                 }
    ///             }
    ///         });
    ///     }
    ///     // Each of those that wait by now is told.
    ///     channel.post(Request::notification().token(RELOAD).wake_all()).unwrap();
    ///     channel.shutdown(); // what is complete is still got
    /// });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn wake_all(mut self) -> Self {
        self.0.set_wakes_all();
        self
    }
}

/// Posts from signal handlers: see [`Request::signal_posts`].
pub struct SignalPoster(Arc<Posts<Eventfd>>);

impl SignalPoster {
    /// Its stream gives one event for this. May be called in a signal handler, and anywhere else: it takes no lock, allocates nothing, and
    /// leaves `errno` as it was (one addition to an atomic, one write(2) that does not block). It does not suspend. In a forked child it
    /// does nothing.
    pub fn post(&self) {
        if !fork::is_child() {
            self.0.post();
        }
    }
}

impl Drop for SignalPoster {
    fn drop(&mut self) {
        if !fork::is_child() {
            self.0.end();
        }
    }
}

impl fmt::Debug for SignalPoster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignalPoster").finish_non_exhaustive()
    }
}

/// Waits until something was posted.
struct Await(Arc<Posts<Eventfd>>);

impl Await {
    fn fd(&self) -> RawFd {
        self.0.bell.fd()
    }
}

static POSTS: Class = Class::new();

// SAFETY: it touches the counter and the bell, which it holds.
unsafe impl Carry for Await {
    fn waits_for(&self) -> Option<Readiness> {
        Some(Readiness { fd: self.fd(), interest: libc::POLLIN, line: Line::new(&POSTS, 0) })
    }

    fn entry(&self) -> Option<squeue::Entry> {
        Some(opcode::PollAdd::new(types::Fd(self.fd()), libc::POLLIN as u32).build())
    }

    unsafe fn attempt(&self, _revents: i16) -> Option<i32> {
        self.0.is_due().then_some(0)
    }

    unsafe fn last_attempt(&self) -> Option<i32> {
        self.0.is_due().then_some(0)
    }

    fn is_attempted_at_last(&self) -> bool {
        true
    }

    fn judge(&self, result: i32) -> Verdict {
        if is_interrupted(-result) { Verdict::Again } else { Verdict::Final }
    }

    fn judge_success(&self, _result: i32) -> Verdict {
        if self.0.is_due() { Verdict::Final } else { Verdict::Again }
    }
}

struct SignalPosts {
    flow: Flow,
    operation: Await,
}

impl Kept for SignalPosts {
    fn kind(&self) -> u8 {
        EventKind::Notification as u8
    }

    fn flow(&mut self) -> Option<&mut Flow> {
        Some(&mut self.flow)
    }

    fn point(&mut self) -> *const dyn Carry {
        &raw const self.operation
    }

    fn item(&mut self, _result: i32, _now: Instant, origin: &Origin<'_>) -> Result<Inside, i32> {
        match self.operation.0.take() {
            true => Ok(origin.item(self.kind(), &self.flow, ())),
            // The poster has gone, and all has come.
            false => Err(0),
        }
    }
}

impl Request {
    /// For signal handlers, which may not do what [`post`](crate::EventChannel::post) does: a poster, and a stream, to be posted as any
    /// other request, that gives one event for each of its posts. Posts made before the stream is posted come as well. When the poster is
    /// dropped, and all has come, the stream ends without an error. If it is cancelled before, or over its time limit, one more
    /// may come, and then the last event.
    ///
    /// # Errors
    /// The system has no descriptor left (it takes one).
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request, SignalPoster};
    /// # use std::sync::OnceLock;
    /// static HANGUPS: OnceLock<SignalPoster> = OnceLock::new();
    /// extern "C" fn on_hangup(_signal: i32) {
    ///     if let Some(poster) = HANGUPS.get() {
    ///         poster.post();
    ///     }
    /// }
    /// let channel = EventChannel::new()?;
    /// let (poster, posts) = Request::signal_posts()?;
    /// HANGUPS.get_or_init(|| poster);
    /// channel.post(posts.token(7))?;
    /// // SAFETY: the handler does nothing but post.
    /// unsafe { libc::signal(libc::SIGHUP, on_hangup as extern "C" fn(i32) as usize) };
    /// // SAFETY: no pointer is passed.
    /// unsafe { libc::raise(libc::SIGHUP) };
    /// assert_eq!(channel.get_event()?.token(), 7);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn signal_posts() -> io::Result<(SignalPoster, Request)> {
        let posts = Arc::new(Posts::new(Eventfd::new()?));
        let stream = SignalPosts { flow: Flow::new(GivenBack::Fetched), operation: Await(posts.clone()) };
        Ok((SignalPoster(posts), Request::of(stream)))
    }
}
