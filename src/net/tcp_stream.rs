//! A TCP connection.

use super::addrs::{self, ToSocketAddrs};
use super::handles::handles;
use super::mode::{MOST_AT_ONCE, Mode, Way};
use super::{close, connect, sys};
use socket2::SockRef;
use std::cell::RefCell;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::ManuallyDrop;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;

/// A TCP connection between a local and a remote socket; as [`std::net::TcpStream`].
///
/// Reading and writing suspend the task that does it, or block the plain thread. Several may use one stream at
/// a time through `&TcpStream` or [`try_clone`](Self::try_clone), one reading and one writing for example.
///
/// `write` takes all bytes given, as a blocking send(2) does; fewer only if a timeout, a cancel
/// or an error stops it midway. Dropping the last handle closes the connection. If it is to linger then (`SO_LINGER`,
/// which std does not set), the drop waits as close(2) does: it suspends the task, or blocks the thread.
///
/// ```
/// use event_channel::net::{TcpListener, TcpStream};
/// use std::io::{Read, Write};
///
/// # fn main() -> std::io::Result<()> {
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let mut near = TcpStream::connect(listener.local_addr()?)?;
/// let (mut far, _) = listener.accept()?;
///
/// near.write_all(b"hello")?;
/// let mut buf = [0; 5];
/// far.read_exact(&mut buf)?;
/// assert_eq!(&buf, b"hello");
/// # Ok(())
/// # }
/// ```
pub struct TcpStream {
    /// There until the drop.
    std: ManuallyDrop<std::net::TcpStream>,
    mode: Mode,
}

handles!(TcpStream, std::net::TcpStream);

impl TcpStream {
    /// Opens a connection; of several addresses the first that answers. Suspends the task or blocks the thread.
    ///
    /// # Errors
    /// That of the last address tried; that of a cancel or deadline, which tries no further.
    pub fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<TcpStream> {
        connect::any(&addrs::all(addr)?).map(Self::fresh)
    }

    /// Opens a connection to one address within `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](io::ErrorKind::TimedOut) when the time is over; [`InvalidInput`](io::ErrorKind::InvalidInput)
    /// if `timeout` is zero; otherwise as [`connect`](Self::connect).
    pub fn connect_timeout(addr: &SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
        connect::within(addr, timeout).map(Self::fresh)
    }

    /// The remote address.
    ///
    /// # Errors
    /// As getpeername(2).
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.std.peer_addr()
    }

    /// The local address.
    ///
    /// # Errors
    /// As getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.std.local_addr()
    }

    /// Shuts down the reading half, the writing half, or both, for all handles. Who waits in `read` is woken.
    ///
    /// # Errors
    /// As shutdown(2).
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.std.shutdown(how)
    }

    /// Another handle of the same connection; options set through one hold for both.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn try_clone(&self) -> io::Result<TcpStream> {
        Ok(Self::new(self.std.try_clone()?, self.mode.another()))
    }

    /// Limits each read; it then fails with [`WouldBlock`](io::ErrorKind::WouldBlock). `None`: no limit.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the duration is zero.
    pub fn set_read_timeout(&self, dur: Option<Duration>) -> io::Result<()> {
        self.std.set_read_timeout(dur)?;
        self.mode.set_timeout(Way::In, dur);
        Ok(())
    }

    /// Limits each write; it then returns the bytes written so far or fails with
    /// [`WouldBlock`](io::ErrorKind::WouldBlock). `None`: no limit.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the duration is zero.
    pub fn set_write_timeout(&self, dur: Option<Duration>) -> io::Result<()> {
        self.std.set_write_timeout(dur)?;
        self.mode.set_timeout(Way::Out, dur);
        Ok(())
    }

    /// The read timeout, as the kernel has it.
    ///
    /// # Errors
    /// As getsockopt(2).
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        self.std.read_timeout()
    }

    /// The write timeout, as the kernel has it.
    ///
    /// # Errors
    /// As getsockopt(2).
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        self.std.write_timeout()
    }

    /// Receives without taking the bytes out of the queue. Waits for the first byte as `read` does.
    ///
    /// # Errors
    /// As `read`.
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        let fd = self.std.as_fd();
        self.mode.receive(fd, buf, libc::MSG_PEEK, |buf| self.std.peek(buf))
    }

    /// Turns Nagle's algorithm off (`true`) or on.
    ///
    /// # Errors
    /// As setsockopt(2).
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.std.set_nodelay(nodelay)
    }

    /// Whether Nagle's algorithm is off.
    ///
    /// # Errors
    /// As getsockopt(2).
    pub fn nodelay(&self) -> io::Result<bool> {
        self.std.nodelay()
    }

    /// Sets the time to live of the packets sent.
    ///
    /// # Errors
    /// As setsockopt(2).
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.std.set_ttl(ttl)
    }

    /// The time to live of the packets sent.
    ///
    /// # Errors
    /// As getsockopt(2).
    pub fn ttl(&self) -> io::Result<u32> {
        self.std.ttl()
    }

    /// Takes the socket's pending error (`SO_ERROR`).
    ///
    /// # Errors
    /// As getsockopt(2).
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(self.std.take_error()?.or_else(|| self.mode.take_error()))
    }

    /// With `true`, calls that would wait fail with [`WouldBlock`](io::ErrorKind::WouldBlock) instead, in tasks
    /// as in threads, for all handles. Until somebody calls this, the descriptor's mode is left alone.
    ///
    /// # Errors
    /// As ioctl(2).
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.mode.set_nonblocking(self.std.as_fd(), nonblocking)
    }

    /// As `read`, without waiting: [`WouldBlock`](io::ErrorKind::WouldBlock) then.
    #[cfg(feature = "futures-io")]
    pub(crate) fn read_now(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.mode.take_error().map_or(Ok(()), Err)?;
        self.mode.at_once(|| sys::recv_now(self.std.as_fd(), buf, 0))
    }

    /// As `write`, without waiting: it takes what there is room for.
    #[cfg(feature = "futures-io")]
    pub(crate) fn write_now(&self, buf: &[u8]) -> io::Result<usize> {
        self.mode.take_error().map_or(Ok(()), Err)?;
        let most = buf.len().min(MOST_AT_ONCE);
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        self.mode.at_once(|| SockRef::from(&self.std.as_fd()).send_with_flags(&buf[..most], flags))
    }

    fn new(std: std::net::TcpStream, mode: Mode) -> Self {
        Self { std: ManuallyDrop::new(std), mode }
    }

    fn into_std(self) -> std::net::TcpStream {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: neither is used or dropped again, since `this` is not.
        unsafe {
            std::ptr::drop_in_place(&mut this.mode);
            ManuallyDrop::take(&mut this.std)
        }
    }

    fn fresh(std: std::net::TcpStream) -> Self {
        Self::new(std, Mode::new(sys::Origin::Here))
    }

    pub(super) fn accepted(std: std::net::TcpStream, mode: Mode) -> Self {
        Self::new(std, mode)
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        self.mode.leave();
        // SAFETY: it is not used again.
        let std = unsafe { ManuallyDrop::take(&mut self.std) };
        if self.mode.was_given_out() {
            close::perhaps_lingering(std);
        }
    }
}

impl Read for &TcpStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.mode.receive(self.std.as_fd(), buf, 0, |buf| (&*self.std).read(buf))
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let fd = self.std.as_fd();
        let room: usize = bufs.iter().map(|buf| buf.len()).sum();
        if room == 0 {
            return (&*self.std).read_vectored(bufs);
        }
        let cell = RefCell::new(bufs);
        let n = self.mode.call(
            fd,
            Way::In,
            self.mode.data_likely(),
            || (&*self.std).read_vectored(&mut cell.borrow_mut()),
            || sys::recv_vectored_now(fd, &mut cell.borrow_mut()),
            |later| sys::recv_vectored(fd, &mut cell.borrow_mut(), later),
        )?;
        self.mode.read_filled(n == room);
        Ok(n)
    }
}

impl Write for &TcpStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let fd = self.std.as_fd();
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        self.mode.send_all(
            fd,
            buf.len(),
            || (&*self.std).write(buf),
            |sent| {
                let most = buf.len().min(sent + MOST_AT_ONCE);
                SockRef::from(&fd).send_with_flags(&buf[sent..most], flags)
            },
            |sent, later| sys::send(fd, &buf[sent..], later),
        )
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let fd = self.std.as_fd();
        let total = bufs.iter().map(|buf| buf.len()).sum();
        self.mode.send_all(
            fd,
            total,
            || (&*self.std).write_vectored(bufs),
            |sent| sys::send_vectored_now(fd, bufs, sent),
            |sent, later| sys::send_vectored(fd, bufs, sent, later),
        )
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for TcpStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(bufs)
    }
}

impl Write for TcpStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
