//! io_uring in its plain mode: any thread that holds the port's lock may submit and reap.
//!
//! Some modes tie a ring to one thread (SINGLE_ISSUER, DEFER_TASKRUN). They would be up to 5 % quicker, but such a ring
//! can never be handed to another thread.
//!
//! A request belongs to the thread that submitted it. When that thread exits, the request ends in ECANCELED once its
//! event fires. The port then submits it again.

#![allow(unsafe_code)]

use super::at_exit;
use super::backend::{Backend, Done};
use super::cancels::Cancels;
use super::no_ring;
use super::parted::Parted;
use super::submitters;
use crate::fork;
use crate::luck::Luck;
use crate::operation::{AtExit, OpId, RawOp};
use crate::waker::Waker;
use io_uring::{IoUring, cqueue, opcode, squeue, types};
use std::collections::VecDeque;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Ids with generation 0 are the driver's own: two bits say what it is, the others which.
const WAKE: u64 = Waker::MESSAGE;
const CANCEL: u64 = 2;
const KIND_BITS: u32 = 2;
const OWN: std::ops::Range<u64> = 0..1 << 32;
const GET_EVENTS: u32 = 1;
const SUBMISSIONS: usize = 128;
const FEWEST: usize = 8;
/// As many as the kernel makes.
const MOST: usize = 32_768;
/// So many for each submission, as far as the kernel makes them. It keeps what does not fit (NODROP) and hands it over later.
const COMPLETIONS: usize = 8;

pub(crate) struct Uring {
    ring: ManuallyDrop<IoUring>,
    waker: Arc<Waker>,
    /// Entries for which the submission queue had no room; none is ever dropped.
    backlog: VecDeque<squeue::Entry>,
    /// What was put into the submission queue last, as many as it has room for; and how many ever were.
    put: Box<[u64]>,
    puts: usize,
    /// The ring's descriptor may be somebody else's by now.
    failed: bool,
    /// The waker sends messages to the ring.
    told: bool,
    /// Else: the poll request on the waker's descriptor, if it is out, and the thread whose it is.
    listening: Option<(u64, usize)>,
    /// How many of them there were.
    listened: u64,
    /// The waker has rung, and nobody has gone without sleep for it yet.
    rung: bool,
    place: Option<usize>,
    /// (Goes before the ring does.)
    exit: ManuallyDrop<at_exit::Place>,
    cancels: Cancels,
    parted: Parted,
    /// Requests that are kept here, since the process ends. They are never done.
    kept: Vec<u64>,
    /// What came of requests that the ring has no part in.
    settled: Vec<Done>,
    /// Of tries by a call, before the ring is asked.
    luck: Luck,
}

impl Uring {
    /// With so many places for submissions.
    pub(crate) fn new(waker: Arc<Waker>, depth: Option<usize>) -> io::Result<Self> {
        let mut ring = build(depth.unwrap_or(SUBMISSIONS))?;
        no_ring::check(&ring)?;
        let told = waker.send_to(Some(ring.as_raw_fd()));
        if !told {
            waker.hang_bell()?;
        }
        // (The message that was sent to try it.)
        ring.completion().for_each(drop);
        let place = fork::register(ring.as_raw_fd());
        let exit = ManuallyDrop::new(at_exit::Place::new(ring.as_raw_fd()));
        Ok(Self {
            put: vec![0; ring.params().sq_entries() as usize].into_boxed_slice(),
            puts: 0,
            failed: false,
            ring: ManuallyDrop::new(ring),
            waker,
            backlog: VecDeque::new(),
            told,
            listening: None,
            listened: 0,
            rung: false,
            place,
            exit,
            cancels: Cancels::default(),
            parted: Parted::default(),
            kept: Vec::new(),
            settled: Vec::new(),
            luck: Luck::default(),
        })
    }

    fn push(&mut self, entry: squeue::Entry) {
        if self.backlog.is_empty() {
            if self.put(&entry) {
                return;
            }
            submitters::note();
            let _ = self.ring.submit();
            if self.put(&entry) {
                return;
            }
        }
        self.backlog.push_back(entry);
    }

    /// Into the submission queue, if there is room.
    fn put(&mut self, entry: &squeue::Entry) -> bool {
        // SAFETY: what the entry points to is kept valid under the contract of `Backend::submit`.
        let has_room = unsafe { self.ring.submission().push(entry) }.is_ok();
        if has_room {
            // (Its length is a power of two.)
            let at = self.puts & (self.put.len() - 1);
            self.put[at] = entry.get_user_data();
            self.puts = self.puts.wrapping_add(1);
        }
        has_room
    }

    /// The requests that the kernel has not taken yet.
    fn not_taken(&mut self) -> Vec<u64> {
        let queued = self.ring.submission().len();
        let last = (1..=queued).map(|n| self.put[self.puts.wrapping_sub(n) & (self.put.len() - 1)]);
        let later = self.backlog.iter().map(squeue::Entry::get_user_data);
        last.chain(later).filter(|id| !OWN.contains(id)).collect()
    }

    fn drain_backlog(&mut self) {
        while let Some(entry) = self.backlog.pop_front() {
            if self.put(&entry) {
                continue;
            }
            self.backlog.push_front(entry);
            if !matches!(self.ring.submit(), Ok(n) if n > 0) {
                return;
            }
        }
    }

    /// Before Linux 6.13. The bell's completion is the work of the thread that asked for it: that should be the one that sleeps, not one that
    /// computes, or is stuck in the kernel, by now.
    fn listen(&mut self) {
        if self.told {
            return;
        }
        let me = this_thread();
        match self.listening {
            Some((_, listener)) if listener == me => return,
            Some((old, _)) => self.push(opcode::PollRemove::new(old).build().user_data(CANCEL)),
            None => {}
        }
        self.listened += 1;
        let id = ((self.listened << KIND_BITS) | WAKE) % OWN.end;
        self.listening = Some((id, me));
        let fd = types::Fd(self.waker.as_fd().as_raw_fd());
        self.push(opcode::PollAdd::new(fd, libc::POLLIN as u32).multi(true).build().user_data(id));
    }

    fn ask_to_cancel(&mut self, id: u64) {
        let which = u64::from(OpId::from_u64(id).slot()) << KIND_BITS;
        self.push(opcode::AsyncCancel::new(id).build().user_data(which | CANCEL));
    }

    /// Once more for those that were not found a moment ago, if they have not ended by themselves.
    #[cold]
    fn cancel_again(&mut self) {
        for id in self.cancels.take_due() {
            self.ask_to_cancel(id);
        }
    }

    fn reap(&mut self, done: &mut Vec<Done>) {
        for entry in self.ring.completion() {
            let id = entry.user_data();
            if !OWN.contains(&id) {
                let result = || self.cancels.result(id, entry.result());
                done.extend(self.parted.result(id, entry.flags(), result).map(|result| (id, result)));
            } else if id & ((1 << KIND_BITS) - 1) == CANCEL {
                if matches!(-entry.result(), libc::ENOENT | libc::EALREADY) {
                    self.cancels.not_found((id >> KIND_BITS) as u32);
                }
            } else if id & ((1 << KIND_BITS) - 1) == WAKE {
                self.rung = true;
                // The kernel may end a multishot poll, for one when its submitter exits.
                self.listening = self.listening.filter(|&(now, _)| now != id || cqueue::more(entry.flags()));
            }
        }
        done.append(&mut self.settled);
    }
}

impl Backend for Uring {
    unsafe fn submit(&mut self, id: u64, op: *const RawOp, _tried: bool) -> bool {
        // SAFETY: by contract.
        let what = unsafe { RawOp::what(op) };
        let Some(entry) = what.entry() else { return false };
        if what.is_worth_a_try() && self.luck.tries() {
            // SAFETY: by contract.
            match what.blocking().and_then(|it| unsafe { it.at_once() }) {
                Some(result) => {
                    self.luck.was_good();
                    self.settled.push((id, result));
                    return true;
                }
                None => self.luck.was_bad(),
            }
        }
        let _publishing = match what.at_exit() {
            AtExit::Nothing => None,
            AtExit::Accept => match self.exit.begin_accept() {
                Some(publishing) => Some(publishing),
                None => {
                    self.kept.push(id);
                    return true;
                }
            },
            AtExit::IfKept(fd) if at_exit::keeps(fd) => {
                self.kept.push(id);
                return true;
            }
            AtExit::IfKept(_) => None,
        };
        self.push(entry.user_data(id));
        true
    }

    unsafe fn await_readiness(&mut self, id: u64, fd: RawFd, events: i16) {
        if at_exit::keeps(fd) {
            return self.kept.push(id);
        }
        self.push(opcode::PollAdd::new(types::Fd(fd), u32::from(events as u16)).build().user_data(id));
    }

    unsafe fn cancel(&mut self, id: u64, op: *const RawOp) {
        if let Some(at) = self.kept.iter().position(|kept| *kept == id) {
            self.settled.push((self.kept.swap_remove(at), -libc::ECANCELED));
            return;
        }
        if self.failed || self.parted.contains(id) {
            // It comes back when the kernel gives it back.
            return;
        }
        self.cancels.begin(id, op);
        self.ask_to_cancel(id);
    }

    fn poll(&mut self, timeout: Option<Duration>, done: &mut Vec<Done>) -> io::Result<()> {
        submitters::note();
        self.drain_backlog();
        if self.cancels.due().is_some() {
            self.cancel_again();
        }
        let before = done.len();
        // It rings once for a sleep: whoever takes that completion must not go to sleep on it.
        self.reap(done);
        let wait = !std::mem::take(&mut self.rung) && done.len() == before && timeout != Some(Duration::ZERO);
        if wait {
            self.listen();
        }
        let result = if wait && self.backlog.is_empty() {
            let span = timeout.map(|t| types::Timespec::from(t.min(Duration::from_secs(1 << 31))));
            let mut args = types::SubmitArgs::new();
            if let Some(span) = &span {
                args = args.timespec(span);
            }
            self.ring.submitter().submit_with_args(1, &args)
        } else if self.ring.submission().cq_overflow() || self.ring.submission().taskrun() {
            let queued = self.ring.submission().len() as u32;
            // SAFETY: no argument is passed. IORING_ENTER_GETEVENTS makes the kernel hand over what it kept, and do
            // what this thread's requests still need.
            unsafe { self.ring.submitter().enter::<libc::sigset_t>(queued, 0, GET_EVENTS, None) }
        } else if self.ring.submission().is_empty() {
            Ok(0)
        } else {
            self.ring.submit()
        };
        self.reap(done);
        self.rung &= !wait;
        match result {
            Ok(_) => Ok(()),
            Err(e) => match e.raw_os_error() {
                // Over time; a signal; the kernel wants its completions reaped first, or is short of memory:
                // what is queued stays queued.
                Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
                _ => Err(e),
            },
        }
    }

    fn glance(&mut self, done: &mut Vec<Done>) -> io::Result<()> {
        self.reap(done);
        Ok(())
    }

    fn flush(&mut self) -> bool {
        submitters::note();
        self.listen();
        self.drain_backlog();
        if !self.ring.submission().is_empty() {
            // What is not taken now stays in the queue, and shows below.
            let _ = self.ring.submit();
        }
        let nothing_left = self.backlog.is_empty() && self.ring.submission().is_empty();
        nothing_left && self.settled.is_empty() && self.ring.completion().is_empty()
    }

    fn fail(&mut self, errno: i32, done: &mut Vec<Done>) -> bool {
        self.failed = true;
        self.reap(done);
        // What is in the submission queue stays there: nobody calls io_uring_enter for this ring any more, not even at the process's end.
        let ids = self.not_taken();
        done.extend(ids.into_iter().chain(self.kept.drain(..)).map(|id| (id, -errno)));
        done.append(&mut self.settled);
        self.backlog.clear();
        self.cancels.ask_no_more();
        fork::forget(self.place.take());
        // SAFETY: it is not used after: nothing is submitted any more, and a ring that has failed is not dropped.
        unsafe { ManuallyDrop::drop(&mut self.exit) };
        true
    }

    fn due(&self) -> Option<Instant> {
        self.cancels.due()
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        // SAFETY: the ring keeps its descriptor open as long as it lives, and it lives as long as self.
        Some(unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) })
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        // In a forked child the ring's memory is not mapped, and its descriptor has been closed.
        // (One that has failed stays mapped: the kernel may still write there.)
        if !fork::is_child() && !self.failed {
            fork::forget(self.place);
            self.waker.send_to(None);
            // SAFETY: neither is used after.
            unsafe {
                ManuallyDrop::drop(&mut self.exit);
                ManuallyDrop::drop(&mut self.ring);
            }
        }
    }
}

/// Tells living threads apart.
fn this_thread() -> usize {
    thread_local!(static HERE: u8 = const { 0 });
    HERE.with(|here| std::ptr::from_ref(here) as usize)
}

/// The flags only save work; an older kernel refuses those it does not know. COOP_TASKRUN: what is to be done for a
/// request when its event has come is done when its thread enters the kernel anyway, or is interrupted by the
/// clock at the latest, in place of an interrupt for each.
fn build(depth: usize) -> io::Result<IoUring> {
    if depth > MOST {
        let what = format!("a submission queue of {depth} entries is more than the {MOST} that io_uring has");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    let submissions = depth.max(FEWEST).next_power_of_two();
    let completions = (submissions * COMPLETIONS).min(2 * MOST);
    let with = |flags: u32| {
        let mut b = IoUring::builder();
        b.setup_cqsize(completions as u32).dontfork();
        if flags >= 1 {
            b.setup_submit_all();
        }
        if flags >= 2 {
            b.setup_coop_taskrun().setup_taskrun_flag();
        }
        if flags >= 3 {
            b.setup_no_sqarray();
        }
        b.build(submissions as u32)
    };
    let mut flags = 3;
    loop {
        match with(flags) {
            Err(e) if flags > 0 && e.raw_os_error() == Some(libc::EINVAL) => flags -= 1,
            built => return built.map_err(|e| no_ring::why_not(&e)),
        }
    }
}
