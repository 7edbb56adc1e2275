//! poll(2) as a selector: for any Unix. Each wait hands the whole list over, so it costs as much as there are descriptors.
//!
//! Nothing outlives a wait, so nothing has to be registered, and there is nothing whose readability would tell of the rest.

use super::selector::{Armed, Report, Selector};
use crate::sys;
use crate::waker::Waker;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

const NOWHERE: u32 = u32::MAX;

pub(super) struct Poll {
    waker: Arc<Waker>,
    /// The bell first, then what is armed, in no order.
    asked: Vec<libc::pollfd>,
    /// By descriptor number: where it is in the list.
    places: Vec<u32>,
}

impl Poll {
    pub(super) fn new(waker: Arc<Waker>) -> io::Result<Self> {
        let bell = waker.hang_pipe()?;
        let bell = libc::pollfd { fd: bell.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        Ok(Self { waker, asked: vec![bell], places: Vec::new() })
    }

    fn place(&mut self, fd: RawFd) -> &mut u32 {
        let at = fd as usize;
        if self.places.len() <= at {
            self.places.resize(at + 1, NOWHERE);
        }
        &mut self.places[at]
    }
}

impl Selector for Poll {
    fn arm(&mut self, fd: RawFd, events: i16) -> io::Result<Armed> {
        let end = self.asked.len() as u32;
        match *self.place(fd) {
            NOWHERE => {
                *self.place(fd) = end;
                self.asked.push(libc::pollfd { fd, events, revents: 0 });
            }
            at => self.asked[at as usize].events = events,
        }
        Ok(Armed::Once)
    }

    fn disarm(&mut self, fd: RawFd) {
        let at = std::mem::replace(self.place(fd), NOWHERE);
        if at == NOWHERE {
            return;
        }
        self.asked.swap_remove(at as usize);
        if let Some(moved) = self.asked.get(at as usize).map(|it| it.fd) {
            *self.place(moved) = at;
        }
    }

    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Report>) -> io::Result<()> {
        let n = sys::poll(&mut self.asked, timeout)?;
        if n > 0 && self.asked[0].revents != 0 {
            self.waker.hush()?;
        }
        let told = self.asked[1..].iter().filter(|it| it.revents != 0).take(n);
        let first = ready.len();
        ready.extend(told.map(|it| Report { fd: it.fd, registration: 0, revents: it.revents }));
        // Each is told once.
        for it in &ready[first..] {
            self.disarm(it.fd);
        }
        Ok(())
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
