//! Modules loaded with `dlopen` while tasks live: every task, living or to come, has its own fresh thread-locals of them.

use super::Meeting;
use crate::check::Check;
use crate::support::{eventually, hop, hops, many, resident, spawn, tasks};
use libloading::Library;
use std::ffi::{c_int, c_long};
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};

pub const CHECKS: &[Check] = &[
    Check::new("modules_opened_before_tasks", opened_before_tasks),
    Check::new("modules_opened_in_a_task", || opened_meanwhile(true)),
    Check::new("modules_opened_on_a_thread_while_tasks_live", || opened_meanwhile(false)),
    Check::new("modules_closed_and_others_opened_in_their_place", closed_and_others_opened),
    Check::new("a_module_opened_again_begins_anew_in_living_tasks", opened_again),
    Check::new("a_modules_constructor_may_open_another", a_constructor_may_open_another),
    Check::new("a_module_with_all_the_room_there_is", a_big_one),
    Check::new("a_modules_destructors_outlive_its_dlclose", destructors_outlive_dlclose),
    Check::new("a_large_module_costs_nothing_after_its_task", a_large_module_costs_nothing_after_its_task),
];

const STATIC: &str = env!("EC_STATIC");
const DYNAMIC: &str = env!("EC_DYNAMIC");
const LARGE: &str = env!("EC_LARGE");
const OTHERS: [&str; 2] = [env!("EC_STATIC_OTHER"), env!("EC_DYNAMIC_OTHER")];
const DESTRUCTOR: &str = env!("EC_DESTRUCTOR");

const STATIC_BIG: &str = env!("EC_STATIC_BIG");
const OUTER: &str = env!("EC_OUTER");

/// An open module, never unloaded unless by `close`, and its functions, which are those of `native/module.c`.
struct Module {
    library: ManuallyDrop<Library>,
    fresh: extern "C" fn() -> c_int,
    set: extern "C" fn(c_long),
    have: extern "C" fn(c_long) -> c_int,
    address: extern "C" fn() -> *mut c_long,
}

impl Module {
    fn open(path: &str) -> Module {
        // SAFETY: our own module, without constructors; the functions have these types.
        unsafe {
            let library = Library::new(path).expect("the module");
            Module {
                fresh: *library.get(b"fresh").expect("fresh"),
                set: *library.get(b"set").expect("set"),
                have: *library.get(b"have").expect("have"),
                address: *library.get(b"address").expect("address"),
                library: ManuallyDrop::new(library),
            }
        }
    }

    /// Unloads it.
    ///
    /// # Safety
    /// Once, and nobody uses it or looks at its thread-locals from now on.
    unsafe fn close(&self) {
        // SAFETY: by contract.
        let library = unsafe { std::ptr::read(&self.library) };
        ManuallyDrop::into_inner(library).close().expect("dlclose");
    }

    /// What each task expects of it.
    fn used(&self, value: c_long) {
        assert_ne!((self.fresh)(), 0, "the module's thread-locals are not as it initialises them");
        (self.set)(value);
        let address = (self.address)();
        for _ in 0..6 {
            hop();
            assert_ne!((self.have)(value), 0, "values were lost or exchanged");
            assert_eq!((self.address)(), address, "a thread-local has moved");
            // SAFETY: a thread-local of this task and of an open module.
            assert_eq!(unsafe { address.read() }, value, "through a pointer that was kept");
        }
    }
}

/// In the same place as before, where the values of last time still lie.
fn opened_again() {
    tasks(4, |me| {
        for round in 0..20 {
            static ONE_AT_A_TIME: parking_lot::Mutex<()> = parking_lot::Mutex::new(());
            let _guard = ONE_AT_A_TIME.lock();
            let module = Module::open(STATIC);
            assert_ne!((module.fresh)(), 0, "the values of an earlier time");
            (module.set)((100 * me + round) as c_long);
            // SAFETY: opened above, and used by nobody else.
            unsafe { module.close() };
        }
    });
}

fn a_constructor_may_open_another() {
    // A task has to have been there, or nothing follows from the loading of a library.
    tasks(4, |_| ());
    for in_task in [false, true] {
        let open = || {
            // SAFETY: our own library; the function has this type.
            unsafe {
                let library = Library::new(OUTER).expect("the library");
                assert_ne!(library.get::<extern "C" fn() -> c_int>(b"opened").expect("opened")(), 0);
                library.close().expect("dlclose");
            }
        };
        if in_task { tasks(4, move |_| open()) } else { open() }
    }
}

fn a_big_one() {
    let opened = Arc::new(OnceLock::new());
    let before = opened.clone();
    let early = spawn(move || {
        eventually(|| before.get().is_some());
        let module: &Module = before.get().expect("opened");
        module.used(5);
    });
    assert!(opened.set(Module::open(STATIC_BIG)).is_ok());
    early.join().expect("a task that lived when the module was opened");
    tasks(many(50), move |me| opened.get().expect("opened").used(me as c_long + 1));
}

fn opened_before_tasks() {
    let modules = Arc::new([Module::open(STATIC), Module::open(DYNAMIC), Module::open(LARGE)]);
    for _ in 0..2 {
        let modules = modules.clone();
        // Each has a large module's 1 MiB.
        tasks(many(150), move |i| modules.iter().for_each(|module| module.used(i as c_long + 1)));
    }
}

fn opened_meanwhile(in_a_task: bool) {
    for path in [STATIC, DYNAMIC, LARGE] {
        let n = 100;
        let before = Meeting::of(n);
        let module = Arc::new(OnceLock::new());
        let everywhere = module.clone();
        tasks(n, move |i| {
            hop();
            before.meet();
            if i == 0 && in_a_task {
                assert!(everywhere.set(Module::open(path)).is_ok());
            } else if i == 0 {
                let everywhere = everywhere.clone();
                let thread = std::thread::spawn(move || assert!(everywhere.set(Module::open(path)).is_ok()));
                thread.join().expect("the thread that opens it");
            }
            eventually(|| everywhere.get().is_some());
            everywhere.get().expect("open").used(i as c_long + 1);
        });
        let later = module.clone();
        tasks(n, move |i| later.get().expect("open").used(i as c_long + 1));
        std::thread::spawn(move || module.get().expect("open").used(1)).join().expect("a thread");
    }
}

/// A time in which one module is open.
struct Round {
    path: &'static str,
    module: OnceLock<Module>,
    used: Meeting,
}

fn closed_and_others_opened() {
    const TASKS: usize = 40;
    let paths = [STATIC, OTHERS[0], DYNAMIC, OTHERS[1], LARGE];
    let round =
        |n: usize| Round { path: paths[n % paths.len()], module: OnceLock::new(), used: Meeting::of(TASKS) };
    let rounds: Vec<_> = (0..20).map(|n| Arc::new(round(n))).collect();
    let theirs = rounds.clone();
    let living: Vec<_> = (0..TASKS)
        .map(|i| {
            let rounds = theirs.clone();
            spawn(move || {
                for round in rounds {
                    eventually(|| round.module.get().is_some());
                    round.module.get().expect("open").used(i as c_long + 1);
                    round.used.arrive();
                }
            })
        })
        .collect();
    for round in rounds {
        assert!(round.module.set(Module::open(round.path)).is_ok());
        eventually(|| round.used.is_complete());
        // SAFETY: whoever has used it is done with it and only lets go of its count.
        unsafe { round.module.get().expect("open").close() };
        assert!(!mapped(round.path), "dlclose has not removed it, and this check is pointless");
        // A task that comes now knows nothing of it.
        spawn(hop).join().expect("a task");
    }
    living.into_iter().for_each(|task| task.join().expect("a task"));
}

fn mapped(path: &str) -> bool {
    std::fs::read_to_string("/proc/self/maps").expect("proc").contains(path)
}

static TOLD: AtomicUsize = AtomicUsize::new(0);

extern "C" fn tell(number: c_long) {
    TOLD.fetch_add(number as usize, SeqCst);
}

fn destructors_outlive_dlclose() {
    type Arm = extern "C" fn(extern "C" fn(c_long), c_long);
    let open = || {
        // SAFETY: our own module; `arm` has this type.
        unsafe {
            let library = Library::new(DESTRUCTOR).expect("the module");
            let arm: Arm = *library.get(b"arm").expect("arm");
            (library, arm)
        }
    };
    let unused = open();
    drop(unused);
    assert!(!mapped(DESTRUCTOR), "dlclose never removes it, and this check is pointless");

    let n = 100;
    let (library, arm) = open();
    let armed = Arc::new(Meeting::of(n));
    let closed = Arc::new(AtomicUsize::new(0));
    let living: Vec<_> = (0..n)
        .map(|i| {
            let (armed, closed) = (armed.clone(), closed.clone());
            spawn(move || {
                arm(tell, i as c_long + 1);
                hop();
                armed.arrive();
                eventually(|| closed.load(SeqCst) == 1);
                hops(2);
            })
        })
        .collect();
    eventually(|| armed.is_complete());
    drop(library);
    closed.store(1, SeqCst);
    living.into_iter().for_each(|task| task.join().expect("a task"));
    eventually(|| TOLD.load(SeqCst) >= n * (n + 1) / 2);
    hops(3);
    assert_eq!(TOLD.load(SeqCst), n * (n + 1) / 2, "a destructor ran twice");
}

fn a_large_module_costs_nothing_after_its_task() {
    let module = Arc::new(Module::open(LARGE));
    let use_it = |n: usize| {
        let module = module.clone();
        tasks(8, move |i| {
            for _ in 0..n {
                let module = module.clone();
                spawn(move || module.used(i as c_long + 1)).join().expect("a task");
            }
        });
    };
    use_it(10);
    let before = resident();
    // 800 MiB, if each left its own behind.
    use_it(100);
    let grown = resident().saturating_sub(before) >> 20;
    assert!(grown < 200, "{grown} MiB more after 800 tasks than before");
}
