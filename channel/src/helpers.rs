//! Threads that run what blocks: the process's, for all its channels.
//!
//! **They grow** while all are busy: a job that finds no idle helper has one started, up to 512. One at a time is being started,
//! and it has the next one started before it runs its job. So a burst of short jobs gets few helpers, since the first ones come back
//! meanwhile, and slow jobs get one each.
//!
//! **They shrink.** The helper that went idle last is called first. One that nobody has called for ten seconds leaves.
//!
//! **At the bound** a job waits in the queue. Whoever submitted it can withdraw it.
//!
//! **What lasts as long as others wish** (the open of a FIFO waits for its other end) does not count, so that it holds up nobody: a helper
//! that says so has another one take its place, as long as no more than 2,048 do. What is known to last before it has begun does not wait
//! behind what does not, either: if all are busy it has one more started.
//!
//! **If the system gives no thread** the helpers that count come to the job in their turn. If there is none, or the last one is about to begin
//! what lasts, the jobs that wait are told. What those helpers do may take long, and there may be a thread again meanwhile. So whoever has
//! a job that waits is told of that ([`Job::waits`]), and may have one asked for once more.

use crate::blocker;
use crate::foreign;
use crate::fork;
use crate::line::{Line, Place};
use crate::lock::{Mutex, MutexGuard, Room, has_room, make_room};
use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// As Go's limit (500) and tokio's (512): many more than slow disks and name servers need, and few enough for a process's threads.
const MOST: usize = 512;
/// Helpers that wait for what others do. Beyond it they count as the others do.
const MOST_AT_LENGTH: usize = 2048;
const KEEP: Duration = Duration::from_secs(10);

/// The process's.
pub static HELPERS: Helpers = Helpers::new(MOST, KEEP);

/// What a helper does once. What it unwinds with is dropped.
pub trait Job: Send + Sync {
    /// Does it.
    fn run(&self, here: &Here);
    /// It will not be done: there is no helper, and none can be started, for this reason. (In a thread that submits, or a helper that is about
    /// to begin what lasts.)
    fn refused(&self, why: &io::Error);
    /// Is it known that it lasts as long as others wish (`Here::at_length`)? The same each time.
    fn lasts(&self) -> bool {
        false
    }

    /// It waits for a helper that is busy, and none could be started just now. (Under the helpers' lock: it may wake somebody, and no more.)
    fn waits(&self) {}
}

/// See the module.
pub struct Helpers {
    state: Mutex<State>,
    /// Jobs wait, and no helper could be started for them the last time that it was tried. (Changed under the lock.)
    lack: AtomicBool,
    most: usize,
    keep: Duration,
}

struct State {
    jobs: Line<Arc<dyn Job>>,
    /// Those that are known to last.
    lasting: Line<Arc<dyn Job>>,
    /// Those that wait to be called, the last one last.
    idle: Vec<Arc<Bell>>,
    /// Helpers on the way to the queue: called, or being started.
    coming: usize,
    /// One is being started.
    starting: bool,
    /// Those that count.
    threads: usize,
    at_length: usize,
}

impl State {
    fn queued(&self) -> usize {
        self.jobs.queued() + self.lasting.queued()
    }

    fn line(&mut self, lasts: bool) -> &mut Line<Arc<dyn Job>> {
        if lasts { &mut self.lasting } else { &mut self.jobs }
    }

    /// May one more helper than `most` come, for what is known to last? (Soon it does not count.)
    fn has_room_beyond(&self, most: usize) -> bool {
        let beyond = self.at_length + self.threads.saturating_sub(most);
        self.lasting.queued() > 0 && beyond < MOST_AT_LENGTH
    }

    /// What a helper is to do next. One of more than `most` is there for what lasts alone.
    fn next(&mut self, most: usize) -> Option<Arc<dyn Job>> {
        if self.at_length < MOST_AT_LENGTH
            && let Some(job) = self.lasting.pop()
        {
            return Some(job);
        }
        if self.threads > most {
            return None;
        }
        self.jobs.pop().or_else(|| self.lasting.pop())
    }
}

struct Bell {
    called: AtomicBool,
    thread: Thread,
}

impl Helpers {
    /// At most so many, which stay for so long without a job.
    pub const fn new(most: usize, keep: Duration) -> Self {
        let state = State {
            jobs: Line::new(),
            lasting: Line::new(),
            idle: Vec::new(),
            coming: 0,
            starting: false,
            threads: 0,
            at_length: 0,
        };
        Helpers { state: Mutex::new(state), lack: AtomicBool::new(false), most, keep }
    }

    /// A helper will run it, as soon as there is one; or it is refused before this returns.
    pub fn submit(&'static self, job: Arc<dyn Job>) -> Place {
        let lasts = job.lasts();
        let mut state = self.lock(|state| state.line(lasts));
        let place = state.line(lasts).join(job);
        self.see_to(state);
        place
    }

    /// Those that wait have a helper that comes to them, or are told that there is none.
    fn see_to(&'static self, state: MutexGuard<'_, State>) {
        if let Err(error) = self.call_or_start(state) {
            self.without_a_thread(&error);
        }
    }

    /// Do jobs wait since the system gave no thread? (Whoever says that he sleeps, and asks then, is told of what comes later.)
    #[inline]
    pub(crate) fn are_lacking(&self) -> bool {
        self.lack.load(Ordering::SeqCst)
    }

    /// For those who wait since the system gave no thread: is there one now?
    #[cold]
    pub(crate) fn try_again(&'static self) {
        let state = self.state.lock();
        if state.queued() <= state.coming {
            self.lack.store(false, Ordering::SeqCst);
        }
        self.see_to(state);
    }

    #[cold]
    fn without_a_thread(&self, error: &io::Error) {
        loop {
            let mut state = self.state.lock();
            if state.threads > 0 {
                // Who is there comes to them. (What comes to wait from here on finds that it is so.)
                if state.queued() > 0 && !self.lack.swap(true, Ordering::SeqCst) {
                    state.jobs.iter().chain(state.lasting.iter()).for_each(|job| job.waits());
                }
                return;
            }
            let job = state.jobs.pop().or_else(|| state.lasting.pop());
            drop(state);
            let Some(job) = job else { return };
            foreign::call(|| job.refused(error));
            foreign::call(|| drop(job));
        }
    }

    /// Takes `job` out of the queue. False: it has been taken out already.
    pub fn withdraw(&self, place: Place, job: &dyn Job) -> bool {
        let mut state = self.state.lock();
        let mine =
            state.line(job.lasts()).leave_if(place, |other| std::ptr::addr_eq(Arc::as_ptr(other), job));
        drop(state);
        mine.is_some()
    }

    /// Sees to it that one more helper comes, if fewer are on the way than there are jobs.
    fn call_or_start(&'static self, mut state: MutexGuard<'_, State>) -> io::Result<()> {
        if state.queued() <= state.coming {
            return Ok(());
        }
        if let Some(helper) = state.idle.pop() {
            state.coming += 1;
            helper.called.store(true, Ordering::Release);
            drop(state);
            helper.thread.unpark();
            return Ok(());
        }
        if state.starting || state.threads >= self.most && !state.has_room_beyond(self.most) {
            return Ok(());
        }
        state.threads += 1;
        state.coming += 1;
        state.starting = true;
        drop(state);
        let starting = Starting(self);
        let builder = std::thread::Builder::new().name("ec-helper".into());
        blocker::start_thread(builder, Box::new(|| self.serve()))?;
        mem::forget(starting);
        Ok(())
    }

    /// With room for one more in what `of` finds.
    fn lock<C: Room>(&self, of: impl Fn(&mut State) -> &mut C) -> MutexGuard<'_, State> {
        loop {
            let mut state = self.state.lock();
            if has_room(of(&mut state), 1) {
                return state;
            }
            drop(state);
            make_room(&self.state, &of, 1);
        }
    }

    /// The life of a helper.
    fn serve(&'static self) {
        let bell = Arc::new(Bell { called: AtomicBool::new(false), thread: std::thread::current() });
        let mut state = self.lock(|state| &mut state.idle);
        state.starting = false;
        self.lack.store(false, Ordering::SeqCst);
        loop {
            state.coming -= 1;
            while let Some(job) = state.next(self.most) {
                // (If none can be started this one comes to the next job in its turn.)
                self.see_to(state);
                foreign::call(|| job.run(&Here(self)));
                foreign::call(|| drop(job));
                if fork::is_child() {
                    // The job has forked, and returned here in the child.
                    fork::end_child();
                }
                state = self.lock(|state| &mut state.idle);
            }
            if state.threads > self.most {
                // It lasted long, and its place was taken meanwhile; or somebody else does what it came for.
                state.threads -= 1;
                return;
            }
            state.idle.push(bell.clone());
            drop(state);
            let end = Instant::now() + self.keep;
            while !bell.called.load(Ordering::Acquire) {
                let left = end.saturating_duration_since(Instant::now());
                if !left.is_zero() {
                    std::thread::park_timeout(left);
                    continue;
                }
                let mut state = self.state.lock();
                if !bell.called.load(Ordering::Acquire) {
                    state.idle.retain(|other| !Arc::ptr_eq(other, &bell));
                    state.threads -= 1;
                    return;
                }
            }
            bell.called.store(false, Ordering::Relaxed);
            state = self.lock(|state| &mut state.idle);
        }
    }

    /// So many count now.
    pub fn threads(&self) -> usize {
        self.state.lock().threads
    }

    /// So many jobs wait for a helper.
    pub fn queued(&self) -> usize {
        self.state.lock().queued()
    }
}

/// The helper that runs a job.
pub struct Here(&'static Helpers);

impl Here {
    /// Runs `f`, which may last for as long as others wish.
    pub(crate) fn at_length<R>(&self, f: impl FnOnce() -> R) -> R {
        let mut state = self.0.state.lock();
        let replaced = state.at_length < MOST_AT_LENGTH;
        if !replaced {
            drop(state);
            return f();
        }
        state.threads -= 1;
        state.at_length += 1;
        let back = Back(self.0);
        // (If none can be started those that count come to what waits.)
        self.0.see_to(state);
        let result = f();
        drop(back);
        result
    }
}

/// A helper that does not count. When this is dropped it does again.
struct Back<'a>(&'a Helpers);

impl Drop for Back<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.threads += 1;
        state.at_length -= 1;
    }
}

/// A helper that is being started. Dropped, it is not: also if that unwinds.
struct Starting(&'static Helpers);

impl Drop for Starting {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.threads -= 1;
        state.coming -= 1;
        state.starting = false;
    }
}

#[cfg(test)]
mod tests;
