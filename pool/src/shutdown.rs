//! The end of a pool, step by step.
//!
//! 1. **Close.** No task is spawned any more; one that waits to begin still begins, cancelled. Every live task is cancelled, and stays so: each of its cancellation points fails from now on.
//! 2. **Grace.** The shutdown waits until all tasks have ended, or until the grace is over. A task that lives after that is *abandoned*,
//!    and named. If a task calls the shutdown, this step runs on a thread of its own. If it is a task of this very pool, it is an
//!    *insider*: its shutdown neither cancels insiders nor waits for them nor names them. The next steps then begin when the
//!    insiders have ended. To a shutdown from a plain thread an insider is a task like the others.
//! 3. **Channel.** The channel is shut down. Getters that wait get their error. Requests in flight come back cancelled. The workers
//!    still drive the ports and run the handlers. Handlers for which there is no time are counted, and dropped.
//! 4. **Stop.** The workers leave their loops. The spare threads, the monitor and the notifier go. All are joined. A thread that does not
//!    return from the program's code (a task, a handler, a listener, a logger, an allocator) is left behind, and named. It leaves
//!    when that code returns.
//! 5. **Free.** What no abandoned task refers to goes with the last pointer to the pool. An abandoned task is never unwound. It keeps
//!    its stack, its place in a queue, and, through its pointer to the scheduler, the channel whose ports have its requests.
//!
//! If there are several shutdowns at a time, the one whose grace is over first goes on to the last steps. The others then wait for the
//! tasks no longer, because those do not run any more.
//!
//! Nothing here waits without a limit unless the caller has set none: the code that is waited for may itself wait for the caller.

use crate::core::forced::Forced;
use crate::core::ready::{Ready, What};
use crate::joining::join_until;
use crate::quietly;
use crate::size::events;
use crate::worker::context;
use crate::worker::current::shared_of;
use crate::worker::shared::Shared;
use ec_tasks::lock::Mutex;
use ec_tasks::{Task, TaskId, Tokens, WaitKind};
use log::Level;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the last steps may take when the grace is used up: time for those to leave who can.
const LAST_STEPS: Duration = Duration::from_millis(250);

/// For a worker that is in no task and no handler, and yet does not leave: the machine may stand still, or an allocator.
const STUCK: Duration = Duration::from_secs(2);

/// Some tasks did not stop within the grace of a shutdown, threads of the pool are inside the program's code and did not return, or
/// handlers of events were not called, for lack of time. The
/// tasks are abandoned: never unwound, and what they hold stays until the process ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShutdownError {
    names: Vec<String>,
}

impl ShutdownError {
    /// The abandoned tasks by their names, with their ids; and the threads that were left behind, with what they are in.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

impl fmt::Display for ShutdownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} would not stop within the grace and are abandoned: ", self.names.len())?;
        f.write_str(&self.names.join(", "))
    }
}

impl Error for ShutdownError {}

static IN_SHUTDOWN: WaitKind =
    WaitKind { name: "shutdown", cancel: None, describe: |_, _| String::from("the end of the other tasks") };

/// Who calls.
enum Caller {
    Thread,
    /// A handler, on a worker of the pool itself; or a listener to events, on any thread of a pool.
    Handler,
    Task(Task),
}

fn caller(shared: &Shared) -> Caller {
    match ec_tasks::current() {
        Some(task) => Caller::Task(task),
        None if events::is_told()
            || context::here(|context| context.is_some_and(|context| context.is_of(shared))) =>
        {
            Caller::Handler
        }
        None => Caller::Thread,
    }
}

fn is_own(shared: &Shared, task: &Task) -> bool {
    shared_of(task).is_some_and(|own| std::ptr::eq(own, shared))
}

/// See [`PoolHandle::shutdown`](crate::PoolHandle::shutdown).
pub(crate) fn shutdown(shared: &Arc<Shared>, grace: Duration) -> Result<(), ShutdownError> {
    if ec_tasks::forked() || shared.life.is_done() {
        return Ok(());
    }
    let deadline = Instant::now().checked_add(grace);
    match caller(shared) {
        Caller::Thread => conduct(shared, deadline, None, |result| result),
        Caller::Handler => {
            close(shared, None);
            on_a_thread(shared, deadline, None, |_| ());
            Ok(())
        }
        Caller::Task(task) => in_task(shared, deadline, task),
    }
}

/// The owner has gone. Waits for the end where that is possible.
pub(crate) fn on_drop(shared: &Arc<Shared>) {
    if shared.life.is_done() {
        return;
    }
    let warn = |result: Result<(), ShutdownError>| {
        if let Err(error) = result {
            quietly!(warn, "a runtime was dropped, and of its tasks {error}");
        }
    };
    let deadline = Some(Instant::now() + Duration::from_secs(1));
    // A thread that unwinds may not suspend; a task may not block its worker.
    if matches!(caller(shared), Caller::Thread) && !std::thread::panicking() {
        warn(conduct(shared, deadline, None, |result| result));
    } else {
        close(shared, None);
        on_a_thread(shared, deadline, None, warn);
    }
}

/// As [`on_drop`], without waiting and without a word: nobody has used it.
pub(crate) fn discard(shared: &Arc<Shared>) {
    close(shared, None);
    on_a_thread(shared, Some(Instant::now() + Duration::from_secs(1)), None, |_| ());
}

/// Whom the shutdown that `own` called, a task of the pool itself, spares: all who have done the same. One
/// from outside spares nobody.
fn spared(shared: &Shared, own: Option<TaskId>) -> Vec<TaskId> {
    own.map_or_else(Vec::new, |_| shared.life.insiders())
}

/// Step 1. Everybody who is not spared is cancelled.
fn close(shared: &Shared, own: Option<TaskId>) {
    shared.life.close();
    let spared = spared(shared, own);
    for task in ec_tasks::live_tasks_of(shared) {
        if !spared.contains(&task.id()) {
            task.cancel_sticky(shared);
        }
    }
}

fn in_task(shared: &Arc<Shared>, deadline: Option<Instant>, task: Task) -> Result<(), ShutdownError> {
    let own = is_own(shared, &task).then(|| task.id());
    if let Some(id) = own {
        shared.life.enter(id);
    }
    close(shared, own);
    let answer = Arc::new(Mutex::new(None));
    let tell = {
        let answer = answer.clone();
        move |result| {
            // (Nothing was there, so that nothing is dropped under the lock.)
            answer.lock().replace(result);
            task.wake(Tokens::SYNC);
        }
    };
    on_a_thread(shared, deadline, own, tell);
    ec_tasks::begin_wait(&IN_SHUTDOWN, 0, 0);
    let result = loop {
        let answered = answer.lock().take();
        if let Some(result) = answered {
            break result;
        }
        ec_tasks::suspend(Tokens::SYNC);
    };
    ec_tasks::end_wait();
    result
}

/// All steps on a thread of their own. If the system has none to give, only step 1 happens.
fn on_a_thread(
    shared: &Arc<Shared>,
    deadline: Option<Instant>,
    own: Option<TaskId>,
    tell: impl FnOnce(Result<(), ShutdownError>) + Send + 'static,
) {
    let tell = Arc::new(Mutex::new(Some(tell)));
    let body = {
        let (shared, tell) = (shared.clone(), tell.clone());
        move || {
            conduct(&shared, deadline, own, |result| {
                let tell = tell.lock().take();
                if let Some(tell) = tell {
                    tell(result);
                }
            });
        }
    };
    let builder = std::thread::Builder::new().name("ec-shutdown".into());
    if let Err(error) = ec_tasks::start_thread(builder, body) {
        quietly!(error, "no thread to end a runtime with ({error}): its workers stay");
        let tell = tell.lock().take();
        if let Some(tell) = tell {
            tell(left_behind(abandoned(shared, own)));
        }
    }
}

/// Steps 1 to 4 on a plain thread. `tell` gets the result: at the end, or, if a task of the pool itself waits
/// for it (`own`), as soon as it is known, because that task must end before the workers can.
fn conduct<R>(
    shared: &Arc<Shared>,
    deadline: Option<Instant>,
    own: Option<TaskId>,
    tell: impl FnOnce(Result<(), ShutdownError>) -> R,
) -> R {
    close(shared, own);
    let name = if own.is_some() { "a task of its own" } else { "others than its tasks" };
    log(shared, || format!("a pool is shut down by {name}: new tasks are refused, the others are cancelled"));
    let all_ended = match own {
        Some(_) => shared.life.wait_for_outsiders(deadline),
        None => shared.life.wait_for_tasks(deadline),
    };
    let mut result = Ok(());
    if !all_ended {
        // What was admitted just before the end is in a queue after this, and can be named; unless its spawn takes very long, in an
        // allocator, say.
        let all_spawned = shared.life.wait_for_spawns(last_of(deadline));
        let mut names = abandoned(shared, own);
        if !all_spawned {
            names.push(String::from("a task that is just being spawned"));
        }
        result = left_behind(names);
    }
    let mut tell = Some(tell);
    let mut told = None;
    if own.is_some() {
        told = tell.take().map(|tell| tell(result.clone()));
        // (Without a limit: this is a thread of its own, and whoever waits for it from outside knows one.)
        shared.life.wait_for_insiders();
    }
    let last = last_of(deadline);
    if shared.life.claim() {
        // (Also if it unwinds: others wait for it.)
        let finish = Finish(shared);
        let left = stop(shared, last);
        if result.is_ok() {
            result = left_behind(left);
        }
        drop(finish);
    } else if own.is_none() && !shared.life.wait_until_done(last) && result.is_ok() {
        result = left_behind(vec![String::from("another shutdown, which is under way")]);
    }
    match (told, tell) {
        (Some(told), _) => told,
        (None, Some(tell)) => tell(result),
        (None, None) => unreachable!("it is told once"),
    }
}

/// Whoever has claimed the last steps has gone through them, when this is dropped.
struct Finish<'a>(&'a Shared);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.0.life.finish();
    }
}

/// Until when the last steps may take, the grace being over at `deadline`.
fn last_of(deadline: Option<Instant>) -> Option<Instant> {
    deadline.map(|deadline| deadline.max(Instant::now() + LAST_STEPS))
}

fn left_behind(names: Vec<String>) -> Result<(), ShutdownError> {
    if names.is_empty() { Ok(()) } else { Err(ShutdownError { names }) }
}

/// The tasks that live, but for those that are spared.
fn abandoned(shared: &Shared, own: Option<TaskId>) -> Vec<String> {
    let spared = spared(shared, own);
    let mut tasks = ec_tasks::live_tasks_of(shared);
    tasks.retain(|task| !spared.contains(&task.id()));
    tasks.sort_by_key(Task::id);
    // (Not what they wait for: to describe that is the program's code.)
    tasks.iter().map(|task| crate::dump::title(task.id(), task.name())).collect()
}

/// Steps 3 and 4. Returns who is inside the program's code and did not return.
fn stop(shared: &Arc<Shared>, last: Option<Instant>) -> Vec<String> {
    shared.channel.shutdown();
    // Woken by nobody in particular: looked at every so often, while the process ends a pool anyway.
    let nap = || Instant::now() + Duration::from_millis(1);
    while last.is_none_or(|last| Instant::now() < last) && !is_drained(shared) {
        shared.life.wait_for(Some(nap()), || false);
    }
    log(shared, || String::from("the channel of a pool has been shut down; its workers are to leave"));
    shared.life.stop();
    // What waits for tasks of this pool in any channel waits for others from now on.
    ec_channel::tasks_were_left();
    // The monitor first: it would start more threads.
    let last = last_of(last);
    let monitor_has_left = shared.size.monitor.join(last);
    shared.size.threads.spares.close();
    shared.wake_all();
    // A worker among tasks that yield for ever is busy at every look and yet about to leave.
    let last = last_of(last);
    // (`None`: so far off that it never comes.)
    let at_last = last.and_then(|last| last.checked_add(STUCK));
    loop {
        if shared.life.wait_for(Some(nap()), || shared.life.running_workers() == 0) {
            break;
        }
        // Who is not inside user code leaves soon; who is may take for ever.
        let is_over = |end: Option<Instant>| end.is_some_and(|end| Instant::now() >= end);
        if is_over(at_last) || is_over(last) && shared.life.running_workers() <= shared.size.threads.inside()
        {
            break;
        }
    }
    let mut behind = join_workers(shared, last);
    behind.extend(drop_calls(shared, last));
    if !monitor_has_left {
        behind.push(String::from("the monitor"));
    }
    log(shared, || match &behind[..] {
        [] => String::from("a pool has ended"),
        behind => format!("a pool has ended, but for {}", behind.join(", ")),
    });
    // After all those who have something to say.
    behind.extend(shared.size.notifier.close(last_of(last)).map(String::from));
    behind
}

/// By way of the notifier: the caller may hold what the logger needs.
fn log(shared: &Shared, line: impl FnOnce() -> String) {
    shared.size.notifier.log(Level::Debug, module_path!(), line);
}

/// Nothing in flight, no handler due, nothing queued that an event waits for.
fn is_drained(shared: &Shared) -> bool {
    let channel = shared.channel.metrics();
    channel.in_flight == 0
        && channel.handlers_due == 0
        && !shared.queues.work_is_visible()
        && shared.forced.as_ref().is_none_or(Forced::is_empty)
        && shared.size.threads.inside() == 0
}

/// The handlers for which the time was too short are not called any more: their events go, with what they hold. That is code of the
/// program's, and so on a thread of its own.
fn drop_calls(shared: &Shared, last: Option<Instant>) -> Vec<String> {
    let mut calls = Vec::new();
    for _ in 0..shared.queues.injector.len() {
        match shared.queues.injector.pop_front().map(Ready::into_kind) {
            Some(What::Call(call)) => calls.push(call),
            // An abandoned task stays where it is.
            Some(What::Task(task)) => shared.queues.injector.push_back(Ready::task(task)),
            None => break,
        }
    }
    if calls.is_empty() {
        return Vec::new();
    }
    let mut behind = vec![format!("{} handlers of events, which were not called", calls.len())];
    let body = move || calls.into_iter().for_each(ec_tasks::drop_quietly);
    let builder = std::thread::Builder::new().name(String::from("ec-last"));
    // (Without a thread they are dropped here.)
    if let Ok(thread) = ec_tasks::start_thread(builder, body)
        && !join_until(thread, last_of(last))
    {
        behind.push(String::from("a destructor of what an event holds"));
    }
    behind
}

/// Joins the workers that have left their loop, so that their threads are gone when this returns. Returns the others.
fn join_workers(shared: &Shared, last: Option<Instant>) -> Vec<String> {
    let threads = shared.size.threads.handles();
    let all_left = shared.life.running_workers() == 0;
    let last = last_of(last);
    let mut behind = Vec::new();
    for (worker, thread) in threads {
        let name = &worker.info.name;
        if !all_left && !thread.is_finished() {
            let what =
                if worker.info.taker.is_in_user_code() { "user code" } else { "code that does not return" };
            behind.push(format!("{what} on {name}"));
        } else if !join_until(thread, last) {
            behind.push(format!("a destructor of a thread-local on {name}"));
        }
    }
    behind
}
