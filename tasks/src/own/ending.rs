//! The beginning and the end of a task.
//!
//! Its end is the end of a thread. First come the destructors of thread-locals, then those of the values of
//! `pthread_setspecific`. They may make new values, so there are up to four rounds.
//!
//! They run on the task, on its own thread-locals, and may suspend. The list of the first kind is
//! the task's own; libc's would be the worker's.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::real::Destructor;
use super::{helper, interpose, switch};

/// A destructor of a thread-local, as `__cxa_thread_atexit_impl` is given it.
struct Node {
    next: *mut Node,
    run: Destructor,
    object: *mut c_void,
    /// Keeps the library in memory that the destructor is in; null for the program itself.
    library: *mut c_void,
}

thread_local! {
    /// The task's destructors, latest first.
    static LIST: Cell<*mut Node> = const { Cell::new(ptr::null_mut()) };
}

/// As many rounds as `PTHREAD_DESTRUCTOR_ITERATIONS`.
const ROUNDS: usize = 4;

/// For each key of `pthread_setspecific`: 0 if there is none, 1 if it has no destructor, else that.
static KEYS: [AtomicUsize; 1024] = [const { AtomicUsize::new(0) }; 1024];
/// One more than the highest key there has been.
static KEYS_END: AtomicUsize = AtomicUsize::new(0);

/// Remembers a destructor for the end of the current task. 0, or -1 without memory.
///
/// # Safety
/// The caller is a task with a block of its own; `run` may be called with `object` when it ends.
pub(super) unsafe fn add(run: Destructor, object: *mut c_void) -> c_int {
    let library = library_of(run as *const c_void);
    // Not by Rust's allocator, whose own thread-locals may be what is registered here.
    // SAFETY: room for a node, written before it is linked.
    unsafe {
        let node = libc::malloc(size_of::<Node>()).cast::<Node>();
        if node.is_null() {
            return -1;
        }
        node.write(Node { next: LIST.get(), run, object, library });
        LIST.set(node);
    }
    0
}

/// Whether the current task has destructors to run. For the self-test.
pub(super) fn any() -> bool {
    !LIST.get().is_null()
}

pub(super) fn key_created(key: libc::pthread_key_t, destructor: Option<Destructor>) {
    if let Some(place) = KEYS.get(key as usize) {
        place.store(destructor.map_or(1, |run| run as usize), Ordering::Release);
        KEYS_END.fetch_max(key as usize + 1, Ordering::AcqRel);
    }
}

pub(super) fn key_deleted(key: libc::pthread_key_t) {
    if let Some(place) = KEYS.get(key as usize) {
        place.store(0, Ordering::Release);
    }
}

/// The beginning of a task is that of a thread: libc's tables of characters are those of the present locale, which may
/// be another one than the template's.
pub(crate) fn begin() {
    const GLOBAL: libc::locale_t = ptr::without_provenance_mut(usize::MAX); // LC_GLOBAL_LOCALE
    // SAFETY: the global locale always exists.
    unsafe { libc::uselocale(GLOBAL) };
}

/// Runs what the current task has registered. Called last on the task, if it has a block of its own.
pub(crate) fn run_destructors() {
    for _ in 0..ROUNDS {
        let listed = run_list();
        if !run_keys() && !listed {
            break;
        }
    }
    run_list();
    switch::forget_dlerror();
}

fn run_list() -> bool {
    let mut any = false;
    loop {
        let node = LIST.get();
        if node.is_null() {
            return any;
        }
        any = true;
        // SAFETY: made in `add`, taken off the list here; the destructor's own promise.
        unsafe {
            let Node { next, run, object, library } = node.read();
            LIST.set(next);
            libc::free(node.cast());
            run(object);
            if !library.is_null() {
                interpose::dlclose(library);
            }
        }
    }
}

fn run_keys() -> bool {
    let mut any = false;
    for (key, destructor) in KEYS.iter().enumerate().take(KEYS_END.load(Ordering::Acquire)) {
        let destructor = destructor.load(Ordering::Acquire);
        if destructor <= 1 {
            continue;
        }
        let key = key as libc::pthread_key_t;
        // SAFETY: a key that existed just now; if it has been deleted meanwhile libc says null.
        unsafe {
            let value = libc::pthread_getspecific(key);
            if !value.is_null() {
                any = true;
                libc::pthread_setspecific(key, ptr::null());
                std::mem::transmute::<usize, Destructor>(destructor)(value);
            }
        }
    }
    any
}

/// A handle that keeps the library loaded in which `code` lies, as libc does for threads until their
/// destructors have run. Null for the program itself, where nearly all are.
fn library_of(code: *const c_void) -> *mut c_void {
    let program = PROGRAM[0].load(Ordering::Relaxed)..PROGRAM[1].load(Ordering::Relaxed);
    if program.contains(&(code as usize)) {
        return ptr::null_mut();
    }
    // SAFETY: `dladdr` fills the struct if it knows the address; its strings live as long as the
    // library, which is loaded: the caller is about to return into it.
    unsafe {
        let mut info = std::mem::zeroed::<libc::Dl_info>();
        if libc::dladdr(code, &mut info) == 0 || info.dli_fname.is_null() {
            return ptr::null_mut();
        }
        interpose::open_again(info.dli_fname)
    }
}

/// From where to where the module reaches that the runtime is in.
static PROGRAM: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

/// Finds the program's addresses. Before the first block.
pub(super) fn find_program() {
    helper::each_loaded(|info| {
        let base = info.dlpi_addr;
        let loaded = helper::headers(info).iter().filter(|header| header.p_type == libc::PT_LOAD);
        let ranges = loaded.map(|header| (base + header.p_vaddr, base + header.p_vaddr + header.p_memsz));
        let (start, end) = ranges.fold((u64::MAX, 0), |all, one| (all.0.min(one.0), all.1.max(one.1)));
        let ours = (start as usize..end as usize).contains(&(find_program as *const () as usize));
        if ours {
            PROGRAM[0].store(start as usize, Ordering::Relaxed);
            PROGRAM[1].store(end as usize, Ordering::Relaxed);
        }
        ours
    });
}
