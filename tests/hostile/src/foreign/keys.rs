//! pthread keys: values belong to the task, destructors run at its end, in it, as often as in a thread.

use super::{Meeting, locals};
use crate::check::Check;
use crate::support::{CORES, eventually, hop, many, resident, spawn, tasks};
use std::ffi::{c_int, c_long, c_void};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::SeqCst};

pub const CHECKS: &[Check] = &[
    Check::new("a_key_destructor_runs_once_in_its_task", a_key_destructor_runs_once_in_its_task),
    Check::new("a_tss_destructor_runs_once_in_its_task", a_tss_destructor_runs_once_in_its_task),
    Check::new("a_key_destructor_may_suspend", a_key_destructor_may_suspend),
    Check::new("key_destructors_run_as_many_rounds_as_in_a_thread", rounds_as_in_a_thread),
    Check::new("a_key_destructor_may_set_another_key", a_key_destructor_may_set_another_key),
    Check::new("keys_of_the_second_level_belong_to_their_task", keys_of_the_second_level),
    Check::new("keys_of_the_second_level_cost_nothing_after_their_task", second_level_costs_nothing),
    Check::new("a_deleted_key_takes_its_destructor_with_it", a_deleted_key_takes_its_destructor_with_it),
];

type Destructor = Option<extern "C" fn(*mut c_void)>;

unsafe extern "C" {
    safe fn ec_key_set(key: u32, value: *mut c_void) -> c_int;
    safe fn ec_key_get(key: u32) -> *mut c_void;
    safe fn ec_key_delete(key: u32) -> c_int;
    fn ec_key_create(key: *mut u32, destructor: Destructor) -> c_int;
    safe fn ec_tss_set(key: u32, value: *mut c_void) -> c_int;
    safe fn ec_tss_get(key: u32) -> *mut c_void;
    safe fn ec_tss_delete(key: u32);
    fn ec_tss_create(key: *mut u32, destructor: Destructor) -> c_int;
}

fn create(destructor: Destructor) -> u32 {
    let mut key = u32::MAX;
    // SAFETY: a place for the key; the destructors below are sound for the values that are set.
    assert_eq!(unsafe { ec_key_create(&mut key, destructor) }, 0);
    key
}

/// Values are small numbers, never used as addresses, unless a check says so.
fn value(number: usize) -> *mut c_void {
    ptr::without_provenance_mut(number)
}

fn number(value: *mut c_void) -> usize {
    value.addr()
}

static KEY: AtomicU32 = AtomicU32::new(u32::MAX);
static OTHER: AtomicU32 = AtomicU32::new(u32::MAX);
static ENDED: AtomicUsize = AtomicUsize::new(0);
static SUM: AtomicUsize = AtomicUsize::new(0);

extern "C" fn note_the_end(value: *mut c_void) {
    assert!(locals::have(number(value) as c_long), "the destructor runs with another task's thread-locals");
    SUM.fetch_add(number(value), SeqCst);
    ENDED.fetch_add(1, SeqCst);
}

/// Each of the numbers 1 to `n` has come once: exactly so many, with the right sum.
fn all_have_ended(n: usize) {
    eventually(|| ENDED.load(SeqCst) >= n);
    tasks(CORES, |_| hop());
    assert_eq!(ENDED.load(SeqCst), n, "destructors ran twice");
    assert_eq!(SUM.load(SeqCst), n * (n + 1) / 2, "one ran twice and another never");
}

fn a_key_destructor_runs_once_in_its_task() {
    let key = create(Some(note_the_end));
    let n = many(1000);
    tasks(n, move |i| {
        assert!(ec_key_get(key).is_null(), "a new task finds a value");
        locals::set(i as c_long + 1);
        assert_eq!(ec_key_set(key, value(i + 1)), 0);
        for _ in 0..10 {
            hop();
            assert_eq!(ec_key_get(key), value(i + 1));
        }
    });
    all_have_ended(n);
    assert_eq!(ec_key_delete(key), 0);
}

fn a_tss_destructor_runs_once_in_its_task() {
    let mut key = u32::MAX;
    // SAFETY: a place for the key; the destructor only looks at the number.
    assert_ne!(unsafe { ec_tss_create(&mut key, Some(note_the_end)) }, 0);
    let n = many(300);
    tasks(n, move |i| {
        assert!(ec_tss_get(key).is_null());
        locals::set(i as c_long + 1);
        assert_ne!(ec_tss_set(key, value(i + 1)), 0);
        hop();
        assert_eq!(ec_tss_get(key), value(i + 1));
    });
    all_have_ended(n);
    ec_tss_delete(key);
    // Without the key there is nothing to call.
    let next = create(None);
    tasks(n, move |_| assert_eq!(ec_key_set(next, value(1)), 0));
    all_have_ended(n);
}

extern "C" fn hop_then_note(value: *mut c_void) {
    assert!(ec_key_get(KEY.load(SeqCst)).is_null(), "the value is still set while its destructor runs");
    for _ in 0..3 {
        hop();
        assert!(locals::have(number(value) as c_long), "lost over a suspension in the destructor");
    }
    note_the_end(value);
}

fn a_key_destructor_may_suspend() {
    let key = create(Some(hop_then_note));
    KEY.store(key, SeqCst);
    let n = many(500);
    tasks(n, move |i| {
        locals::set(i as c_long + 1);
        assert_eq!(ec_key_set(key, value(i + 1)), 0);
        hop();
    });
    all_have_ended(n);
}

/// The value points to a counter that is never freed; set again and again, it can end only by the limit of rounds.
extern "C" fn set_again(value: *mut c_void) {
    // SAFETY: a leaked counter.
    unsafe { &*value.cast::<AtomicUsize>() }.fetch_add(1, SeqCst);
    assert_eq!(ec_key_set(KEY.load(SeqCst), value), 0);
}

fn set_a_counter(counter: &'static AtomicUsize) {
    let key = KEY.load(SeqCst);
    assert!(ec_key_get(key).is_null(), "a value that an earlier task could not get rid of");
    assert_eq!(ec_key_set(key, ptr::from_ref(counter).cast_mut().cast()), 0);
}

fn rounds_as_in_a_thread() {
    KEY.store(create(Some(set_again)), SeqCst);
    let counter = || -> &'static AtomicUsize { Box::leak(Box::default()) };
    let of_thread = counter();
    std::thread::spawn(|| set_a_counter(of_thread)).join().expect("a thread");
    let rounds = of_thread.load(SeqCst);
    // The system's PTHREAD_DESTRUCTOR_ITERATIONS.
    assert_eq!(rounds, 4);

    let counters: Arc<Vec<_>> = Arc::new((0..many(200)).map(|_| counter()).collect());
    let theirs = counters.clone();
    tasks(counters.len(), move |i| {
        set_a_counter(theirs[i]);
        hop();
    });
    for counter in &*counters {
        eventually(|| counter.load(SeqCst) >= rounds);
    }
    tasks(CORES, |_| hop());
    for counter in &*counters {
        assert_eq!(counter.load(SeqCst), rounds);
    }
}

extern "C" fn set_the_other(value: *mut c_void) {
    assert_eq!(ec_key_set(OTHER.load(SeqCst), value), 0);
}

fn a_key_destructor_may_set_another_key() {
    // The later key's destructor sets the earlier one, which its round has already passed by.
    let earlier = create(Some(note_the_end));
    let later = create(Some(set_the_other));
    OTHER.store(earlier, SeqCst);
    let n = many(200);
    tasks(n, move |i| {
        locals::set(i as c_long + 1);
        assert_eq!(ec_key_set(later, value(i + 1)), 0);
        hop();
    });
    all_have_ended(n);
}

fn keys_of_the_second_level() {
    // A thread's descriptor has room for 32; for the rest, libc allocates. Values without a destructor are
    // simply forgotten at a task's end.
    let silent: Arc<Vec<u32>> = Arc::new((0..150).map(|_| create(None)).collect());
    let telling = create(Some(note_the_end));
    let n = many(300);
    for _ in 0..2 {
        ENDED.store(0, SeqCst);
        SUM.store(0, SeqCst);
        let keys = silent.clone();
        tasks(n, move |i| {
            assert!(keys.iter().all(|key| ec_key_get(*key).is_null()), "values of an earlier task");
            assert!(ec_key_get(telling).is_null(), "the value of an earlier task");
            locals::set(i as c_long + 1);
            for (k, key) in keys.iter().enumerate() {
                assert_eq!(ec_key_set(*key, value(1000 * (i + 1) + k)), 0);
            }
            assert_eq!(ec_key_set(telling, value(i + 1)), 0);
            for _ in 0..5 {
                hop();
                let right = |(k, key): (usize, &u32)| ec_key_get(*key) == value(1000 * (i + 1) + k);
                assert!(keys.iter().enumerate().all(right), "values were lost or exchanged");
            }
        });
        all_have_ended(n);
    }
}

fn second_level_costs_nothing() {
    let keys: Arc<Vec<u32>> = Arc::new((0..320).map(|_| create(None)).collect());
    let use_all = |n: usize| {
        let keys = keys.clone();
        tasks(8, move |_| {
            for _ in 0..n {
                let keys = keys.clone();
                let one =
                    spawn(move || keys.iter().for_each(|key| assert_eq!(ec_key_set(*key, value(1)), 0)));
                one.join().expect("a task");
            }
        });
    };
    use_all(50);
    let before = resident();
    // 64 MiB, if each left its tables behind.
    use_all(1600);
    let grown = resident().saturating_sub(before) >> 20;
    assert!(grown < 24, "{grown} MiB more than after the first tasks");
}

extern "C" fn never(_: *mut c_void) {
    panic!("the destructor of a key that is deleted");
}

fn a_deleted_key_takes_its_destructor_with_it() {
    let first = [create(Some(never)), create(Some(never))];
    let n = many(200);
    let set = Arc::new(Meeting::of(n));
    let exchanged = Arc::new(AtomicBool::new(false));
    let handles: Vec<_> = (0..n)
        .map(|i| {
            let (set, exchanged) = (set.clone(), exchanged.clone());
            spawn(move || {
                locals::set(i as c_long + 1);
                first.iter().for_each(|key| assert_eq!(ec_key_set(*key, value(7)), 0));
                set.arrive();
                eventually(|| exchanged.load(SeqCst));
                let (telling, silent) = (KEY.load(SeqCst), OTHER.load(SeqCst));
                assert!(ec_key_get(telling).is_null(), "a new key has the deleted one's value");
                assert!(ec_key_get(silent).is_null(), "a new key has the deleted one's value");
                // Half of them set the new keys, half end with what the deleted ones left.
                if i % 2 == 0 {
                    assert_eq!(ec_key_set(telling, value(i + 1)), 0);
                    assert_eq!(ec_key_set(silent, value(i + 1)), 0);
                }
                hop();
            })
        })
        .collect();
    eventually(|| set.is_complete());
    first.iter().for_each(|key| assert_eq!(ec_key_delete(*key), 0));
    let next = [create(Some(note_the_end)), create(None)];
    assert_eq!(
        next, first,
        "this libc does not use a deleted key's number again, and this check is pointless"
    );
    KEY.store(next[0], SeqCst);
    OTHER.store(next[1], SeqCst);
    exchanged.store(true, SeqCst);
    handles.into_iter().for_each(|task| task.join().expect("a task"));
    let expected = n.div_ceil(2);
    eventually(|| ENDED.load(SeqCst) >= expected);
    tasks(CORES, |_| hop());
    assert_eq!(ENDED.load(SeqCst), expected);
}
