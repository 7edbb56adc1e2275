//! Signals, forks and the end of the process while cores are handed from thread to thread.

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::{Runtime, run, task, time};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(2);

/// The process's signals and children: one at a time.
static ONE_AT_A_TIME: parking_lot::Mutex<()> = parking_lot::Mutex::new(());

/// Tasks that block, suspend, and hand each other numbers, for as long as it lives.
struct Turmoil {
    end: Arc<AtomicBool>,
    tasks: Vec<task::JoinHandle<u64>>,
    counted: Arc<AtomicUsize>,
}

impl Turmoil {
    fn in_runtime(runtime: &Runtime) -> Turmoil {
        let (end, counted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut tasks = Vec::new();
        for _ in 0..8 {
            let (sender, receiver) = mpsc::sync_channel(0);
            let stop = end.clone();
            tasks.push(runtime.spawn(move || {
                let mut sent = 0;
                while !stop.load(Ordering::Relaxed) && sender.send(sent).is_ok() {
                    sent += 1;
                    time::sleep(SHORT / 4);
                }
                sent
            }));
            let seen = counted.clone();
            tasks.push(runtime.spawn(move || {
                let mut got = 0;
                for number in receiver {
                    assert_eq!(number, got);
                    got += 1;
                    seen.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(SHORT / 2);
                }
                got
            }));
        }
        Turmoil { end, tasks, counted }
    }

    /// Nothing was lost.
    fn settle(self) {
        self.end.store(true, Ordering::Relaxed);
        let counts: Vec<u64> = self.tasks.into_iter().map(|task| task.join().unwrap()).collect();
        assert!(counts.chunks(2).all(|pair| pair[0] == pair[1]), "{counts:?}");
        assert!(self.counted.load(Ordering::Relaxed) > 0);
    }
}

static CAUGHT: AtomicUsize = AtomicUsize::new(0);

extern "C" fn catch(_: i32) {
    CAUGHT.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn signals_come_while_cores_change_hands() {
    let _alone = ONE_AT_A_TIME.lock();
    limit(60, || {
        let action = SigAction::new(
            SigHandler::Handler(catch),
            SaFlags::SA_RESTART | SaFlags::SA_ONSTACK,
            SigSet::empty(),
        );
        // SAFETY: the handler counts.
        unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
        let runtime = Runtime::builder().cores(2).build().unwrap();
        let turmoil = Turmoil::in_runtime(&runtime);
        for _ in 0..200 {
            let before = CAUGHT.load(Ordering::Relaxed);
            // To each thread there is, one after the other.
            for entry in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
                let tid: i32 = entry.file_name().to_string_lossy().parse().unwrap();
                // SAFETY: a signal that is caught; the thread may be gone.
                unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), tid, libc::SIGUSR1) };
            }
            while CAUGHT.load(Ordering::Relaxed) == before {
                thread::yield_now();
            }
            thread::sleep(SHORT);
        }
        turmoil.settle();
        assert!(!task::migrates() || runtime.metrics().handed_over > 0);
    });
}

/// Forks; the child, in which the runtime is dead, runs `f` and ends. True: as it should.
fn child(f: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child uses what is documented to work there, and ends by `_exit`.
    match unsafe { libc::fork() } {
        0 => {
            let code = i32::from(!f());
            // SAFETY: the end.
            unsafe { libc::_exit(code) }
        }
        pid => {
            let mut status = 0;
            // SAFETY: a live int.
            assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
            status == 0
        }
    }
}

#[test]
fn children_are_forked_while_cores_change_hands() {
    let _alone = ONE_AT_A_TIME.lock();
    limit(120, || {
        let runtime = Runtime::builder().cores(2).build().unwrap();
        let turmoil = Turmoil::in_runtime(&runtime);
        let in_child = || run(|| 7) == 7 && task::blocking(|| 8) == 8;
        for _ in 0..30 {
            // On a plain thread, and in a task, which blocks its thread until the child has ended.
            assert!(child(in_child));
            assert!(runtime.spawn(move || child(in_child)).join().unwrap());
            time::sleep(SHORT);
        }
        turmoil.settle();
    });
}

/// std's own lock, which a thread takes for a moment when it begins and when it ends, is not held in the child.
#[test]
fn children_start_threads_although_those_of_pools_come_and_go() {
    let _alone = ONE_AT_A_TIME.lock();
    limit(120, || {
        let (end, pools) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (ended, built) = (end.clone(), pools.clone());
        let come_and_go = thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                drop(Runtime::builder().cores(8).build().unwrap());
                built.fetch_add(1, Ordering::Relaxed);
            }
        });
        // Until this thread has begun itself: no fork waits for it.
        while pools.load(Ordering::Relaxed) < 10 {
            thread::yield_now();
        }
        for _ in 0..300 {
            assert!(child(|| {
                // SAFETY: ends a child that hangs.
                unsafe { libc::alarm(10) };
                thread::spawn(|| 7).join().unwrap() == 7
            }));
        }
        end.store(true, Ordering::Relaxed);
        come_and_go.join().unwrap();
    });
}

/// A task that is stuck in the kernel holds up neither the end of a shutdown nor that of the process.
#[test]
fn a_runtime_ends_although_a_thread_without_a_core_does_not() {
    let _alone = ONE_AT_A_TIME.lock();
    limit(60, || {
        let runtime = Runtime::builder().cores(1).build().unwrap();
        let (let_go, held) = mpsc::channel::<()>();
        let builder = task::Builder::new().name(String::from("stuck"));
        drop(runtime.spawn_with(builder, move || held.recv().is_err()).unwrap());
        assert_eq!(runtime.spawn(|| 7).join().unwrap(), 7);
        let error = runtime.shutdown(10 * SHORT).unwrap_err();
        assert!(error.names().len() == 1 && error.names()[0].contains("'stuck'"), "{error}");
        drop(let_go);
        while runtime.metrics().workers > 0 {
            thread::sleep(SHORT);
        }
    });
}
