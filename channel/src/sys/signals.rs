//! Signals that somebody waits for: the handler, and for whom it counts.
//!
//! ```text
//!  handler(signal) ──► each waiter that wants it: its own count, its bell        shared: each is told
//!                 └──► the pot of the signal, and all of those waiters' bells    exclusive: who takes first
//! ```
//! The handler takes no lock and allocates nothing. Waiters lie in a list that only grows, and are used again: one that has gone wants no
//! signal, and its bell is not closed before the handlers that were at it have left.
//!
//! A handler belongs to one process. In a child that was forked it counts for nobody, since the bells are its parent's, too: there each
//! signal does what it did before somebody here waited for it. (A program that is executed in it knows of no handler anyway.)

#![allow(unsafe_code)]

use super::dispositions::{self, GENERATIONS};
use super::eventfd::{self, Eventfd};
use super::found::{Before, found};
use super::{errno, set_errno};
use crate::fork;
use crate::lock::Mutex;
use crate::occurrences::Occurrences;
use crate::posts::Bell;
use crate::pot::Pot;
use crate::visits::Visits;
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// The greatest number that a signal may have.
pub(crate) const MOST: usize = 64;

type All = [Occurrences; MOST];

const fn none() -> Occurrences {
    Occurrences { count: AtomicU64::new(0), sender: AtomicU64::new(0) }
}

const fn nobody() -> Visits {
    Visits { inside: AtomicU32::new(0) }
}

/// One who waits.
struct Waiter {
    /// The one that was made before.
    next: *const Waiter,
    is_taken: AtomicBool,
    /// A bit for each signal that it wants.
    wants: AtomicU64,
    is_exclusive: AtomicBool,
    bell: AtomicI32,
    /// Those of handlers.
    handlers: Visits,
    own: All,
}

// SAFETY: `next` points to one that lives for ever; all else is atomic.
unsafe impl Send for Waiter {}
// SAFETY: as above.
unsafe impl Sync for Waiter {}

/// The one that was made last.
static WAITERS: AtomicPtr<Waiter> = AtomicPtr::new(ptr::null_mut());
/// What exclusive waiters share.
static POTS: [Pot; MOST] =
    [const { Pot { inside: none(), members: Mutex::new(0), handlers: nobody() } }; MOST];
/// The process whose the waiters are.
static OWNER: AtomicI32 = AtomicI32::new(0);

fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

fn place(signal: i32) -> usize {
    signal as usize - 1
}

fn is_at_home() -> bool {
    // SAFETY: no pointer is passed. (A child that shares the memory knows nothing of `fork`.)
    !fork::is_child() && unsafe { libc::getpid() } == OWNER.load(Ordering::Relaxed)
}

fn waiters() -> impl Iterator<Item = &'static Waiter> {
    // SAFETY: null, or one that lives for ever.
    let first = unsafe { WAITERS.load(Ordering::Acquire).as_ref() };
    // SAFETY: as above.
    std::iter::successors(first, |one| unsafe { one.next.as_ref() })
}

/// Counts an occurrence for those who wait. False: nobody does.
fn count(signal: i32, sender: u64) -> bool {
    let (mut is_heard, place) = (false, place(signal));
    let mut telling = POTS[place].tell(sender);
    for waiter in waiters() {
        waiter.handlers.enter();
        if waiter.wants.load(Ordering::SeqCst) & bit(signal) != 0 {
            is_heard = true;
            telling.one(&waiter.own[place], &waiter.is_exclusive);
            eventfd::ring(waiter.bell.load(Ordering::SeqCst));
        }
        waiter.handlers.leave();
    }
    is_heard
}

/// Handles a signal for those who wait, and then as it was handled before. `G`: how many others of these there are below it.
pub(super) extern "C" fn handle<const G: usize>(
    signal: i32,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    let errno = errno();
    // SAFETY: the kernel, or a handler that was called in our place, gives what sigaction(2) says.
    let sender = unsafe { info.as_ref() }.map_or(UNKNOWN, sender);
    let is_at_home = is_at_home();
    // (A child of fork(2) has a memory of its own.)
    let before = found(signal, G).take(signal, G, !is_at_home && !fork::is_child());
    let is_heard = is_at_home && dispositions::is_newest(signal, G) && count(signal, sender);
    match before {
        Before::Default if !is_at_home => dispositions::do_default_in_child(signal, G),
        Before::Default if !is_heard => dispositions::do_default(signal, G),
        Before::Default | Before::Ignored => {}
        Before::Plain(handler) => handler(signal),
        Before::WithInfo(handler) => handler(signal, info, context),
    }
    set_errno(errno);
}

pub(super) type Handler = extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void);
/// The same, each with another address.
pub(super) static HANDLERS: [Handler; GENERATIONS] =
    [handle::<0>, handle::<1>, handle::<2>, handle::<3>, handle::<4>, handle::<5>, handle::<6>, handle::<7>];

/// In one word: it is not 0; is the sender known; and the numbers of his process and user.
const UNKNOWN: u64 = 1 << 63;
const KNOWN: u64 = UNKNOWN | 1 << 62;

fn sender(info: &libc::siginfo_t) -> u64 {
    let by_a_process =
        matches!(info.si_code, libc::SI_USER | libc::SI_QUEUE | libc::SI_TKILL | libc::SI_MESGQ);
    let of_a_child = info.si_signo == libc::SIGCHLD && info.si_code > 0;
    if !by_a_process && !of_a_child {
        return UNKNOWN;
    }
    // SAFETY: for these codes both are there.
    let (pid, uid) = unsafe { (info.si_pid(), info.si_uid()) };
    KNOWN | (pid as u64 & 0x3fff_ffff) << 32 | u64::from(uid)
}

/// Some occurrences of a signal, as one.
#[derive(Clone, Copy)]
pub(crate) struct Taken {
    pub(crate) signal: i32,
    pub(crate) count: u64,
    /// The numbers of a process and a user.
    pub(crate) sender: Option<(u32, u32)>,
}

/// Signals that are caught for one who waits, as long as this lives.
pub(crate) struct Caught {
    waiter: &'static Waiter,
    signals: u64,
    pub(crate) bell: Eventfd,
}

impl Caught {
    /// None of these is caught, or all of them.
    pub(crate) fn new(signals: &[i32]) -> io::Result<Self> {
        let bell = Eventfd::new()?;
        if fork::is_child() {
            let what = "this is a forked child, and signals are caught for its parent";
            return Err(io::Error::new(io::ErrorKind::Unsupported, what));
        }
        // SAFETY: no pointer is passed.
        OWNER.store(unsafe { libc::getpid() }, Ordering::Relaxed);
        let waiter = Waiter::take();
        waiter.bell.store(bell.fd(), Ordering::SeqCst);
        let mut caught = Caught { waiter, signals: 0, bell };
        for signal in signals.iter().copied() {
            if caught.has(signal) {
                continue;
            }
            // (As soon as the handler is there it has to count.)
            waiter.wants.fetch_or(bit(signal), Ordering::SeqCst);
            dispositions::add(signal)?;
            caught.signals |= bit(signal);
        }
        Ok(caught)
    }

    fn has(&self, signal: i32) -> bool {
        self.signals & bit(signal) != 0
    }

    fn each(&self) -> impl Iterator<Item = i32> {
        (1..=MOST as i32).filter(|signal| self.has(*signal))
    }

    /// From now on each occurrence is for one of those who are exclusive, and for all others.
    pub(crate) fn set_exclusive(&self) {
        // (In a child all of it is as good as gone.)
        if self.waiter.is_exclusive.load(Ordering::SeqCst) || !is_at_home() {
            return;
        }
        self.each().for_each(|signal| POTS[place(signal)].join(std::thread::yield_now));
        self.waiter.is_exclusive.store(true, Ordering::SeqCst);
        // (There may be something in the pot.)
        self.bell.ring();
    }

    /// One of the signals that have occurred: the next behind this one.
    pub(crate) fn take(&self, behind: i32) -> Option<Taken> {
        let is_exclusive = self.waiter.is_exclusive.load(Ordering::Relaxed);
        let all = self.each().skip_while(|signal| *signal <= behind);
        all.chain(self.each().take_while(|signal| *signal <= behind)).find_map(|signal| {
            let (own, pot) = (&self.waiter.own[place(signal)], &POTS[place(signal)].inside);
            let shared = || if is_exclusive { pot.take() } else { None };
            let (sender, count) = own.take().or_else(shared)?;
            let is_known = sender & KNOWN == KNOWN;
            let sender = is_known.then_some(((sender >> 32) as u32 & 0x3fff_ffff, sender as u32));
            Some(Taken { signal, count, sender })
        })
    }
}

impl Drop for Caught {
    fn drop(&mut self) {
        // (In a child all of it is as good as gone.)
        if !is_at_home() {
            return;
        }
        self.each().for_each(dispositions::remove);
        self.waiter.want_nothing();
        if self.waiter.is_exclusive.load(Ordering::Relaxed) {
            self.each().for_each(|signal| POTS[place(signal)].leave());
        }
        self.waiter.give_back();
    }
}

impl Waiter {
    fn take() -> &'static Self {
        let take = |one: &&Waiter| !one.is_taken.swap(true, Ordering::SeqCst);
        waiters().find(take).unwrap_or_else(Waiter::make)
    }

    fn make() -> &'static Self {
        let mut next = WAITERS.load(Ordering::Acquire);
        let made = Box::into_raw(Box::new(Waiter {
            next,
            is_taken: AtomicBool::new(true),
            wants: AtomicU64::new(0),
            is_exclusive: AtomicBool::new(false),
            bell: AtomicI32::new(-1),
            handlers: nobody(),
            own: [const { none() }; MOST],
        }));
        loop {
            match WAITERS.compare_exchange(next, made, Ordering::AcqRel, Ordering::Acquire) {
                // SAFETY: it was made just now, and lives for ever.
                Ok(_) => return unsafe { &*made },
                Err(newer) => {
                    next = newer;
                    // SAFETY: nobody else has it yet.
                    unsafe { (*made).next = newer };
                }
            }
        }
    }

    /// Its bell may be closed when this returns.
    fn want_nothing(&self) {
        self.wants.store(0, Ordering::SeqCst);
        // (Handlers that come now see that, and leave.)
        self.handlers.until_left(std::thread::yield_now);
    }

    /// To whoever takes one next.
    fn give_back(&self) {
        self.bell.store(-1, Ordering::SeqCst);
        self.is_exclusive.store(false, Ordering::SeqCst);
        for one in &self.own {
            one.sender.store(0, Ordering::SeqCst);
            one.count.store(0, Ordering::SeqCst);
        }
        self.is_taken.store(false, Ordering::SeqCst);
    }
}
