//! A shared library with thread-locals, opened while tasks live.

use crate::scenes::{hop, join_all};
use event_channel::task;
use std::ffi::{CStr, CString};
use std::mem::transmute;
use std::sync::atomic::{AtomicUsize, Ordering};

type Next = unsafe extern "C" fn() -> libc::c_int;

/// An open library.
struct Module(*mut libc::c_void);

// SAFETY: a handle of dlopen belongs to the process.
unsafe impl Sync for Module {}
// SAFETY: as above.
unsafe impl Send for Module {}

impl Module {
    fn open(path: &str) -> Module {
        let path = CString::new(path).expect("a path has no NUL");
        // SAFETY: a string with its end; the library's initialisers are harmless.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
        assert!(!handle.is_null(), "dlopen: {}", error());
        Module(handle)
    }

    /// A function that counts up the caller's own number from 40.
    fn next(&self, name: &CStr) -> Next {
        // SAFETY: an open library and a string with its end.
        let address = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        assert!(!address.is_null(), "dlsym: {}", error());
        // SAFETY: `module.c` says that these names are functions of this type.
        unsafe { transmute::<*mut libc::c_void, Next>(address) }
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // SAFETY: opened once, closed once, and no function of it is running.
        assert_eq!(unsafe { libc::dlclose(self.0) }, 0);
    }
}

fn error() -> String {
    // SAFETY: the text is there until the thread's next call; a null pointer says that there is none.
    let text = unsafe { libc::dlerror().as_ref().map(|text| CStr::from_ptr(text)) };
    text.map_or_else(String::new, |text| text.to_string_lossy().into_owned())
}

/// Tasks that live while a library comes, and tasks that come later, have its thread-locals of their own.
pub(crate) fn scene(path: &str) {
    static WAITING: AtomicUsize = AtomicUsize::new(0);
    static OPENED: AtomicUsize = AtomicUsize::new(0);
    const TASKS: usize = 10;
    let path = path.to_owned();
    // Each opens it for itself: the same library, once it is there.
    let task = |early: bool| {
        let path = path.clone();
        move || {
            WAITING.fetch_add(1, Ordering::AcqRel);
            while early && OPENED.load(Ordering::Acquire) == 0 {
                hop();
            }
            let module = Module::open(&path);
            for name in [c"module_next_small", c"module_next_large"] {
                let next = module.next(name);
                for expected in 41..45 {
                    // SAFETY: it takes nothing, and touches the caller's own thread-local only.
                    assert_eq!(unsafe { next() }, expected);
                    hop();
                }
            }
        }
    };
    let early: Vec<_> = (0..TASKS).map(|_| task::spawn(task(true))).collect();
    while WAITING.load(Ordering::Acquire) < TASKS {
        hop();
    }
    let module = Module::open(&path);
    OPENED.store(1, Ordering::Release);
    join_all(early);
    join_all((0..TASKS).map(|_| task::spawn(task(false))).collect());
    drop(module);
}
