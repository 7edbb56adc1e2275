//! An allocator that spawns a task or wakes one at each 16th call, on whatever thread it is called.
#![cfg(not(loom))]

use ec_tasks::{
    JoinHandle, Kind, Outcome, Runnable, Scheduler, SpawnOptions, Task, TaskId, own_thread_locals, park,
    prepare_worker_thread, tasks_of, yield_now,
};
use ec_test_support::{limit, this_test_again};
use std::alloc::{GlobalAlloc, Layout, System};
use std::any::Any;
use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::Instant;

/// More are never ready: there is room for so many from the beginning, since this must not call its allocator with its lock held either.
const MOST: usize = 1 << 17;

struct Queue {
    ready: Mutex<VecDeque<Runnable>>,
    more: Condvar,
    stop: AtomicBool,
    left: AtomicUsize,
}

// SAFETY: the workers run each once; nothing waits for long, panics, or calls others.
unsafe impl Scheduler for Queue {
    fn schedule(&self, task: Runnable) {
        let mut ready = self.ready.lock().unwrap();
        assert!(ready.len() < ready.capacity());
        ready.push_back(task);
        drop(ready);
        self.more.notify_one();
    }
    fn task_finished(&self, _: TaskId) {}
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Queue {
    fn work(self: &Arc<Queue>) {
        // SAFETY: dropped at the end, where no task runs; nobody sets a signal stack.
        let _guard = unsafe { prepare_worker_thread(self.clone()).unwrap() };
        loop {
            let mut ready = self.ready.lock().unwrap();
            let next = loop {
                match ready.pop_front() {
                    Some(next) => break Some(next),
                    None if self.stop.load(Ordering::Relaxed) => break None,
                    None => {
                        drop(ready);
                        ec_tasks::worker_sleeps();
                        ready = self.ready.lock().unwrap();
                        if ready.is_empty() && !self.stop.load(Ordering::Relaxed) {
                            ready = self.more.wait(ready).unwrap();
                        }
                    }
                }
            };
            drop(ready);
            match next.map(Runnable::run) {
                Some(Outcome::Yielded(again)) => self.schedule(again),
                Some(_) => {}
                None => return,
            }
        }
    }
}

struct Unkind;

static QUEUE: OnceLock<Arc<Queue>> = OnceLock::new();
/// One that parks again and again.
static SLEEPER: OnceLock<Task> = OnceLock::new();
static CALLS: AtomicU64 = AtomicU64::new(0);
/// It is unkind no more.
static KIND: AtomicBool = AtomicBool::new(false);
/// So many more times it is unkind at each call.
static EACH_CALL: AtomicI64 = AtomicI64::new(0);
static SPAWNED: AtomicU64 = AtomicU64::new(0);
static WOKEN: AtomicU64 = AtomicU64::new(0);

thread_local!(static INSIDE: Cell<bool> = const { Cell::new(false) });

// (Not inlined: a lean task may go on elsewhere.)
#[inline(never)]
fn enter() -> bool {
    !INSIDE.replace(true)
}

#[inline(never)]
fn leave() {
    INSIDE.set(false);
}

fn be_unkind() {
    let Some(queue) = QUEUE.get() else { return };
    if KIND.load(Ordering::Relaxed) {
        return;
    }
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    count_call();
    let now = call.is_multiple_of(16)
        || (EACH_CALL.load(Ordering::Relaxed) > 0 && EACH_CALL.fetch_sub(1, Ordering::Relaxed) > 0);
    if !now || !enter() {
        return;
    }
    match SLEEPER.get() {
        Some(sleeper) if call.is_multiple_of(32) => {
            sleeper.unpark();
            WOKEN.fetch_add(1, Ordering::Relaxed);
        }
        _ if queue.left.load(Ordering::Relaxed) < MOST / 2 => {
            queue.left.fetch_add(1, Ordering::Relaxed);
            let left = &queue.left;
            let end = || _ = left.fetch_sub(1, Ordering::Relaxed);
            // Of three sizes, and now and then a thread.
            let kind = if call % 4096 == 16 { Kind::Dedicated } else { Kind::Own };
            let options =
                SpawnOptions::new().kind(kind).stack_size([0, 1 << 20, 3 << 20][call as usize / 16 % 3]);
            match ec_tasks::spawn(queue.clone(), options, end) {
                Ok(task) => {
                    drop(task);
                    SPAWNED.fetch_add(1, Ordering::Relaxed);
                }
                Err(_) => end(),
            }
        }
        _ => {}
    }
    leave();
}

// SAFETY: the system's.
unsafe impl GlobalAlloc for Unkind {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        be_unkind();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(place, layout) };
        be_unkind();
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Never in its place: whoever looks where it was sees it.
        // SAFETY: the caller's promise; both are of the smaller size at least.
        unsafe {
            let new = System.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                std::ptr::copy_nonoverlapping(place, new, size.min(layout.size()));
                std::ptr::write_bytes(place, 0xdd, layout.size());
                be_unkind();
                System.dealloc(place, layout);
            }
            new
        }
    }
}

#[global_allocator]
static ALLOCATOR: Unkind = Unkind;

/// In a process of its own, with `workers` threads at the queue: it begins with whether tasks can have thread-locals of their own.
fn with_queue(test: &str, workers: usize, body: impl FnOnce(&Arc<Queue>)) {
    let Some(mut child) = this_test_again(test) else {
        limit(60, || {
            let ready = Mutex::new(VecDeque::with_capacity(MOST));
            let (stop, left) = (AtomicBool::new(false), AtomicUsize::new(0));
            let queue = Arc::new(Queue { ready, more: Condvar::new(), stop, left });
            assert!(QUEUE.set(queue.clone()).is_ok());
            let start = Instant::now();
            let own = own_thread_locals();
            assert!(start.elapsed().as_secs() < 4, "it waits for itself");
            let work = |queue: Arc<Queue>| std::thread::spawn(move || queue.work());
            let threads: Vec<_> = (0..workers).map(|_| work(queue.clone())).collect();
            let sleeper = spawn(&queue, Kind::Own, || {
                loop {
                    park();
                }
            });
            assert!(SLEEPER.set(sleeper.task().clone()).is_ok());
            body(&queue);
            while queue.left.load(Ordering::Relaxed) > 0 {
                std::thread::yield_now();
            }
            queue.stop.store(true, Ordering::Relaxed);
            queue.more.notify_all();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            KIND.store(true, Ordering::SeqCst);
            // (Those that came at the very end.)
            while queue.left.load(Ordering::Relaxed) > 0 || tasks_of(&*queue).len() > 1 {
                let next = queue.ready.lock().unwrap().pop_front();
                next.map(Runnable::run);
            }
            let stacks = usize::from(sleeper.task().kind() == Kind::Own);
            assert_eq!(ec_tasks::stack_stats().in_use, stacks, "no worker is there, and no other task");
            let done = (SPAWNED.load(Ordering::Relaxed), WOKEN.load(Ordering::Relaxed));
            assert!(done.0 > 100 && done.1 > 20, "{done:?}");
            // What was found out in spite of all the allocator did is what a kind one lets be found out.
            eprintln!("own: {own:?}");
        });
        return;
    };
    let output = child.output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{:?}\n{words}", output.status);
    QUIET.get_or_init(own_thread_locals);
    assert!(words.contains(&format!("own: {:?}", QUIET.get().unwrap())), "{words}");
}

/// The answer in a process whose allocator does nothing.
static QUIET: OnceLock<Result<(), &'static str>> = OnceLock::new();

fn spawn<T: Send + 'static>(
    queue: &Arc<Queue>,
    kind: Kind,
    f: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    ec_tasks::spawn(queue.clone(), SpawnOptions::new().kind(kind).name("by the test"), f).unwrap()
}

#[test]
fn tasks_come_wait_and_go() {
    with_queue("tasks_come_wait_and_go", 3, |queue| {
        for round in 0..200 {
            let kind = if round % 8 == 0 { Kind::Dedicated } else { Kind::Own };
            let tasks: Vec<_> = (0..20)
                .map(|size| {
                    spawn(queue, kind, move || {
                        let list = vec![size; 1000];
                        yield_now();
                        park();
                        list.iter().sum::<usize>()
                    })
                })
                .collect();
            let infos = tasks_of(&**queue);
            assert!(infos.iter().any(|info| info.name.as_deref() == Some("by the test")));
            for (size, task) in tasks.into_iter().enumerate() {
                task.task().unpark();
                assert_eq!(task.join().unwrap(), 1000 * size);
            }
        }
    });
}

/// The lists of stacks grow while the allocator that they ask for room takes some of them.
#[test]
fn stacks_become_more() {
    with_queue("stacks_become_more", 2, |queue| {
        let tasks: Vec<_> = (0..2000).map(|_| spawn(queue, Kind::Own, park)).collect();
        ec_tasks::trim_stacks(Instant::now());
        for task in tasks {
            task.task().unpark();
            task.join().unwrap();
        }
    });
}

#[test]
fn workers_come_and_go() {
    with_queue("workers_come_and_go", 1, |queue| {
        for _ in 0..50 {
            let start = |queue: Arc<Queue>| {
                std::thread::spawn(move || {
                    // SAFETY: dropped at the end, where no task runs; nobody sets a signal stack.
                    let guard = unsafe { prepare_worker_thread(queue.clone()).unwrap() };
                    spawn(&queue, Kind::Own, || ()).join().unwrap();
                    drop(guard);
                })
            };
            let threads: Vec<_> = (0..4).map(|_| start(queue.clone())).collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        }
    });
}

ec_tasks::task_local! {
    static CALLS_HERE: Cell<u64> = const { Cell::new(0) };
    static A: Cell<u64> = const { Cell::new(0) };
    static B: Cell<u64> = const { Cell::new(0) };
    static C: Cell<u64> = const { Cell::new(0) };
    static D: Cell<u64> = const { Cell::new(0) };
    static E: Cell<u64> = const { Cell::new(0) };
    static F: Cell<u64> = const { Cell::new(0) };
    static G: Cell<u64> = const { Cell::new(0) };
    static H: Cell<u64> = const { Cell::new(0) };
    static I: Cell<u64> = const { Cell::new(0) };
    static J: Cell<u64> = const { Cell::new(0) };
}

/// The allocator counts its calls in task-locals: in the first one, and in one of the second half, now.
static COUNTS: AtomicBool = AtomicBool::new(false);
const OF_ALLOCATOR: [&ec_tasks::LocalKey<Cell<u64>>; 5] = [&F, &G, &H, &I, &J];

fn count_call() {
    if COUNTS.load(Ordering::Relaxed) && enter() {
        // (They are gone at a task's end.)
        let _ = CALLS_HERE.try_with(|calls| {
            calls.set(calls.get() + 1);
            let _ = OF_ALLOCATOR[calls.get() as usize % 5].try_with(|count| count.set(count.get() + 1));
        });
        leave();
    }
}

/// A list of task-locals grows while the allocator that it asks for room uses task-locals of the same task.
#[test]
fn the_allocator_has_task_locals() {
    with_queue("the_allocator_has_task_locals", 2, |queue| {
        COUNTS.store(true, Ordering::Relaxed);
        let body = || {
            let own = [&A, &B, &C, &D, &E];
            for round in 1..10 {
                for local in own {
                    local.set(local.get() + 1);
                    drop(vec![round; 10]);
                    yield_now();
                }
            }
            let sum: u64 = OF_ALLOCATOR.iter().map(|count| count.get()).sum();
            (own.map(|local| local.get()), sum, CALLS_HERE.get())
        };
        let tasks: Vec<_> = (0..500).map(|_| spawn(queue, Kind::Own, body)).collect();
        for task in tasks {
            let (own, sum, calls) = task.join().unwrap();
            assert!(own == [9; 5] && sum == calls && calls >= 90, "{own:?}, {sum}, {calls}");
        }
        COUNTS.store(false, Ordering::Relaxed);
    });
}

/// A worker's stock is filled, and changed to stacks of another size, by spawns within which the allocator spawns.
#[test]
fn a_workers_stock_is_counted_right() {
    with_queue("a_workers_stock_is_counted_right", 1, |queue| {
        let spawner = queue.clone();
        let body = move || {
            // At each call, for a while, time and again. More and more stacks are in use, so the lists grow.
            let mut all = Vec::new();
            for round in 0..40usize {
                EACH_CALL.store(200, Ordering::Relaxed);
                let sizes = [0, 1 << 20, 3 << 20, 7 << 20, 15 << 20];
                let options = |index: usize| SpawnOptions::new().stack_size(sizes[(round + index) % 5]);
                let new = |index| ec_tasks::spawn(spawner.clone(), options(index), park).unwrap();
                all.extend((0..100).map(new));
                yield_now();
            }
            for task in all {
                task.task().unpark();
                task.join().unwrap();
            }
        };
        spawn(queue, Kind::Own, body).join().unwrap();
    });
}
