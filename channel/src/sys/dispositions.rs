//! What signals do: the handler is set while somebody waits, and what was before is restored when the last one has gone.
//!
//! The program may set a handler of its own meanwhile. It may call the one that it has found there, ours, or not, and put that back
//! whenever it likes: so ours is neither taken away from below it nor set above it once more, since then each would call the other for
//! ever. If somebody waits later on, another one of ours is set above: of another *generation*. The one that was set last alone counts.
//!
//! Each calls what it has found. What the program may know of goes on calling that for good, since the program may call it from anywhere, or
//! put it back: it lies over the same again, or over nothing. So nothing of ours comes to call what calls it.

#![allow(unsafe_code)]

use super::found::found;
use super::signals::{HANDLERS, MOST};
use super::{errno, every_signal, interrupt};
use crate::lock::Mutex;
use crate::visits::Visits;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// So many of our handlers there are, for so many different ones of the program's to lie below them.
pub(crate) const GENERATIONS: usize = 8;

/// The generation that counts, plus one.
static NEWEST: [AtomicUsize; MOST] = [const { AtomicUsize::new(0) }; MOST];

/// How many wait for it.
static WAITING: [AtomicU32; MOST] = [const { AtomicU32::new(0) }; MOST];
/// Handlers that may be about to set what it does by default.
static DEFAULTING: [Visits; MOST] = [const { Visits { inside: AtomicU32::new(0) } }; MOST];

/// One of ours that has been set.
#[derive(Clone, Copy)]
struct Known {
    /// In its place.
    found: libc::sigaction,
    /// The program has set something over it, or has put it back: it may call it.
    is_out: bool,
}

/// Of one signal.
#[derive(Clone, Copy)]
struct Signal {
    known: [Option<Known>; GENERATIONS],
    /// The one of ours that was on top when somebody looked last.
    on_top: Option<usize>,
}

// SAFETY: all zero is a valid value of these plain structures.
const NO_ACTION: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };

static SIGNALS: Mutex<[Signal; MOST]> =
    Mutex::new([Signal { known: [None; GENERATIONS], on_top: None }; MOST]);

pub(super) fn place(signal: i32) -> usize {
    signal as usize - 1
}

pub(super) fn is_newest(signal: i32, generation: usize) -> bool {
    NEWEST[place(signal)].load(Ordering::SeqCst) == generation + 1
}

/// Nobody has heard it here: it does what it does by default, as this handler returns, if ours is on top. (The program may have set it there
/// again after all had gone who waited.) For who waits since then nothing changes.
pub(super) fn do_default(signal: i32, generation: usize) {
    let (waiting, defaulting) = (&WAITING[place(signal)], &DEFAULTING[place(signal)]);
    defaulting.enter();
    let is_set = waiting.load(Ordering::SeqCst) == 0 && set_default(signal, generation);
    defaulting.leave();
    if is_set {
        raise(signal);
    }
}

/// As [`do_default`], in a child, which may share its parent's memory: that stays as it is.
pub(super) fn do_default_in_child(signal: i32, generation: usize) {
    if set_default(signal, generation) {
        raise(signal);
    }
}

pub(super) fn set_default(signal: i32, generation: usize) -> bool {
    let is_on_top = ask(signal).is_ok_and(|now| generation_of(&now) == Some(generation));
    is_on_top && set(signal, &NO_ACTION).is_ok()
}

/// It comes to this thread as the handler returns.
fn raise(signal: i32) {
    // SAFETY: no pointer is passed, and it may be called in a handler.
    unsafe { libc::raise(signal) };
}

fn ask(signal: i32) -> Result<libc::sigaction, i32> {
    change(signal, ptr::null())
}

/// What it was before.
fn set(signal: i32, action: &libc::sigaction) -> Result<libc::sigaction, i32> {
    change(signal, action)
}

fn change(signal: i32, action: *const libc::sigaction) -> Result<libc::sigaction, i32> {
    let mut before = NO_ACTION;
    // SAFETY: null, or an action that was found here, or whose handler is safe at any time; room for what was before.
    match unsafe { libc::sigaction(signal, action, &mut before) } {
        0 => Ok(before),
        _ => Err(errno()),
    }
}

fn generation_of(action: &libc::sigaction) -> Option<usize> {
    HANDLERS.iter().position(|handler| *handler as usize == action.sa_sigaction)
}

fn is_handler(action: &libc::sigaction) -> bool {
    !matches!(action.sa_sigaction, libc::SIG_DFL | libc::SIG_IGN)
}

/// What the kernel makes of one that is called once.
fn by_default(action: &libc::sigaction) -> libc::sigaction {
    libc::sigaction { sa_sigaction: libc::SIG_DFL, ..*action }
}

/// Are they the same? (What libc and the kernel add does not count.)
fn same(one: &libc::sigaction, other: &libc::sigaction) -> bool {
    const RESTORER: i32 = 0x400_0000;
    const NEVER: u64 = 1 << (libc::SIGKILL - 1) | 1 << (libc::SIGSTOP - 1);
    let parts = |action: &libc::sigaction| {
        // SAFETY: a set begins with the bits of these signals. (No more are filled in.)
        let mask = unsafe { (&raw const action.sa_mask).cast::<u64>().read_unaligned() };
        (action.sa_sigaction, action.sa_flags & !RESTORER, mask & !NEVER)
    };
    parts(one) == parts(other)
}

/// As [`same`], as far as it makes a difference to what is called.
fn is_alike(one: &libc::sigaction, other: &libc::sigaction) -> bool {
    if is_handler(one) { same(one, other) } else { one.sa_sigaction == other.sa_sigaction }
}

/// Sets `to` in the place of `from`. False: there was something else, which is there again.
fn exchange(signal: i32, from: &libc::sigaction, to: &libc::sigaction) -> Result<bool, i32> {
    let (mut set_here, mut was) = (*to, set(signal, to)?);
    if same(&was, from) {
        return Ok(true);
    }
    loop {
        let replaced = set(signal, &was)?;
        if same(&replaced, &set_here) {
            return Ok(false);
        }
        // (What has been set since is younger.)
        (set_here, was) = (was, replaced);
    }
}

/// Ours, of this generation, where that was found.
fn ours(signal: i32, generation: usize, found: &libc::sigaction) -> libc::sigaction {
    let mut action = *found;
    action.sa_sigaction = HANDLERS[generation] as usize;
    if is_handler(found) {
        // It is called in its turn, and is to find what it has asked for: its mask, its stack. (That it is called once ours sees to.)
        action.sa_flags = found.sa_flags & !libc::SA_RESETHAND | libc::SA_SIGINFO;
        return action;
    }
    // A task's own stack is small.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
    action.sa_flags |= found.sa_flags & (libc::SA_NOCLDSTOP | libc::SA_NOCLDWAIT);
    if signal == libc::SIGCHLD && found.sa_sigaction == libc::SIG_IGN {
        // Who ignores it reaps nobody.
        action.sa_flags |= libc::SA_NOCLDWAIT;
    }
    action.sa_mask = every_signal();
    action
}

/// Ours has taken `handler`, which is called once, to call it: the signal is left to the default, as the kernel would do.
pub(super) fn as_kernel_calls_once(signal: i32, generation: usize, handler: usize) {
    let Ok(now) = ask(signal) else { return };
    let then = if generation_of(&now) == Some(generation) {
        // (Also in what it asks for.)
        ours(signal, generation, &by_default(&now))
    } else if now.sa_sigaction == handler && now.sa_flags & libc::SA_RESETHAND != 0 {
        // It was restored meanwhile.
        by_default(&now)
    } else {
        return;
    };
    // (If the program was faster that is what counts.)
    let _ = exchange(signal, &now, &then);
}

impl Signal {
    /// Ours is on top from now on.
    fn catch(&mut self, signal: i32) -> Result<(), i32> {
        // (Who comes from here on sees that somebody waits.)
        DEFAULTING[place(signal)].until_left(std::thread::yield_now);
        let newest = &NEWEST[place(signal)];
        loop {
            let now = ask(signal)?;
            self.see(generation_of(&now));
            if let Some(generation) = self.on_top {
                newest.store(generation + 1, Ordering::SeqCst);
                return Ok(());
            }
            let generation = self.generation_over(&now).ok_or(libc::EBUSY)?;
            found(signal, generation).set(&now);
            // Over a handler that may call one of ours below it that one counts until this is there.
            let counted = newest.load(Ordering::SeqCst);
            if !is_handler(&now) {
                newest.store(generation + 1, Ordering::SeqCst);
            }
            let is_set = exchange(signal, &now, &ours(signal, generation, &now));
            if is_set != Ok(true) {
                newest.store(counted, Ordering::SeqCst);
                is_set?;
                // The program was faster: once more.
                continue;
            }
            let is_out = self.known[generation].is_some_and(|it| it.is_out);
            self.known[generation] = Some(Known { found: now, is_out });
            self.on_top = Some(generation);
            newest.store(generation + 1, Ordering::SeqCst);
            return Ok(());
        }
    }

    /// One of ours is on top, or none. What was there, and what the program has put there, it may call from now on.
    fn see(&mut self, on_top: Option<usize>) {
        if self.on_top == on_top {
            return;
        }
        for generation in [self.on_top, on_top].into_iter().flatten() {
            if let Some(known) = &mut self.known[generation] {
                known.is_out = true;
            }
        }
        self.on_top = on_top;
    }

    /// Which of ours may lie over this: one that has done so before, or that the program does not know. `None`: there is none left.
    fn generation_over(&self, found: &libc::sigaction) -> Option<usize> {
        let all = || self.known.iter();
        all()
            .position(|known| known.is_some_and(|it| is_alike(&it.found, found)))
            .or_else(|| all().position(Option::is_none))
            .or_else(|| all().position(|known| known.is_some_and(|it| !it.is_out)))
    }

    /// What ours has found is on top again, if nobody has set something else over ours.
    fn restore(&mut self, signal: i32) {
        loop {
            let Ok(now) = ask(signal) else { return };
            self.see(generation_of(&now));
            let Some(generation) = self.on_top else { return };
            let Some(Known { found: before, .. }) = self.known[generation] else { return };
            let found = found(signal, generation);
            let is_spent = found.is_spent();
            let restored = if is_spent { by_default(&before) } else { before };
            match exchange(signal, &now, &restored) {
                Ok(true) => {
                    self.on_top = None;
                    NEWEST[place(signal)].store(0, Ordering::SeqCst);
                    if !is_spent && found.is_spent() {
                        // Meanwhile.
                        as_kernel_calls_once(signal, generation, before.sa_sigaction);
                    }
                    return;
                }
                // The program was faster: once more.
                Ok(false) => {}
                Err(_) => return,
            }
        }
    }
}

/// One more waits for it.
pub(super) fn add(signal: i32) -> io::Result<()> {
    let mut signals = SIGNALS.lock();
    WAITING[place(signal)].fetch_add(1, Ordering::SeqCst);
    let caught = signals[place(signal)].catch(signal);
    if caught.is_err() {
        WAITING[place(signal)].fetch_sub(1, Ordering::SeqCst);
    }
    drop(signals);
    caught.map_err(|errno| match errno {
        libc::EBUSY => {
            let what = "too many handlers have been set for it while somebody waited";
            io::Error::new(
                io::ErrorKind::ResourceBusy,
                format!("signal {signal} cannot be waited for: {what}"),
            )
        }
        errno => io::Error::from_raw_os_error(errno),
    })
}

pub(super) fn remove(signal: i32) {
    let mut signals = SIGNALS.lock();
    if WAITING[place(signal)].fetch_sub(1, Ordering::SeqCst) == 1 {
        signals[place(signal)].restore(signal);
    }
}

/// An error says why nobody can wait for it.
pub(crate) fn check(signal: i32) -> io::Result<()> {
    let refused = |why: &str| {
        let what = format!("signal {signal} cannot be waited for: {why}");
        Err(io::Error::new(io::ErrorKind::InvalidInput, what))
    };
    match signal {
        libc::SIGKILL | libc::SIGSTOP => refused("the kernel lets nobody catch it"),
        libc::SIGSEGV | libc::SIGBUS | libc::SIGFPE | libc::SIGILL | libc::SIGTRAP | libc::SIGSYS => {
            refused("it says that the thread has done wrong, which would do the same again")
        }
        _ if signal < 1 || signal > (MOST as i32).min(libc::SIGRTMAX()) => refused("there is none"),
        _ if (32..libc::SIGRTMIN()).contains(&signal) => refused("libc has it for itself"),
        _ if interrupt::is_ours(signal) => refused("the channel has it for itself, to end calls that wait"),
        _ => Ok(()),
    }
}
