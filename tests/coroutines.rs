//! Coroutines of another crate in and around [`timeout`], shields and groups of cancel tokens, on plain threads and in tasks: they begin and
//! end in any order.

mod net_common;

use corosensei::{Coroutine, CoroutineResult, Yielder};
use ec_pool::wait::{
    Members, checkpoint, is_cancelled_around, scope_deadline, shield, with_deadline, with_group,
};
use ec_test_support::limit;
use ec_unkind as _;
use event_channel::future::wait;
use event_channel::net::UdpSocket;
use event_channel::time::{Duration, Instant, sleep, timeout};
use event_channel::{Runtime, is_cancelled, task};
use net_common::{each_run, each_runtime_of, eventually};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::ErrorKind;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

/// Runs `test` on a plain thread, and as the main task of each kind of runtime.
fn everywhere(test: fn()) {
    std::thread::spawn(test).join().unwrap();
    each_run(test);
}

const SHORT: Duration = Duration::from_millis(10);
const LONG: Duration = Duration::from_secs(1000);

/// One that nobody sends to; it waits for [`SHORT`].
fn silent() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(SHORT)).unwrap();
    socket
}

/// How a call ends that waits for nothing.
fn receive(socket: &UdpSocket) -> ErrorKind {
    socket.recv(&mut [0; 10]).unwrap_err().kind()
}

type Simple<R> = Coroutine<(), (), R>;

/// Suspends once inside a timeout, then receives there.
fn waits_inside(span: Duration) -> Simple<ErrorKind> {
    Coroutine::new(move |y: &Yielder<(), ()>, ()| {
        timeout(span, || {
            y.suspend(());
            receive(&silent())
        })
    })
}

fn suspends(coroutine: &mut Simple<ErrorKind>) {
    assert!(matches!(coroutine.resume(()), CoroutineResult::Yield(())));
}

fn result(coroutine: &mut Simple<ErrorKind>) -> ErrorKind {
    coroutine.resume(()).as_return().expect("it ends here")
}

#[test]
fn timeouts_of_two_coroutines_may_end_in_the_order_in_which_they_began() {
    limit(60, || {
        everywhere(|| {
            let (mut a, mut b) = (waits_inside(LONG), waits_inside(LONG));
            suspends(&mut a);
            suspends(&mut b);
            assert_eq!(result(&mut a), ErrorKind::WouldBlock);
            drop(a);
            assert_eq!(result(&mut b), ErrorKind::WouldBlock);
            drop(b);
            assert_eq!(receive(&silent()), ErrorKind::WouldBlock);
            assert_eq!(scope_deadline(), None);
        });
    });
}

#[test]
fn a_deadline_is_only_for_what_its_timeout_runs() {
    limit(60, || {
        everywhere(|| {
            let mut expired = waits_inside(Duration::ZERO);
            suspends(&mut expired);
            sleep(SHORT);
            assert_eq!(receive(&silent()), ErrorKind::WouldBlock, "outside of the coroutine");
            let mut other = waits_inside(LONG);
            suspends(&mut other);
            assert_eq!(result(&mut other), ErrorKind::WouldBlock, "in another coroutine");
            assert_eq!(result(&mut expired), ErrorKind::TimedOut, "in its own");
        });
    });
}

#[test]
fn a_timeout_around_a_resume_holds_for_the_coroutine() {
    limit(60, || {
        everywhere(|| {
            let mut inner = waits_inside(LONG);
            suspends(&mut inner);
            assert_eq!(timeout(Duration::ZERO, || result(&mut inner)), ErrorKind::TimedOut);
            // Also around a coroutine that resumes another one; and not for one that only began inside.
            let mut inner = waits_inside(LONG);
            let mut outer = Simple::new(move |_: &Yielder<(), ()>, ()| {
                timeout(Duration::ZERO, || {
                    suspends(&mut inner);
                    result(&mut inner)
                })
            });
            assert_eq!(result(&mut outer), ErrorKind::TimedOut);
            let mut inner = waits_inside(LONG);
            timeout(Duration::ZERO, || suspends(&mut inner));
            assert_eq!(result(&mut inner), ErrorKind::WouldBlock);
        });
    });
}

#[test]
fn a_coroutine_may_be_dropped_or_leaked_inside_a_timeout() {
    limit(60, || {
        everywhere(|| {
            for _ in 0..10 {
                let (mut a, mut b, mut c) = (waits_inside(LONG), waits_inside(LONG), waits_inside(LONG));
                suspends(&mut a);
                suspends(&mut b);
                suspends(&mut c);
                std::mem::forget(b);
                drop(a);
                assert_eq!(result(&mut c), ErrorKind::WouldBlock);
            }
            assert_eq!(scope_deadline(), None);
            assert_eq!(timeout(Duration::ZERO, || receive(&silent())), ErrorKind::TimedOut);
        });
    });
}

/// When it goes, receives; and in a timeout, too.
struct Receives;

impl Drop for Receives {
    fn drop(&mut self) {
        assert_eq!(receive(&silent()), ErrorKind::WouldBlock);
        assert_eq!(timeout(Duration::ZERO, || receive(&silent())), ErrorKind::TimedOut);
    }
}

#[test]
fn a_thread_or_task_may_end_with_coroutines_inside_timeouts() {
    thread_local! {
        static EARLY: RefCell<Option<Receives>> = const { RefCell::new(None) };
        static HELD: RefCell<Vec<Simple<ErrorKind>>> = const { RefCell::new(Vec::new()) };
        static LATE: RefCell<Option<Receives>> = const { RefCell::new(None) };
    }
    fn ends() {
        // Destructors run in the reverse order: before the coroutines go, and afterwards.
        EARLY.set(Some(Receives));
        let mut held = vec![waits_inside(LONG), waits_inside(LONG), waits_inside(Duration::ZERO)];
        held.iter_mut().for_each(suspends);
        assert_eq!(result(&mut held[1]), ErrorKind::WouldBlock);
        HELD.set(held);
        LATE.set(Some(Receives));
    }
    limit(60, || {
        std::thread::spawn(ends).join().unwrap();
        each_run(|| task::spawn(ends).join().unwrap());
    });
}

#[test]
fn a_forked_child_leaves_the_timeouts_that_it_was_born_in() {
    fn forks() {
        let mut before = waits_inside(LONG);
        let mut ended = waits_inside(LONG);
        suspends(&mut before);
        suspends(&mut ended);
        timeout(LONG, || {
            // SAFETY: the child allocates and uses sockets, which glibc allows, and then ends without running what is the parent's.
            let child = unsafe { libc::fork() };
            if child == 0 {
                let well = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    assert_eq!(result(&mut ended), ErrorKind::WouldBlock);
                    let mut young = waits_inside(Duration::ZERO);
                    suspends(&mut young);
                    drop(before);
                    assert_eq!(result(&mut young), ErrorKind::TimedOut);
                    assert_eq!(timeout(Duration::ZERO, || receive(&silent())), ErrorKind::TimedOut);
                    assert_eq!(receive(&silent()), ErrorKind::WouldBlock);
                }));
                // SAFETY: see above.
                unsafe { libc::_exit(if well.is_ok() { 0 } else { 1 }) };
            }
            let mut status = 0;
            // SAFETY: a place for the status.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert_eq!(status, 0, "the child's wait status");
        });
        assert_eq!(result(&mut ended), ErrorKind::WouldBlock);
    }
    limit(60, || everywhere(forks));
}

/// What one is in.
#[derive(Clone)]
enum Scope {
    Deadline(Option<Instant>),
    Shield,
    /// And whether the model says that its cancel was delivered.
    Group(Arc<Nobody>, Rc<Cell<bool>>),
}

/// Nobody waits, so nobody is to be woken.
#[derive(Default)]
struct Nobody(AtomicBool);

impl Members for Nobody {
    fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn join(self: Arc<Self>) -> Option<Box<dyn Any>> {
        None
    }
}

impl Scope {
    fn enter(self, f: impl FnOnce() -> bool) -> bool {
        match self {
            Scope::Deadline(at) => with_deadline(at, f),
            Scope::Shield => shield(f),
            Scope::Group(group, _) => with_group(group, f),
        }
    }
}

/// What a coroutine is told to do.
enum Order {
    Enter(Scope),
    Leave,
    Ask,
    /// Lets the task go on elsewhere.
    Yield,
    /// Ends, out of all that it has entered.
    End,
    /// Hands the order to another coroutine, and so on.
    Hand(Vec<usize>, Box<Order>),
}

/// The deadline that counts, whether a group around was cancelled, and whether that was delivered just now.
type Answer = (Option<Instant>, bool, bool);
type Obedient = Coroutine<Order, Answer, ()>;
type Table = Rc<RefCell<Vec<Option<Obedient>>>>;

fn answer() -> Answer {
    (scope_deadline(), is_cancelled_around(), checkpoint().is_err_and(|error| is_cancelled(&error)))
}

/// True: an order to end.
fn obey(y: &Yielder<Order, Answer>, first: Option<Order>, table: &Table) -> bool {
    let mut told = Answer::default();
    let mut next = first;
    loop {
        let order = next.take().unwrap_or_else(|| y.suspend(told));
        told = Answer::default();
        match order {
            Order::Enter(scope) => {
                if scope.enter(|| obey(y, None, table)) {
                    return true;
                }
            }
            Order::Leave => return false,
            Order::Ask => told = answer(),
            Order::Yield => task::yield_now(),
            Order::End => return true,
            Order::Hand(path, order) => told = hand(table, path, *order),
        }
    }
}

fn hand(table: &Table, mut path: Vec<usize>, order: Order) -> Answer {
    let next = path.remove(0);
    let mut coroutine = table.borrow_mut()[next].take().expect("it is suspended");
    let order = if path.is_empty() { order } else { Order::Hand(path, Box::new(order)) };
    let told = coroutine.resume(order).as_yield().unwrap_or_default();
    table.borrow_mut()[next] = Some(coroutine);
    told
}

/// xorshift
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

const COROUTINES: usize = 10;
const DEEPEST: usize = 10;

/// The coroutines, and what each should be in; the last one is whoever plays.
struct Game {
    random: Random,
    table: Table,
    model: Vec<Vec<Scope>>,
    /// Those in use.
    groups: Vec<Arc<Nobody>>,
    base: Instant,
    turns: usize,
}

impl Game {
    fn new(seed: u64) -> Game {
        let table = Table::default();
        table.replace((0..COROUTINES).map(|_| Some(Game::coroutine(&table))).collect());
        let model = vec![Vec::new(); COROUTINES + 1];
        let groups = vec![Arc::default(); 4];
        Game { random: Random(seed), table, model, groups, base: Instant::now() + LONG, turns: 1500 }
    }

    fn coroutine(table: &Table) -> Obedient {
        let table = table.clone();
        Coroutine::new(move |y: &Yielder<Order, Answer>, first| _ = obey(y, Some(first), &table))
    }

    fn scope(&mut self) -> Scope {
        match self.random.below(10) {
            0 => Scope::Deadline(None),
            1 | 2 => Scope::Shield,
            3..=5 => {
                let group = self.random.below(self.groups.len());
                if self.groups[group].is_cancelled() && self.random.below(4) > 0 {
                    self.groups[group] = Arc::default();
                }
                Scope::Group(self.groups[group].clone(), Rc::default())
            }
            _ => Scope::Deadline(Some(self.base + Duration::from_millis(self.random.below(1 << 20) as u64))),
        }
    }

    /// Some coroutines, each to be resumed by the one before.
    fn path(&mut self) -> Vec<usize> {
        let mut path = Vec::new();
        while path.is_empty() || self.random.below(3) == 0 {
            let next = self.random.below(COROUTINES);
            if !path.contains(&next) {
                path.push(next);
            }
        }
        path
    }

    /// What whoever is at the end of the path finds.
    fn expected(&self, path: &[usize]) -> Answer {
        // The inner ones first.
        let around = || path.iter().rev().chain([&COROUTINES]).flat_map(|&who| self.model[who].iter().rev());
        let inside = || around().take_while(|scope| !matches!(scope, Scope::Shield));
        let deadline =
            inside().filter_map(|scope| if let Scope::Deadline(at) = scope { *at } else { None }).min();
        let is_cancelled = |scope: &&Scope| matches!(scope, Scope::Group(group, _) if group.is_cancelled());
        let delivered = inside().filter(is_cancelled).find_map(|scope| match scope {
            Scope::Group(group, delivered) if !delivered.get() => Some(group),
            _ => None,
        });
        if let Some(theirs) = delivered {
            // To all that are in that group.
            inside().for_each(|scope| match scope {
                Scope::Group(group, delivered) if Arc::ptr_eq(group, theirs) => delivered.set(true),
                _ => (),
            });
        }
        (deadline, around().any(|scope| is_cancelled(&scope)), delivered.is_some())
    }

    fn replace(&mut self, gone: usize) -> Option<Obedient> {
        self.model[gone].clear();
        self.table.borrow_mut()[gone].replace(Game::coroutine(&self.table))
    }

    fn turn(&mut self) {
        let path = self.path();
        let last = path[path.len() - 1];
        let depth = self.model[last].len();
        match self.random.below(16) {
            0..=3 if depth < DEEPEST => {
                let scope = self.scope();
                hand(&self.table, path, Order::Enter(scope.clone()));
                self.model[last].push(scope);
            }
            4..=6 if depth > 0 => {
                hand(&self.table, path, Order::Leave);
                self.model[last].pop();
            }
            7 => {
                hand(&self.table, path, Order::End);
                self.replace(last);
            }
            // Unwound, or leaked.
            8 => drop(self.replace(last)),
            9 if self.random.below(8) == 0 => std::mem::forget(self.replace(last)),
            10 => _ = hand(&self.table, path, Order::Yield),
            11 if self.random.below(4) == 0 => {
                let group = self.random.below(self.groups.len());
                self.groups[group].0.store(true, Ordering::Relaxed);
            }
            _ => {
                // (Before: it counts what it expects to be delivered.)
                let expected = self.expected(&path);
                assert_eq!(hand(&self.table, path, Order::Ask), expected);
            }
        }
        assert_eq!(answer(), self.expected(&[]));
    }

    /// Plays on in some deadlines of its own.
    fn play(&mut self) {
        while self.turns > 0 {
            self.turns -= 1;
            match self.random.below(64) {
                0 if self.model[COROUTINES].len() < DEEPEST => {
                    let scope = self.scope();
                    self.model[COROUTINES].push(scope.clone());
                    scope.enter(|| {
                        self.play();
                        true
                    });
                    self.model[COROUTINES].pop();
                }
                1 if !self.model[COROUTINES].is_empty() => return,
                _ => self.turn(),
            }
        }
    }

    fn whole(seed: u64) {
        let mut game = Game::new(seed);
        game.play();
        // (The coroutines keep the table.)
        game.table.take();
        assert_eq!(scope_deadline(), None);
    }
}

#[test]
fn scopes_are_those_of_the_callers_whatever_the_order() {
    limit(300, || {
        for seed in 1..=4 {
            std::thread::spawn(move || Game::whole(seed)).join().unwrap();
        }
        each_runtime_of(&[1, 4], |runtime: &Runtime| {
            let games = |seed| runtime.spawn(move || Game::whole(seed));
            (10..16).map(games).collect::<Vec<_>>().into_iter().for_each(|game| game.join().unwrap());
        });
    });
}

/// As crates have them whose coroutines may go on on another thread: there its frame is left, and its stack freed.
#[test]
fn a_timeout_may_be_left_on_another_thread() {
    struct Anywhere(Simple<()>);
    // SAFETY: what it holds is a timeout, of which this is the test.
    unsafe impl Send for Anywhere {}
    let suspended = || {
        let mut coroutine: Simple<()> =
            Coroutine::new(|y: &Yielder<(), ()>, ()| timeout(SHORT / 10, || y.suspend(())));
        assert!(matches!(coroutine.resume(()), CoroutineResult::Yield(())));
        Anywhere(coroutine)
    };
    let left = |mut coroutine: Anywhere| {
        assert!(matches!(coroutine.0.resume(()), CoroutineResult::Return(())));
    };
    let test = move || {
        let coroutine = suspended();
        std::thread::spawn(move || left(coroutine)).join().unwrap();
        let coroutine = suspended();
        task::spawn(move || left(coroutine)).join().unwrap();
        sleep(SHORT);
        // Those of before count no more.
        assert_eq!(receive(&silent()), ErrorKind::WouldBlock);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(timeout(SHORT, || receive(&socket)), ErrorKind::TimedOut);
        assert_eq!(scope_deadline(), None);
    };
    std::thread::spawn(test).join().unwrap();
    task::spawn(test).join().unwrap();
}

/// A poll may switch to another coroutine, and come back on another thread, or in another task: whoever waits there is woken.
#[test]
fn a_wait_for_a_future_goes_on_where_its_coroutine_does() {
    struct Anywhere(Simple<u32>);
    // SAFETY: what it holds is the wait, of which this is the test.
    unsafe impl Send for Anywhere {}
    let suspended = |wakers: Arc<Mutex<Vec<Waker>>>, given: Arc<AtomicBool>| {
        let mut coroutine: Simple<u32> = Coroutine::new(move |y: &Yielder<(), ()>, ()| {
            let mut polls = 0;
            wait(poll_fn(|context| {
                polls += 1;
                if polls == 1 {
                    y.suspend(());
                }
                if given.load(Ordering::SeqCst) {
                    return Poll::Ready(7);
                }
                wakers.lock().unwrap().push(context.waker().clone());
                Poll::Pending
            }))
        });
        assert!(matches!(coroutine.resume(()), CoroutineResult::Yield(())));
        Anywhere(coroutine)
    };
    let goes_on = |mut coroutine: Anywhere| {
        assert!(matches!(coroutine.0.resume(()), CoroutineResult::Return(7)));
    };
    let test = move || {
        for (to_thread, from_thread) in [(false, false), (false, true), (true, false), (true, true)] {
            let (wakers, given) = (Arc::<Mutex<Vec<Waker>>>::default(), Arc::<AtomicBool>::default());
            let (theirs, gives) = (wakers.clone(), given.clone());
            let coroutine = if from_thread {
                std::thread::spawn(move || suspended(theirs, gives)).join().unwrap()
            } else {
                task::spawn(move || suspended(theirs, gives)).join().unwrap()
            };
            let waker = std::thread::spawn(move || {
                eventually(|| !wakers.lock().unwrap().is_empty());
                sleep(SHORT / 10);
                given.store(true, Ordering::SeqCst);
                let wakers = std::mem::take(&mut *wakers.lock().unwrap());
                wakers.into_iter().for_each(Waker::wake);
            });
            if to_thread {
                std::thread::spawn(move || goes_on(coroutine)).join().unwrap();
            } else {
                task::spawn(move || goes_on(coroutine)).join().unwrap();
            }
            waker.join().unwrap();
        }
    };
    limit(60, || {
        test();
        each_run(test);
    });
}
