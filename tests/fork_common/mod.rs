//! What the tests of forked children share: where one forks, on which driver, and what came of the child.
#![allow(dead_code)] // each test program uses a part

use ec_test_support::{limit, skipped, this_test_again};
use event_channel::channel::{Driver, Request};
use event_channel::{Runtime, task};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Where a process forks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the thread that has made the runtime.
    Outside,
    Thread,
    Run,
    RunInATask,
    Task,
    Lean,
    Dedicated,
    Blocking,
    OnThread,
    Handler,
    Listener,
}

impl Place {
    pub const ALL: [Place; 11] = [
        Place::Outside,
        Place::Thread,
        Place::Run,
        Place::RunInATask,
        Place::Task,
        Place::Lean,
        Place::Dedicated,
        Place::Blocking,
        Place::OnThread,
        Place::Handler,
        Place::Listener,
    ];

    /// Calls `f` there, and returns when `f` is over.
    pub fn call(self, runtime: &Arc<Runtime>, f: impl FnOnce() + Send + 'static) {
        let spawn = |builder: task::Builder, f: Box<dyn FnOnce() + Send>| {
            runtime.spawn_with(builder, f).unwrap().join().unwrap();
        };
        let inner = runtime.clone();
        match self {
            Place::Outside => f(),
            Place::Thread => thread::spawn(f).join().unwrap(),
            Place::Run => runtime.run(f),
            Place::RunInATask => spawn(task::Builder::new(), Box::new(move || inner.run(f))),
            Place::Task => spawn(task::Builder::new(), Box::new(f)),
            Place::Lean => runtime.run(|| {
                // SAFETY: `f` does not suspend.
                unsafe { task::Builder::new().spawn_lean(f) }.unwrap().join().unwrap();
            }),
            Place::Dedicated => spawn(task::Builder::new().dedicated(), Box::new(f)),
            Place::Blocking => spawn(task::Builder::new(), Box::new(|| task::blocking(f))),
            Place::OnThread => spawn(task::Builder::new(), Box::new(|| task::on_thread(f))),
            Place::Handler => {
                let (f, over) = (Mutex::new(Some(f)), Over::default());
                let said = over.clone();
                let request = Request::notification().on_complete(move |_, _| {
                    let f = f.lock().unwrap().take().unwrap();
                    f();
                    said.say();
                });
                runtime.channel().post(request).unwrap();
                over.wait();
            }
            Place::Listener => {
                let (f, told, handled) = (Mutex::new(Some(f)), Over::default(), Over::default());
                let (tell, say) = (told.clone(), handled.clone());
                let other = Runtime::builder().cores(1).on_event(move |_| {
                    let f = f.lock().unwrap().take();
                    f.into_iter().for_each(|f| {
                        f();
                        tell.say();
                    });
                });
                let other = other.build().unwrap();
                // It blocks its worker, of which the listener is told.
                let blocks = Request::notification().on_complete(move |_, _| {
                    told.wait();
                    say.say();
                });
                other.channel().post(blocks).unwrap();
                handled.wait();
            }
        }
    }
}

/// Is said once, to a thread that sleeps meanwhile. A child can say it, and drop it: unlike what std has for that, it has no lock, which
/// the one who waits might have held when the process forked.
#[derive(Clone, Default)]
struct Over(Arc<AtomicBool>);

impl Over {
    fn say(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn wait(&self) {
        while !self.0.load(Ordering::Acquire) {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// How a child has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Code(i32),
    Signal(i32),
}

/// Forks here, calls `child` there, and waits for the child's end. Where `child` returns, this returns in the child, as `None`.
pub fn fork(child: impl FnOnce()) -> Option<End> {
    // SAFETY: the child uses what is documented to work there; glibc allows it to allocate.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "{}", std::io::Error::last_os_error());
    if pid == 0 {
        // A child that hangs is ended by this signal.
        // SAFETY: no pointer is passed.
        unsafe { libc::alarm(20) };
        child();
        return None;
    }
    let mut status = 0;
    // SAFETY: a live place for the status.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    Some(if libc::WIFEXITED(status) {
        End::Code(libc::WEXITSTATUS(status))
    } else {
        End::Signal(libc::WTERMSIG(status))
    })
}

/// A child that has done what it was to do.
pub const WELL: Option<End> = Some(End::Code(0));

/// Forks a child that does this, and nothing of what its parent would do after it.
pub fn child(does: impl FnOnce()) -> Option<End> {
    fork(|| ends_after(does))
}

/// By a child: it does this, and ends.
pub fn ends_after(does: impl FnOnce()) -> ! {
    let well = catch_unwind(AssertUnwindSafe(does));
    // SAFETY: nothing of the parent's is run.
    unsafe { libc::_exit(i32::from(well.is_err())) };
}

/// Calls `f` in each place of this runtime, and sees to it that it returns.
pub fn in_each_place(runtime: &Arc<Runtime>, f: impl Fn() + Clone + Send + 'static) {
    for place in Place::ALL {
        let seen = Arc::new(Mutex::new(None));
        let (theirs, f) = (seen.clone(), f.clone());
        place.call(runtime, move || {
            let well = catch_unwind(AssertUnwindSafe(f));
            *theirs.lock().unwrap() = Some(well.is_ok());
        });
        assert_eq!(*seen.lock().unwrap(), Some(true), "{place:?}");
    }
}

/// Runs `case` in a process of its own for each driver, which is that of the default runtime there, too. Gives what the process
/// has written to its standard output.
pub fn each_driver(test: &str, case: impl FnOnce(Arc<Runtime>)) -> Vec<String> {
    if this_test_again(test).is_none() {
        limit(240, || case(Arc::new(Runtime::builder().cores(2).build().unwrap())));
        return Vec::new();
    }
    let again = |driver: Driver| -> Command {
        let mut again = this_test_again(test).unwrap();
        again.env("EVENT_CHANNEL_DRIVER", driver.to_string());
        again
    };
    let mut said = Vec::new();
    for driver in Driver::ALL {
        if let Err(error) = Runtime::builder().driver(driver).build() {
            skipped(&format!("{driver}: {error}"));
            continue;
        }
        let output = limit(300, || again(driver).stderr(Stdio::inherit()).output().unwrap());
        let words = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "on {driver}: {}\n{words}", output.status);
        said.push(words);
    }
    said
}
