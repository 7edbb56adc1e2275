//! Where no foreign code may run: inside a crossing into the scheduler, and under a lock of the runtime's.
//!
//! The program's code gets everywhere: a deferred function of a collector, an allocator, a logger, a destructor. In
//! such a place it would find a run queue half changed, or wait for the lock that it runs under. So nothing that may
//! run it is called there.
//!
//! A debug build watches: whoever suspends, spawns or schedules inside a [`Crossing`] ends the process with a message.
//! The tests' allocators ask [`crossing`], too. In a release build all this is nothing.

use std::marker::PhantomData;

#[cfg(debug_assertions)]
mod watch {
    use std::cell::Cell;
    use std::sync::OnceLock;

    thread_local! {
        static DEPTH: Cell<u32> = const { Cell::new(0) };
        static WHAT: Cell<&'static str> = const { Cell::new("") };
    }

    /// Asked besides: another crate's places of this kind.
    pub(super) static ALSO: OnceLock<fn() -> Option<&'static str>> = OnceLock::new();

    // Not inlined: a lean task goes on with the thread-locals of another thread.
    #[inline(never)]
    pub(super) fn enter(what: &'static str) {
        DEPTH.set(DEPTH.get() + 1);
        WHAT.set(what);
    }

    #[inline(never)]
    pub(super) fn leave() {
        DEPTH.set(DEPTH.get() - 1);
    }

    #[inline(never)]
    pub(super) fn inside() -> Option<&'static str> {
        if DEPTH.get() > 0 { Some(WHAT.get()) } else { ALSO.get().and_then(|also| also()) }
    }
}

/// While this lives no foreign code is to run on this thread; see the module. Several may overlap, in any order.
#[must_use = "the crossing ends when this is dropped"]
pub struct Crossing(PhantomData<*mut ()>);

impl Crossing {
    /// A crossing begins. `what` names it in the message, which tells of the last that was entered.
    #[inline]
    pub fn enter(what: &'static str) -> Crossing {
        #[cfg(debug_assertions)]
        watch::enter(what);
        #[cfg(not(debug_assertions))]
        let _ = what;
        Crossing(PhantomData)
    }
}

#[cfg(debug_assertions)]
impl Drop for Crossing {
    fn drop(&mut self) {
        watch::leave();
    }
}

/// In which crossing the caller is. `None`: in none, or in a release build.
#[inline]
pub fn crossing() -> Option<&'static str> {
    #[cfg(debug_assertions)]
    return watch::inside();
    #[cfg(not(debug_assertions))]
    None
}

/// From now on [`crossing`] asks `also`, too: for a crate that does not know this one. The first one stays.
pub fn watch_crossings_of(also: fn() -> Option<&'static str>) {
    #[cfg(debug_assertions)]
    let _ = watch::ALSO.set(also);
    #[cfg(not(debug_assertions))]
    let _ = also;
}

/// Ends the process if the caller is in a crossing, in a debug build. `doing` is what it must not do there.
#[inline]
pub fn assert_no_crossing(doing: &str) {
    #[cfg(debug_assertions)]
    if let Some(what) = watch::inside() {
        fail(doing, what);
    }
    #[cfg(not(debug_assertions))]
    let _ = doing;
}

/// Loud, and past everything that could catch it.
#[cfg(debug_assertions)]
#[cold]
fn fail(doing: &str, what: &str) -> ! {
    let words = format!(
        "\nfatal runtime error: {doing} inside {what}, where no foreign code may run\n{}\n",
        std::backtrace::Backtrace::force_capture()
    );
    super::stderr::write_to_stderr(words.as_bytes());
    std::process::abort();
}
