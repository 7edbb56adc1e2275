//! Waiting for the first of several things: [`select!`](macro@crate::sync::select), and what it can wait for.
//!
//! ```
//! use event_channel::sync::{channel, oneshot, select};
//! use event_channel::time::Duration;
//! use event_channel::{run, task};
//!
//! run(|| {
//!     let (jobs, todo) = channel::bounded(16);
//!     let (quit, quits) = oneshot::channel::<()>();
//!     let worker = task::spawn(move || {
//!         let mut sum = 0;
//!         loop {
//!             select! {
//!                 recv(&todo) -> job => match job {
//!                     Ok(job) => sum += job,
//!                     Err(_) => break Ok(sum), // nobody sends any more
//!                 },
//!                 recv(&quits) -> _ => break Ok(-1),
//!                 sleep(Duration::from_secs(60)) => println!("nothing to do"),
//!             }?
//!         }
//!     });
//!     (1..=10).for_each(|job| jobs.send(job).unwrap());
//!     drop(jobs);
//!     let sum: Result<i32, select::SelectError> = worker.join().unwrap();
//!     assert_eq!(sum, Ok(55));
//!     drop(quit);
//! });
//! ```
//!
//! What can be waited for is named as the call that waits for it alone:
//!
//! | arm | comes with | what it gives |
//! | --- | --- | --- |
//! | [`recv(&receiver)`](recv) | a value, or the end: of a [`channel`](super::channel), an [`mpsc`](super::mpsc), a [`oneshot`](super::oneshot) | what `recv` gives |
//! | [`send(&sender, value)`](send) | a place, or a receiver; or the end | what `send` gives |
//! | [`send_from(&sender, &mut slot)`](send_from) | the same; the value stays in the `Option` unless it is sent. (After the end it is in the error.) | the same |
//! | [`closed(&sender)`](closed) | the end of the receiver of a [`oneshot`](super::oneshot) | |
//! | [`wait(&notification)`](wait) | a post | |
//! | [`join(&mut handle)`](join) | the end of a task | what `join` gives |
//! | [`join_next(&mut set)`](join_next) | the end of one of a [set](crate::task::JoinSet) of tasks | what `join_next` gives |
//! | [`sleep(duration)`](sleep), [`sleep_until(instant)`](sleep_until) | the time | |
//! | [`tick(&mut interval)`](tick) | the next tick | when it was due |
//! | [`wait_readable(&socket)`](wait_readable), [`wait_writable(&socket)`](wait_writable) | readiness, of anything that has a descriptor | [`io::Result<()>`](std::io::Result) |

mod draw;
#[doc(hidden)]
pub mod hidden;
mod joins;
mod ready;
mod receive;
mod send;
mod times;

pub use joins::{join, join_next};
pub use ready::{wait_readable, wait_writable};
pub use receive::{closed, recv, wait};
pub use send::{send, send_from};
pub use times::{sleep, sleep_until, tick};

use super::base::first::{Among, Arm, Stood};
use super::base::said::{self, What};
use super::channel::Delivered;
use crate::{Cancelled, Elapsed};
use ec_tasks::WaitKind;
use sealed::Sealed;
use std::error::Error;
use std::fmt;
use std::io;

static SELECT: WaitKind = WaitKind { name: "select", cancel: None, describe: said::describe };

/// What an arm of a [`select!`](macro@crate::sync::select) waits for. There are those of [this module](self) and no others.
pub trait Operation: Arm {
    /// What it gives.
    type Output;

    /// What it has given, once, after it was the first.
    #[doc(hidden)]
    fn output(&mut self) -> Option<Self::Output>;
}

/// An arm, and how to get at what it gives.
struct Of<A, F> {
    arm: A,
    output: F,
}

impl<A, O, F: FnMut(&mut A) -> Option<O>> Of<A, F> {
    fn new(arm: A, output: F) -> Self {
        Of { arm, output }
    }
}

impl<A: Arm, F> Arm for Of<A, F> {
    fn attempt(&mut self) -> bool {
        self.arm.attempt()
    }

    fn attempt_at_once(&mut self) -> bool {
        self.arm.attempt_at_once()
    }

    fn is_claimed(&self) -> bool {
        self.arm.is_claimed()
    }

    fn offers(&self) -> bool {
        self.arm.offers()
    }

    fn is_there(&self) -> bool {
        self.arm.is_there()
    }

    fn what(&self) -> Option<What> {
        self.arm.what()
    }

    fn stand(&mut self, among: &Among<'_>, inner: &mut dyn FnMut(&Among<'_>)) -> Stood {
        self.arm.stand(among, inner)
    }

    fn pass_on(&mut self) {
        self.arm.pass_on();
    }

    fn leave(&mut self) {
        self.arm.leave();
    }
}

impl<A: Arm, O, F: FnMut(&mut A) -> Option<O>> Operation for Of<A, F> {
    type Output = O;

    fn output(&mut self) -> Option<O> {
        (self.output)(&mut self.arm)
    }
}

mod sealed {
    /// Nobody else can name it.
    pub struct Sealed;
}

/// Why nothing came of a [`select!`](macro@crate::sync::select): nothing was received, sent, taken or joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelectError {
    /// The task was cancelled. As an [`io::Error`] it holds a [`Cancelled`].
    Cancelled,
    /// The deadline of a surrounding [`timeout`](crate::time::timeout) has come. As an [`io::Error`] it holds an [`Elapsed`].
    TimedOut,
}

impl fmt::Display for SelectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        io::Error::from(*self).fmt(f)
    }
}

impl Error for SelectError {}

impl From<SelectError> for io::Error {
    fn from(error: SelectError) -> io::Error {
        match error {
            SelectError::Cancelled => Cancelled.into(),
            SelectError::TimedOut => Elapsed.into(),
        }
    }
}

impl SelectError {
    /// Of [`Stop::deliver`](ec_pool::wait::Stop::deliver).
    fn of(delivered: io::Error) -> SelectError {
        match Delivered::from(delivered) {
            Delivered::TimedOut => SelectError::TimedOut,
            _ => SelectError::Cancelled,
        }
    }
}

/// Waits for the first of several things, and runs its arm. A cancellation point.
///
/// ```
/// use event_channel::sync::{Notification, channel, select};
/// use event_channel::time::Duration;
/// use event_channel::run;
///
/// run(|| {
///     let (sender, receiver) = channel::bounded(1);
///     let stop = Notification::new();
///     sender.send(7).unwrap();
///     let got = select! {
///         recv(&receiver) -> value => value.ok(),
///         wait(&stop) => None,
///         sleep(Duration::from_secs(5)) => None,
///     }?;
///     assert_eq!(got, Some(7));
///     Ok::<(), std::io::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// **Arms.** `operation(arguments) -> pattern => expression`, with `-> pattern` left out where the result does not matter. The operations, and
/// what each gives, are in the [module](mod@crate::sync::select). An arm with `, if condition` before its `=>` is left out unless the condition
/// holds; its arguments are not evaluated then. All conditions are evaluated first, so that each may look at what another arm borrows:
///
/// ```
/// # use event_channel::sync::{channel, select};
/// # let (out, outs) = channel::bounded(1);
/// # let (_in, ins) = channel::bounded::<u32>(1);
/// # let mut waiting = vec![1];
/// select! {
///     recv(&ins) -> value, if waiting.len() < 100 => waiting.extend(value),
///     send(&out, waiting[0]) -> sent, if !waiting.is_empty() => {
///         sent.unwrap();
///         waiting.remove(0);
///     }
/// }?;
/// # assert_eq!(outs.recv(), Ok(1));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// A pattern must be irrefutable (`value`, not `Ok(value)`): the arm is taken whatever it gives, so the expression looks at it. Behind an
/// expression that is no block there is a comma, behind a `match` as well. Each arm has frames of its own on the stack, while it waits: some
/// 1.5 KiB in a build without optimizations.
///
/// **Temporaries.** What the arguments make in passing, a guard or an interval, lasts until the select has come to an end, and is dropped before
/// an arm's expression runs. In an arm with a condition it does not last so long, and the compiler says so: there it needs a name.
///
/// ```
/// # use event_channel::sync::{Mutex, channel, select};
/// # use event_channel::time::Duration;
/// # let (sender, receiver) = channel::bounded(2);
/// # (1..=2).for_each(|value| sender.send(value).unwrap());
/// # let wanted = true;
/// let receiver = Mutex::new(receiver);
/// select! {
///     recv(&*receiver.lock().unwrap()) -> value => assert_eq!(value, Ok(1)),
///     sleep(Duration::from_secs(60)) => unreachable!(),
/// }?;
/// let guard = receiver.lock().unwrap();
/// select! {
///     recv(&*guard) -> value, if wanted => assert_eq!(value, Ok(2)),
///     sleep(Duration::from_secs(60)) => unreachable!(),
/// }?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// **Which one.** If several have come one of them is taken at random, so that none waits for ever: each is as likely as any other, whatever
/// stands beside them, and whoever selects, for the first time or not. With `biased;` before the first arm it is the one that stands first.
/// Nothing is taken for the others: no value is received, no post is taken, no task is joined. The value of a
/// [`send`](fn@crate::sync::select::send) that was not the first is dropped; [`send_from`](crate::sync::select::send_from) keeps it.
///
/// The same holds after a wait, of what has come meanwhile; with one exception. At a channel of `bounded(0)` a value passes by a step of the
/// other side. If the value of a `send` was received while the select waited, or one was handed to its `recv` (by a
/// [`try_send`](crate::sync::channel::Sender::try_send), say), that cannot be undone: it is that arm, also if one that stands before it has come.
///
/// **`default => expression`**, as the last arm, is what runs if none has come. Then nothing waits.
///
/// **The value** is a `Result`: what the arm's expression gives; or a [`SelectError`], if the task was cancelled, or came under the
/// deadline of a surrounding [`timeout`](crate::time::timeout), before anything has come. `?` makes an [`io::Error`](std::io::Error) of it.
/// `break`, `continue`, `return` and `?` in an arm are those of the code around.
///
/// **Fairness.** A select that was told that a channel has something, and came too late, waits in front there, as a `recv` does. In the line
/// of a [`Notification`](crate::sync::Notification) it keeps its place as long as it waits, whatever it is told of meanwhile; each new select
/// begins at the end. A [`post_all`](crate::sync::Notification::post_all) lets it go whenever it comes, from when the select has begun.
///
/// **In a [dump](crate::dump)** a task that waits here says what for, arm by arm, but for those that are left out: kinds, the names of channels
/// and notifications, descriptors, the numbers of tasks, the time that a `sleep` was asked for. (`select: channel recv 'jobs', notification
/// 'quit', sleep 60s`) There is room for 15 bytes: some five arms. Of the others it says how many there are.
///
/// A task suspends, a plain thread blocks.
///
/// **Others.** A task that is answered at once again and again, also by `default`, lets others run: at each thirty-second call, before it takes
/// anything. So do [`Notification::wait`](crate::sync::Notification::wait), [`Semaphore::acquire`](crate::sync::Semaphore::acquire) and their
/// twins, and [channels](mod@crate::sync::channel) with their values. A loop of calls that never wait (`try_recv`, `try_wait`, `try_acquire`)
/// does not, and wants a [`yield_now`](crate::task::yield_now). (Threads are the kernel's affair.)
///
/// # Errors
/// [`SelectError`]; nothing was taken by then.
///
/// # Panics
/// If there is no `default`, and no arm that can come, since each is left out by its condition or is a
/// [`send_from`](crate::sync::select::send_from) with nothing in its slot: it would wait for ever. And as the operations say.
///
/// If the destructor of a value panics that was not [sent](fn@crate::sync::select::send), that goes on, and what another arm had received is
/// dropped. (With `send_from` no value is dropped.)
#[macro_export]
macro_rules! select {
    (@parse $biased:tt [$($done:tt)*] ($at:expr)) => {
        $crate::select!(@run $biased [$($done)*] ())
    };
    (@parse $biased:tt [$($done:tt)*] ($at:expr) default => $body:expr $(,)?) => {
        $crate::select!(@run $biased [$($done)*] ($body))
    };
    (@parse $biased:tt [$($done:tt)*] ($at:expr) default => $body:block $(,)? $($rest:tt)+) => {
        ::core::compile_error!("in select! `default` is the last arm")
    };
    (@parse $biased:tt [$($done:tt)*] ($at:expr) default => $body:expr, $($rest:tt)+) => {
        ::core::compile_error!("in select! `default` is the last arm")
    };
    (@parse $biased:tt [$($done:tt)*] ($at:expr)
        $operation:ident ($($argument:expr),* $(,)?) $(-> $output:pat)? $(, if $condition:expr)? => $body:expr, $($rest:tt)*
    ) => {
        $crate::select!(@parse $biased [$($done)*
            { arm holds came ($at) $operation ($($argument),*) ($($output)?) ($($condition)?) ($body) }
        ] ($at + 1) $($rest)*)
    };
    (@parse $biased:tt [$($done:tt)*] ($at:expr)
        $operation:ident ($($argument:expr),* $(,)?) $(-> $output:pat)? $(, if $condition:expr)? => $body:expr
    ) => {
        $crate::select!(@parse $biased [$($done)*
            { arm holds came ($at) $operation ($($argument),*) ($($output)?) ($($condition)?) ($body) }
        ] ($at + 1))
    };
    (@parse $biased:tt [$($done:tt)*] ($at:expr)
        $operation:ident ($($argument:expr),* $(,)?) $(-> $output:pat)? $(, if $condition:expr)? => $body:block $($rest:tt)+
    ) => {
        $crate::select!(@parse $biased [$($done)*
            { arm holds came ($at) $operation ($($argument),*) ($($output)?) ($($condition)?) ($body) }
        ] ($at + 1) $($rest)+)
    };
    (@parse $biased:tt [$($done:tt)*] ($at:expr) $($rest:tt)+) => {
        ::core::compile_error!(::core::concat!(
            "select! does not understand `", ::core::stringify!($($rest)+),
            "`: an arm is `operation(arguments) -> pattern, if condition => expression`, \
             of which `-> pattern` and `, if condition` may be left out, or `default => expression`; \
             behind an expression that is no block there is a comma"
        ))
    };
    (@run $biased:tt [] ($($default:expr)?)) => {
        ::core::compile_error!("select! has nothing to wait for")
    };
    (@run $biased:tt [$({
        $arm:ident $holds:ident $came:ident ($at:expr)
        $operation:ident ($($argument:expr),*) ($($output:pat)?) ($($condition:expr)?) ($body:expr)
    })+] ($($default:expr)?)) => {{
        // (All of them before an argument borrows what another one looks at.)
        $($(let $holds: bool = $condition;)?)+
        $(let mut $came = $crate::sync::select::hidden::None;)+
        // (In one expression, at the end of which the temporaries of all arguments are dropped; behind the arms, before a body runs.)
        let first = match ($($crate::select!(@arm $operation ($($argument),*) ($($condition, $holds)?)),)+) {
            ($(mut $arm,)+) => {
                let first = $crate::sync::select::hidden::first(
                    [$($crate::sync::select::hidden::slot(&mut $arm)),+],
                    $biased,
                    $crate::select!(@is_there $(($default))?),
                );
                $($came = $crate::sync::select::hidden::output($arm, first, $at);)+
                first
            }
        };
        match first {
            $crate::sync::select::hidden::Err(stopped) => $crate::sync::select::hidden::Err(stopped),
            $crate::sync::select::hidden::Ok(first) => {
                let value = $(if first == $crate::sync::select::hidden::Some($at) {
                    let $crate::select!(@pattern $($output)?) = $crate::sync::select::hidden::has_come($came);
                    $body
                } else)+ {
                    $crate::select!(@default $($default)?)
                };
                // (All arms may leave by themselves.)
                #[allow(unreachable_code)]
                let value = $crate::sync::select::hidden::Ok(value);
                value
            }
        }
    }};
    (@arm $operation:ident ($($argument:expr),*) ()) => {
        $crate::sync::select::hidden::Some($crate::sync::select::$operation($($argument),*))
    };
    (@arm $operation:ident ($($argument:expr),*) ($condition:expr, $holds:ident)) => {
        if $holds {
            $crate::sync::select::hidden::Some($crate::sync::select::$operation($($argument),*))
        } else {
            $crate::sync::select::hidden::None
        }
    };
    (@pattern) => { _ };
    (@pattern $output:pat) => { $output };
    (@is_there) => { false };
    (@is_there $default:tt) => { true };
    (@default) => { $crate::sync::select::hidden::nothing_else() };
    (@default $default:expr) => { $default };
    (biased; $($arms:tt)*) => { $crate::select!(@parse true [] (0usize) $($arms)*) };
    ($($arms:tt)*) => { $crate::select!(@parse false [] (0usize) $($arms)*) };
}
