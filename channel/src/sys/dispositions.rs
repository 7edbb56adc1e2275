//! What signals do: the handler is set while somebody waits, and what was before is restored when the last one has gone.
//!
//! The program may set a handler of its own meanwhile. It may call the one that it has found there, ours, or not: so ours is neither taken
//! away from below it nor set above it once more, since then each would call the other for ever. If somebody waits later on, another one
//! of ours is set above: of the next *generation*, which alone counts. Below each lies what it has found.

#![allow(unsafe_code)]

use super::signals::{HANDLERS, MOST};
use super::{errno, interrupt};
use crate::lock::Mutex;
use crate::visits::Visits;
use std::io;
use std::mem::{MaybeUninit, transmute};
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// So many of our handlers may lie over each other.
pub(crate) const GENERATIONS: usize = 4;

/// What a handler has found, so that it can be read in it.
struct Found {
    handler: AtomicUsize,
    /// As `handler`, if it is one that takes three arguments. (What handles in the other way has 0 here.)
    with_info: AtomicUsize,
}

impl Found {
    fn set(&self, action: &libc::sigaction) {
        let with_info = if action.sa_flags & libc::SA_SIGINFO != 0 { action.sa_sigaction } else { 0 };
        // (A handler that reads in between calls none of them.)
        self.handler.store(libc::SIG_IGN, Ordering::SeqCst);
        self.with_info.store(with_info, Ordering::SeqCst);
        self.handler.store(action.sa_sigaction, Ordering::SeqCst);
    }
}

static FOUND: [[Found; GENERATIONS]; MOST] = [const {
    [const { Found { handler: AtomicUsize::new(0), with_info: AtomicUsize::new(0) } }; GENERATIONS]
}; MOST];
/// The generation that counts, plus one.
static NEWEST: [AtomicUsize; MOST] = [const { AtomicUsize::new(0) }; MOST];

/// How many wait for it.
static WAITING: [AtomicU32; MOST] = [const { AtomicU32::new(0) }; MOST];
/// Handlers that may be about to set what it does by default.
static DEFAULTING: [Visits; MOST] = [const { Visits { inside: AtomicU32::new(0) } }; MOST];

/// Of one signal.
#[derive(Clone, Copy)]
struct Signal {
    exclusive: u32,
    /// So many generations of ours have been set, and not been taken away.
    generations: usize,
    found: [libc::sigaction; GENERATIONS],
}

// SAFETY: all zero is a valid value of these plain structures.
const NO_ACTION: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };

static SIGNALS: Mutex<[Signal; MOST]> =
    Mutex::new([Signal { exclusive: 0, generations: 0, found: [NO_ACTION; GENERATIONS] }; MOST]);

fn place(signal: i32) -> usize {
    signal as usize - 1
}

/// What the handler of this generation has found in its place.
pub(super) enum Before {
    Default,
    Ignored,
    Plain(extern "C" fn(i32)),
    WithInfo(extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void)),
}

pub(super) fn before(signal: i32, generation: usize) -> Before {
    let found = &FOUND[place(signal)][generation];
    match found.handler.load(Ordering::SeqCst) {
        libc::SIG_DFL => Before::Default,
        libc::SIG_IGN => Before::Ignored,
        // SAFETY: whoever has set this action has said which of both it is.
        handler => unsafe {
            match found.with_info.load(Ordering::SeqCst) == handler {
                true => Before::WithInfo(transmute::<
                    usize,
                    extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void),
                >(handler)),
                false => Before::Plain(transmute::<usize, extern "C" fn(i32)>(handler)),
            }
        },
    }
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

fn set_default(signal: i32, generation: usize) -> bool {
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

/// Ours, of this generation, where that was found.
fn ours(signal: i32, generation: usize, found: &libc::sigaction) -> libc::sigaction {
    let mut action = NO_ACTION;
    action.sa_sigaction = HANDLERS[generation] as usize;
    // A task's own stack is small.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    if is_handler(found) {
        // It is called in its turn, and is to find what it has asked for.
        let kept = libc::SA_RESTART | libc::SA_NODEFER | libc::SA_NOCLDSTOP | libc::SA_NOCLDWAIT;
        action.sa_flags |= found.sa_flags & kept;
        action.sa_mask = found.sa_mask;
        return action;
    }
    action.sa_flags |= libc::SA_RESTART | found.sa_flags & (libc::SA_NOCLDSTOP | libc::SA_NOCLDWAIT);
    if signal == libc::SIGCHLD && found.sa_sigaction == libc::SIG_IGN {
        // Who ignores it reaps nobody.
        action.sa_flags |= libc::SA_NOCLDWAIT;
    }
    action
}

impl Signal {
    /// Ours is on top from now on.
    fn catch(&mut self, signal: i32) -> Result<(), i32> {
        // (Who comes from here on sees that somebody waits.)
        DEFAULTING[place(signal)].until_left(std::thread::yield_now);
        let now = ask(signal)?;
        let (all, newest) = (&FOUND[place(signal)], &NEWEST[place(signal)]);
        if let Some(generation) = generation_of(&now) {
            self.generations = generation + 1;
            newest.store(generation + 1, Ordering::SeqCst);
            return Ok(());
        }
        // What is no handler calls none that may lie below it.
        let generation = if is_handler(&now) { self.generations } else { 0 };
        if generation == GENERATIONS {
            return Err(libc::EBUSY);
        }
        all[generation].set(&now);
        // Over a handler that may call one of ours below it that one counts until this is there.
        if !is_handler(&now) {
            newest.store(generation + 1, Ordering::SeqCst);
        }
        let found = match set(signal, &ours(signal, generation, &now)) {
            Ok(found) => found,
            Err(errno) => {
                newest.store(generation, Ordering::SeqCst);
                return Err(errno);
            }
        };
        // (The program may have been faster.)
        all[generation].set(&found);
        self.found[generation] = found;
        self.generations = generation + 1;
        newest.store(generation + 1, Ordering::SeqCst);
        Ok(())
    }

    /// What ours has found is on top again, if nobody has set something else over ours.
    fn restore(&mut self, signal: i32) {
        let Some(generation) = ask(signal).ok().as_ref().and_then(generation_of) else { return };
        let Ok(was) = set(signal, &self.found[generation]) else { return };
        if generation_of(&was) != Some(generation) {
            // The program was faster.
            let _ = set(signal, &was);
            return;
        }
        self.generations = generation;
        NEWEST[place(signal)].store(generation, Ordering::SeqCst);
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
            let what = "its handler has been replaced too often while somebody waited for it";
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

pub(super) fn add_exclusive(signal: i32) {
    SIGNALS.lock()[place(signal)].exclusive += 1;
}

/// True: it was the last one.
pub(super) fn remove_exclusive(signal: i32) -> bool {
    let mut signals = SIGNALS.lock();
    let it = &mut signals[place(signal)];
    it.exclusive -= 1;
    it.exclusive == 0
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
