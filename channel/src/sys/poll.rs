//! poll(2), and select(2) where that is refused.
//!
//! poll(2) must not be asked for more descriptors than `RLIMIT_NOFILE` says, however many are open: those of before the limit was lowered
//! stay open, and are of use. (A program that shuts itself in may lower it to 0: then poll(2) says nothing at all.) select(2) has no such
//! limit. It knows of readable and writable only, an error and a hang-up being both or one of them. So what it finds poll(2) is asked for
//! once more, one by one, which goes if the limit is not 0.
//!
//! Where it is, nobody says that a receiving side is shut down, and who waits for urgent data alone hears of no error.

#![allow(unsafe_code)]

use super::{errno, millis, told};
use std::io;
use std::os::fd::RawFd;
use std::slice;
use std::time::Duration;

/// Waits until something of what is `asked` for is there, and gives how much is. A signal ends it: nothing is.
///
/// # Errors
/// The system is short of memory, say.
#[doc(hidden)]
pub fn poll(asked: &mut [libc::pollfd], timeout: Option<Duration>) -> io::Result<usize> {
    match by_either(asked, timeout) {
        Ok(many) => Ok(many),
        Err(libc::EINTR) => Ok(0),
        // (It has no errno then: the limit may be raised again.)
        Err(libc::EINVAL) => {
            let what = "poll(2): more descriptors to wait for than RLIMIT_NOFILE allows";
            Err(io::Error::new(io::ErrorKind::InvalidInput, what))
        }
        Err(errno) => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// Which of `events`, or errors, are there right now; or why there is no telling.
pub(crate) fn ready_now(fd: RawFd, events: i16) -> Result<i16, i32> {
    let mut ask = libc::pollfd { fd, events, revents: 0 };
    match poll(slice::from_mut(&mut ask), Some(Duration::ZERO)) {
        Ok(_) => Ok(ask.revents),
        Err(error) => Err(error.raw_os_error().unwrap_or(libc::EINVAL)),
    }
}

/// What one is told right now who asks for `events`, or minus an errno if there is no telling; `None`: nothing. (What is no descriptor that
/// can be used is not ready, whatever poll(2) calls it.)
pub(crate) fn told_now(fd: RawFd, events: i16) -> Option<i32> {
    match ready_now(fd, events) {
        Ok(revents) => told(revents & !libc::POLLNVAL, events),
        Err(errno) => Some(-errno),
    }
}

/// As [`ready_now`], with all that poll(2) knows of. `None`: it is refused.
pub(crate) fn known_now(fd: RawFd, events: i16) -> Option<i16> {
    let mut ask = libc::pollfd { fd, events, revents: 0 };
    by_poll(slice::from_mut(&mut ask), Some(Duration::ZERO)).ok().map(|_| ask.revents)
}

/// EINVAL: neither goes.
fn by_either(asked: &mut [libc::pollfd], timeout: Option<Duration>) -> Result<usize, i32> {
    match by_poll(asked, timeout) {
        Err(libc::EINVAL) => by_select(asked, timeout).map_err(|errno| match errno {
            libc::EINTR => errno,
            _ => libc::EINVAL,
        }),
        result => result,
    }
}

fn by_poll(asked: &mut [libc::pollfd], timeout: Option<Duration>) -> Result<usize, i32> {
    // SAFETY: a live list, as long as said.
    let n = unsafe { libc::poll(asked.as_mut_ptr(), asked.len() as libc::nfds_t, millis(timeout)) };
    usize::try_from(n).map_err(|_| errno())
}

/// Descriptors by their numbers. (As long as they need: `FD_SETSIZE` is the library's, and not the kernel's.)
struct Set(Vec<libc::c_ulong>);

impl Set {
    /// Those that are asked for one of `events`.
    fn of(asked: &[libc::pollfd], events: i16, len: usize) -> Set {
        let mut set = Set(vec![0; len.div_ceil(libc::c_ulong::BITS as usize)]);
        for it in asked.iter().filter(|it| it.fd >= 0 && it.events & events != 0) {
            let (word, bit) = Set::place(it.fd);
            set.0[word] |= bit;
        }
        set
    }

    fn place(fd: RawFd) -> (usize, libc::c_ulong) {
        let fd = fd as u32;
        ((fd / libc::c_ulong::BITS) as usize, 1 << (fd % libc::c_ulong::BITS))
    }

    fn has(&self, fd: RawFd) -> bool {
        let (word, bit) = Set::place(fd);
        fd >= 0 && self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    fn as_mut_ptr(&mut self) -> *mut libc::fd_set {
        self.0.as_mut_ptr().cast()
    }
}

fn by_select(asked: &mut [libc::pollfd], timeout: Option<Duration>) -> Result<usize, i32> {
    let len = asked.iter().map(|it| it.fd.saturating_add(1)).max().unwrap_or(0).max(0);
    let [mut readable, mut writable, mut urgent] =
        [libc::POLLIN, libc::POLLOUT, libc::POLLPRI].map(|events| Set::of(asked, events, len as usize));
    let time = timeout.map(|time| libc::timespec {
        tv_sec: time.as_secs().min(i32::MAX as u64) as _,
        tv_nsec: time.subsec_nanos() as _,
    });
    let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let (of_in, of_out, of_pri) = (readable.as_mut_ptr(), writable.as_mut_ptr(), urgent.as_mut_ptr());
    // SAFETY: three live sets of at least so many, a live time or null, no signal mask.
    if unsafe { libc::pselect(len, of_in, of_out, of_pri, time, std::ptr::null()) } < 0 {
        return match errno() {
            libc::EBADF => one_by_one(asked),
            errno => Err(errno),
        };
    }
    let mut ready = 0;
    for it in asked {
        it.revents = 0;
        for (set, event) in [(&readable, libc::POLLIN), (&writable, libc::POLLOUT), (&urgent, libc::POLLPRI)]
        {
            it.revents |= if set.has(it.fd) { event } else { 0 };
        }
        if it.revents != 0 {
            // (If that is refused it stays as it is.)
            let _ = by_poll(slice::from_mut(it), Some(Duration::ZERO));
            ready += usize::from(it.revents != 0);
        }
    }
    Ok(ready)
}

/// Some of them are no descriptors that can be used.
fn one_by_one(asked: &mut [libc::pollfd]) -> Result<usize, i32> {
    if let [one] = asked {
        one.revents = libc::POLLNVAL;
        return Ok(1);
    }
    asked.iter_mut().map(|one| by_select(slice::from_mut(one), Some(Duration::ZERO))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::time::Instant;

    fn ask(fd: RawFd, events: i16) -> libc::pollfd {
        libc::pollfd { fd, events, revents: 0 }
    }

    fn said(asked: &[libc::pollfd]) -> Vec<i16> {
        asked.iter().map(|it| it.revents).collect()
    }

    /// Where poll(2) may be asked for one at least, it comes to the same; also of what is no descriptor.
    #[test]
    fn select_says_what_poll_says() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let (silent, _open) = UnixStream::pair().unwrap();
        let (hung_up, peer) = UnixStream::pair().unwrap();
        let file = File::open("/proc/self/exe").unwrap();
        far.write_all(b"x").unwrap();
        drop(peer);
        // (Numbers that nobody else gets, who takes the lowest.)
        let [high, number] = [near.as_raw_fd(), file.as_raw_fd()].map(|fd| {
            // SAFETY: no pointer is passed.
            unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 200) }
        });
        let both = libc::POLLIN | libc::POLLOUT;
        let asked = [
            ask(near.as_raw_fd(), libc::POLLIN),
            ask(near.as_raw_fd(), both | libc::POLLRDHUP),
            ask(-1, both),
            ask(silent.as_raw_fd(), libc::POLLIN | libc::POLLPRI),
            ask(hung_up.as_raw_fd(), both | libc::POLLRDHUP),
            ask(file.as_raw_fd(), both),
            ask(high, libc::POLLIN),
            ask(number, both),
        ];
        for closes in [false, true] {
            if closes {
                // SAFETY: nobody else has it.
                assert_eq!(unsafe { libc::close(number) }, 0);
            }
            let (mut by_both, now) = ([asked, asked], Some(Duration::ZERO));
            let [one, other] = &mut by_both;
            assert_eq!(by_poll(one, now), by_select(other, now));
            assert_eq!(said(one), said(other));
            assert_eq!(other[7].revents, if closes { libc::POLLNVAL } else { both });
        }
        // SAFETY: made above.
        assert_eq!(unsafe { libc::close(high) }, 0);
    }

    #[test]
    fn select_waits_as_long_as_it_is_to() {
        let (silent, mut other) = UnixStream::pair().unwrap();
        let mut asked = [ask(silent.as_raw_fd(), libc::POLLIN)];
        let (begun, span) = (Instant::now(), Duration::from_millis(5));
        assert_eq!(by_select(&mut asked, Some(span)), Ok(0));
        assert!(begun.elapsed() >= span);
        other.write_all(b"x").unwrap();
        assert_eq!((by_select(&mut asked, None), asked[0].revents), (Ok(1), libc::POLLIN));
        assert_eq!(by_select(&mut [], Some(Duration::ZERO)), Ok(0));
    }
}
