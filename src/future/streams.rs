//! Streams for `async` code, and those of `async` code for everybody else: the traits of the crate `futures-io`.
//!
//! This file has `unsafe` in it: a borrow that is returned from a loop.

#![allow(unsafe_code)]

use super::{WakerSlot, wait_cancellable};
use crate::channel::{EventChannel, EventId, Interest, Request};
use crate::net::{Shutdown, TcpStream};
use crate::runtime::with_pool_or;
use futures_io::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite};
use std::fmt;
use std::future::poll_fn;
use std::io::{self, BufRead, Read, Seek, SeekFrom, Write};
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

/// A stream of this crate's for `async` code: it has [`AsyncRead`] and [`AsyncWrite`].
///
/// It may be polled from any executor, on any thread. A poll makes a call that does not wait. If there is nothing to be had it asks the
/// runtime's [channel](crate::Runtime::channel) for readiness; a worker wakes the waker then. The limits of
/// [`set_read_timeout`](TcpStream::set_read_timeout) and a surrounding [`timeout`](crate::time::timeout) do not count for it: it waits as its
/// executor says.
///
/// ```
/// use event_channel::future::{Async, Blocking, wait};
/// use event_channel::net::{TcpListener, TcpStream};
/// use futures_io::AsyncRead;
/// use std::future::poll_fn;
/// use std::io::Write;
/// use std::pin::Pin;
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let mut near = TcpStream::connect(listener.local_addr()?)?;
/// let mut far = Async::new(listener.accept()?.0)?;
///
/// near.write_all(b"hello")?;
/// let mut buffer = [0; 16];
/// let read = wait(poll_fn(|context| Pin::new(&mut far).poll_read(context, &mut buffer)))?;
/// assert_eq!(&buffer[..read], b"hello");
/// # std::io::Result::Ok(())
/// ```
pub struct Async<S> {
    stream: Arc<S>,
    channel: EventChannel,
    readable: Side,
    writable: Side,
}

/// What waits for one kind of readiness.
#[derive(Default)]
struct Side {
    asked: Arc<Asked>,
    /// The request that was posted last.
    posted: Option<EventId>,
}

#[derive(Default)]
struct Asked {
    /// A request for readiness is on its way.
    posted: AtomicBool,
    slot: WakerSlot,
}

impl Side {
    /// It has just been tried, in vain: wakes `context` when it is worth another attempt.
    fn wait<S>(
        &mut self,
        context: &Context<'_>,
        channel: &EventChannel,
        stream: &Arc<S>,
        interest: Interest,
    ) -> io::Result<()>
    where
        Arc<S>: Into<crate::channel::Source>,
    {
        self.asked.slot.set(context.waker());
        // (If one is on its way it finds the waker: it says that it is not before it looks for that.)
        if self.asked.posted.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let asked = self.asked.clone();
        let request = Request::readiness(stream.clone(), interest).on_complete(move |_, event| {
            // (The stream's last reference may go with it: not behind the wake, which may be for that.)
            drop(event);
            asked.posted.store(false, Ordering::Release);
            asked.slot.wake();
        });
        match channel.post(request) {
            Ok(id) => self.posted = Some(id),
            Err(error) => {
                self.asked.posted.store(false, Ordering::Release);
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// What a call that has been `tried` comes to: if it would block the task of `context` is woken when it does not any more.
    fn poll<T, S>(
        &mut self,
        context: &Context<'_>,
        tried: io::Result<T>,
        channel: &EventChannel,
        stream: &Arc<S>,
        interest: Interest,
    ) -> Poll<io::Result<T>>
    where
        Arc<S>: Into<crate::channel::Source>,
    {
        match tried {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                match self.wait(context, channel, stream, interest) {
                    Ok(()) => Poll::Pending,
                    Err(error) => Poll::Ready(Err(error)),
                }
            }
            result => Poll::Ready(result),
        }
    }

    fn give_up(&mut self, channel: &EventChannel) {
        if let Some(id) = self.posted.take() {
            channel.cancel(id);
        }
    }
}

impl Async<TcpStream> {
    /// Waits in the runtime of the caller; outside of any in the default one, which is started if need be. The stream's mode is left alone.
    ///
    /// # Errors
    /// There is no runtime, and none can be made.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        let channel = with_pool_or("a stream cannot be waited for", |pool| Ok(pool.channel().clone()))?;
        let (readable, writable) = Default::default();
        Ok(Async { stream: Arc::new(stream), channel, readable, writable })
    }
}

impl<S> Async<S> {
    /// The stream.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }
}

impl<S> Drop for Async<S> {
    /// The stream is closed when the requests that hold it have come back, which is soon.
    fn drop(&mut self) {
        self.readable.give_up(&self.channel);
        self.writable.give_up(&self.channel);
    }
}

impl<S: fmt::Debug> fmt::Debug for Async<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Async").field(&self.stream).finish()
    }
}

impl AsyncRead for Async<TcpStream> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let Async { stream, channel, .. } = this;
        this.readable.poll(context, stream.read_now(buf), channel, stream, Interest::READABLE)
    }
}

impl AsyncWrite for Async<TcpStream> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let Async { stream, channel, .. } = this;
        this.writable.poll(context, stream.write_now(buf), channel, stream, Interest::WRITABLE)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Shuts down the writing half.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(match self.stream.shutdown(Shutdown::Write) {
            // (The peer has reset it.)
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        })
    }
}

/// Anybody's asynchronous stream for code that blocks: std's [`Read`], [`Write`], [`BufRead`] and [`Seek`], by
/// [`wait_cancellable`]. In a task each call suspends, and is a cancellation point; a plain thread blocks.
///
/// A stream that has its own reactor needs that one: one of tokio's is to be used inside of tokio's context.
///
/// ```
/// use event_channel::future::{Async, Blocking};
/// use event_channel::net::{TcpListener, TcpStream};
/// use std::io::{Read, Write};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let mut near = TcpStream::connect(listener.local_addr()?)?;
/// // (Where it is ours underneath this is a way round, of course.)
/// let mut far = Blocking::new(Async::new(listener.accept()?.0)?);
///
/// far.write_all(b"hello")?;
/// let mut buffer = [0; 5];
/// near.read_exact(&mut buffer)?;
/// assert_eq!(&buffer, b"hello");
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Blocking<S>(S);

impl<S> Blocking<S> {
    /// Around `stream`. One that is not `Unpin` goes into a box: `Blocking::new(Box::pin(stream))`.
    pub fn new(stream: S) -> Self {
        Blocking(stream)
    }

    /// The stream.
    pub fn get_ref(&self) -> &S {
        &self.0
    }

    /// The stream.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.0
    }

    /// The stream.
    pub fn into_inner(self) -> S {
        self.0
    }
}

/// Polls until there is a result, or the caller is to stop.
fn call<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>) -> io::Result<T> {
    wait_cancellable(poll_fn(|context| poll(context)))?
}

impl<S: AsyncRead + Unpin> Read for Blocking<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        call(|context| Pin::new(&mut self.0).poll_read(context, buf))
    }
}

impl<S: AsyncWrite + Unpin> Write for Blocking<S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        call(|context| Pin::new(&mut self.0).poll_write(context, buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        call(|context| Pin::new(&mut self.0).poll_flush(context))
    }
}

impl<S: AsyncWrite + Unpin> Blocking<S> {
    /// Closes the stream: what of it is still to be written is, as far as it can.
    ///
    /// # Errors
    /// The stream's, or that of a cancel or a deadline.
    pub fn close(&mut self) -> io::Result<()> {
        call(|context| Pin::new(&mut self.0).poll_close(context))
    }
}

impl<S: AsyncBufRead + Unpin> BufRead for Blocking<S> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let buffer: *const [u8] = call(|context| {
            Poll::Ready(Ok(ptr::from_ref(ready!(Pin::new(&mut self.0).poll_fill_buf(context))?)))
        })?;
        // SAFETY: that poll, which was the last one, has lent it for a borrow of the stream that may last as long as `self` is borrowed,
        // and so as long as what is returned is in use; nobody else uses the stream meanwhile. (The compiler would have the polls before
        // it last as long, too. To poll once more is no way: the stream need not be ready again.)
        Ok(unsafe { &*buffer })
    }

    fn consume(&mut self, amount: usize) {
        Pin::new(&mut self.0).consume(amount);
    }
}

impl<S: AsyncSeek + Unpin> Seek for Blocking<S> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        call(|context| Pin::new(&mut self.0).poll_seek(context, position))
    }
}
