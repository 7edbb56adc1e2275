//! The end of a pool, step by step.
//!
//! 1. **Close.** No task is spawned any more; one that waits to begin still begins, cancelled. Every live task is cancelled, and stays so: each of its cancellation points fails from now on.
//! 2. **Grace.** The shutdown waits until all tasks have ended, or until the grace is over. A task that lives after that is *abandoned*,
//!    and named. If a task calls the shutdown, this step runs on a thread of its own. If it is a task of this very pool, it is an
//!    *insider*: its shutdown neither cancels insiders nor waits for them nor names them. The next steps then begin when the
//!    insiders have ended. To a shutdown from a plain thread an insider is a task like the others. A task of this pool that waits for
//!    the end of a shutdown itself, of this pool or another one, is hurried when the grace is over: its call returns
//!    (`awaited.rs`), and there is a last look whether it ends.
//! 3. **Channel.** The channel is shut down. Getters that wait get their error. Requests in flight come back cancelled. The workers
//!    still drive the ports and run the handlers. Handlers for which there is no time are counted, and dropped.
//! 4. **Stop.** The workers leave their loops. The spare threads, the monitor and the notifier go. All are joined. A thread that does not
//!    return from the program's code (a task, a handler, a listener, a logger, an allocator) is left behind, and named. It leaves
//!    when that code returns. Tasks that have not begun are refused, and the handlers that were not called are dropped
//!    (`worker/leftovers.rs`). Both is code of the program's, and so it happens on a thread of its own.
//! 5. **Free.** What no abandoned task refers to goes with the last pointer to the pool. An abandoned task is never unwound. It keeps
//!    its stack, its place in a queue, and, through its pointer to the scheduler, the channel whose ports have its requests. A
//!    dedicated one goes on, on its own thread (`wait/dedicated.rs`).
//!
//! If there are several shutdowns at a time, the one whose grace is over first goes on to the last steps. The others then wait for the
//! tasks no longer, because those do not run any more.
//!
//! **All waits end with the grace,** and a few looks after it (`grace.rs`), unless the caller has set no limit: the code that is
//! waited for may itself wait for the caller. Nor does the caller run code of the program's: what there is to say the notifier says,
//! or a thread of its own. An error that no caller can be told is logged.

mod naming;
mod stop;

use crate::awaited::Awaited;
use crate::grace;
use crate::joining::{Leaving, is_gone};
use crate::quietly;
use crate::shutdown_error::ShutdownError;
use crate::size::events;
use crate::worker::context;
use crate::worker::current::shared_of;
use crate::worker::shared::Shared;
use ec_tasks::{Task, TaskId, WaitKind};
use log::Level;
use std::sync::Arc;
use std::time::{Duration, Instant};

static IN_SHUTDOWN: WaitKind =
    WaitKind { name: "shutdown", cancel: None, describe: |_, _| String::from("the end of the other tasks") };

const DROPPED: &str = "a runtime was dropped, and of its tasks";
const HELD: &str = "a runtime was dropped:";
const UNHEARD: &str = "a runtime was shut down, and who called does not hear it:";

/// What a pool that is dropped gives its tasks.
const ON_DROP: Duration = Duration::from_secs(1);

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
    match caller(shared) {
        Caller::Thread => conduct(shared, grace, None, |_| ()),
        Caller::Handler => {
            close(shared, &[]);
            on_a_thread(shared, grace, None, Hears::Log(UNHEARD));
            Ok(())
        }
        Caller::Task(task) => in_task(shared, grace, task),
    }
}

/// The owner has gone, with this reference. Waits for the end where that is possible.
pub(crate) fn on_drop(shared: Arc<Shared>) {
    // A thread that unwinds may not suspend; a task may not block its worker.
    let waits = matches!(caller(&shared), Caller::Thread) && !std::thread::panicking();
    let deadline = Instant::now() + ON_DROP;
    let mut said = match shared.life.is_done() {
        true => None,
        false if waits => say_aside(Some(&shared), DROPPED, conduct(&shared, ON_DROP, None, |_| ())),
        false => {
            close(&shared, &[]);
            on_a_thread(&shared, ON_DROP, None, Hears::Log(DROPPED));
            None
        }
    };
    let mut last = if shared.holds_foreign() { shared.go_elsewhere() } else { None };
    if !waits {
        return;
    }
    grace::wait_until(Some(deadline), || is_gone(&mut last) && is_gone(&mut said));
    if !is_gone(&mut last) {
        let names = vec![String::from("a destructor of what it held")];
        say_aside(None, HELD, ShutdownError::unless_empty(names));
    }
}

/// As [`on_drop`], without waiting and without a word: nobody has used it.
pub(crate) fn discard(shared: Arc<Shared>) {
    close(&shared, &[]);
    on_a_thread(&shared, ON_DROP, None, Hears::Nobody);
    shared.go_elsewhere();
}

/// Whom the shutdown that `own` called, a task of the pool itself, spares: all who have done the same. One
/// from outside spares nobody.
fn spared(shared: &Shared, own: Option<TaskId>) -> Vec<TaskId> {
    own.map_or_else(Vec::new, |_| shared.life.insiders())
}

/// Step 1. Everybody who is not spared is cancelled.
fn close(shared: &Shared, spared: &[TaskId]) {
    shared.life.close();
    for task in ec_tasks::live_tasks_of(shared) {
        if !spared.contains(&task.id()) {
            task.cancel_sticky(shared);
        }
    }
}

fn in_task(shared: &Arc<Shared>, grace: Duration, task: Task) -> Result<(), ShutdownError> {
    let own = is_own(shared, &task).then(|| task.id());
    if let Some(id) = own {
        shared.life.enter(id);
    }
    close(shared, &spared(shared, own));
    let awaited = Arc::new(Awaited::new(task.clone()));
    // (A task of somebody else's scheduler cannot be hurried.)
    let home = shared_of(&task);
    if let Some(home) = home {
        home.life.awaits(&awaited);
        if home.life.is_stopped() {
            let _ = awaited.leave();
        }
    }
    on_a_thread(shared, grace, own, Hears::Task(awaited.clone()));
    ec_tasks::begin_wait(&IN_SHUTDOWN, 0, 0);
    let answer = awaited.wait();
    ec_tasks::end_wait();
    if let Some(home) = home {
        home.life.has_awaited(&awaited);
    }
    answer.unwrap_or_else(|| {
        let (_, names) = naming::tasks(shared, &spared(shared, Some(task.id())));
        Err(ShutdownError::not_over(names))
    })
}

/// Who hears how a shutdown went whose caller does not wait for it itself.
#[derive(Clone)]
enum Hears {
    Task(Arc<Awaited>),
    /// With these words in front.
    Log(&'static str),
    Nobody,
}

impl Hears {
    /// On a thread that nobody waits for: a logger may block.
    fn hear(self, result: Result<(), ShutdownError>) {
        let unheard = match &self {
            Hears::Task(awaited) => awaited.answer(result),
            Hears::Log(_) => result,
            Hears::Nobody => Ok(()),
        };
        let how = if let Hears::Log(how) = self { how } else { UNHEARD };
        say(how, unheard);
    }
}

/// All steps on a thread of their own. If the system has none to give, only step 1 happens.
fn on_a_thread(shared: &Arc<Shared>, grace: Duration, own: Option<TaskId>, hears: Hears) {
    let body = {
        let (shared, hears) = (shared.clone(), hears.clone());
        move || {
            // A task of the pool itself hears before the last steps. What comes of those only the log hears.
            let last = if own.is_some() { Hears::Log(UNHEARD) } else { hears.clone() };
            let result = conduct(&shared, grace, own, |known| hears.hear(known));
            last.hear(result);
        }
    };
    let builder = std::thread::Builder::new().name("ec-shutdown".into());
    if let Err(error) = ec_tasks::start_thread(builder, body) {
        let why = format!("no thread to end a runtime with ({error}): its workers stay");
        if let Hears::Task(awaited) = hears {
            let (_, mut names) = naming::tasks(shared, &spared(shared, own));
            names.push(why.clone());
            // (It is the caller, and waits.)
            let _ = awaited.answer(ShutdownError::unless_empty(names));
        }
        shared.size.notifier.note(Level::Error, module_path!(), || why);
    }
}

/// Steps 1 to 4 on a plain thread. If a task of the pool itself waits for it (`own`), `tell` gets the result of the first two as soon as
/// it is known, because that task must end before the workers can, and what is returned is that of the others.
fn conduct(
    shared: &Arc<Shared>,
    grace: Duration,
    own: Option<TaskId>,
    tell: impl FnOnce(Result<(), ShutdownError>),
) -> Result<(), ShutdownError> {
    let end_of_grace = || Instant::now().checked_add(grace);
    let mut deadline = end_of_grace();
    close(shared, &spared(shared, own));
    let name = if own.is_some() { "a task of its own" } else { "others than its tasks" };
    log(shared, || format!("a pool is shut down by {name}: new tasks are refused, the others are cancelled"));
    let (mut tasks, mut names) = wait_for_tasks(shared, deadline, own);
    if own.is_some() {
        tell(ShutdownError::unless_empty(std::mem::take(&mut names)));
        // (Without a limit: this is a thread of its own, and whoever waits for it from outside knows one.)
        shared.life.wait_for_insiders();
        if shared.life.hurry() {
            grace::wait_until(Some(Instant::now()), || shared.life.all_ended(false));
        }
        (tasks, deadline) = (naming::tasks(shared, &[]).0, end_of_grace());
    }
    if shared.life.claim() {
        // (Also if it unwinds: others wait for it.)
        let finish = Finish(shared);
        names.extend(stop::stop(shared, deadline, &tasks));
        drop(finish);
    } else if own.is_none() && !grace::wait_until(deadline, || shared.life.is_done()) {
        names.push(String::from("another shutdown, which is under way"));
        let inside = shared.size.threads.all();
        let inside = inside.iter().filter(|worker| worker.info.taker.is_in_user_code());
        names.extend(inside.filter_map(|worker| naming::worker(&worker.info, &tasks)));
    }
    ShutdownError::unless_empty(names)
}

/// Step 2. Gives who is abandoned.
fn wait_for_tasks(
    shared: &Shared,
    deadline: Option<Instant>,
    own: Option<TaskId>,
) -> (Vec<TaskId>, Vec<String>) {
    let life = &shared.life;
    if life.wait_for_tasks(deadline, own.is_some()) {
        return Default::default();
    }
    // (The others of an insider are not abandoned before that has ended.)
    let hurried = own.is_none() && life.hurry();
    // What was admitted just before the end is in a queue after this, and can be named; unless its spawn takes very long, in an
    // allocator, say.
    grace::wait_until(Some(Instant::now()), || {
        life.all_ended(own.is_some()) || !hurried && !life.is_spawning()
    });
    if life.all_ended(own.is_some()) {
        return Default::default();
    }
    let (tasks, mut names) = naming::tasks(shared, &spared(shared, own));
    if life.is_spawning() {
        names.push(String::from("a task that is just being spawned"));
    }
    (tasks, names)
}

/// Whoever has claimed the last steps has gone through them, when this is dropped.
struct Finish<'a>(&'a Shared);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.0.life.finish();
    }
}

/// By way of the notifier: the caller may hold what the logger needs.
fn log(shared: &Shared, line: impl FnOnce() -> String) {
    shared.size.notifier.note(Level::Debug, module_path!(), line);
}

/// Writes what nobody else hears into the log.
fn say(how: &str, result: Result<(), ShutdownError>) {
    if let Err(error) = result {
        quietly!(warn, "{how} {error}");
    }
}

/// As [`say`], on a thread of its own, which may be waited for: the caller may hold what the logger needs. Without a thread the notifier of
/// the pool says it, if there still is one.
fn say_aside(
    shared: Option<&Shared>,
    how: &'static str,
    result: Result<(), ShutdownError>,
) -> Option<Leaving> {
    let line = format!("{how} {}", result.as_ref().err()?);
    let started = Leaving::start(move || say(how, result));
    if let (Err(_), Some(shared)) = (&started, shared) {
        shared.size.notifier.note(Level::Warn, module_path!(), || line);
    }
    started.ok()
}
