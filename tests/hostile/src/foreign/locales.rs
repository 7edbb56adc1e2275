//! `uselocale` in a task: the locale and its character tables stay with the task, and with nobody else.

use crate::check::Check;
use crate::support::{hop, many, skip, spawn, tasks};
use std::ffi::{CStr, c_char, c_double, c_int, c_void};
use std::process::Command;
use std::{env, fs, process, ptr};

pub const CHECKS: &[Check] = &[
    Check::new("a_locale_stays_with_its_task", a_locale_stays_with_its_task),
    Check::new("a_new_task_has_the_tables_of_the_present_locale", tables_of_the_present_locale),
    Check::new("character_tables_stay_with_their_task", character_tables_stay_with_their_task),
];

unsafe extern "C" {
    safe fn __ctype_b_loc() -> *const *const u16;
    fn ec_locale_new(name: *const c_char) -> *mut c_void;
    fn ec_locale_use(locale: *mut c_void) -> *mut c_void;
    fn ec_locale_free(locale: *mut c_void);
    safe fn ec_locale_is_global() -> c_int;
    safe fn ec_upper(c: c_int) -> c_int;
    safe fn ec_is_alpha(c: c_int) -> c_int;
    fn ec_number(text: *const c_char) -> c_double;
    fn ec_is_codeset(name: *const c_char) -> c_int;
    safe fn ec_wide_upper(c: c_int) -> c_int;
    safe fn ec_bytes_per_character() -> c_int;
}

/// A locale of the calling task's own, from now until it is dropped.
struct Used {
    locale: *mut c_void,
    before: *mut c_void,
}

impl Used {
    fn new(name: &CStr) -> Option<Used> {
        // SAFETY: a name; the locale lives until the drop, which ends its use first.
        unsafe {
            let locale = ec_locale_new(name.as_ptr());
            (!locale.is_null()).then(|| Used { locale, before: ec_locale_use(locale) })
        }
    }
}

impl Drop for Used {
    fn drop(&mut self) {
        // SAFETY: in the task that uses it (the type cannot be sent), which then does not any more.
        unsafe {
            assert_eq!(ec_locale_use(self.before), self.locale, "the task's locale was exchanged");
            ec_locale_free(self.locale);
        }
    }
}

const E_ACUTE: (c_int, c_int) = (0xe9, 0xc9);

fn is_plain() -> bool {
    // SAFETY: a name.
    let codeset = unsafe { ec_is_codeset(c"ANSI_X3.4-1968".as_ptr()) } != 0;
    let character = ec_wide_upper(E_ACUTE.0) == E_ACUTE.0 && ec_bytes_per_character() == 1;
    ec_locale_is_global() != 0 && codeset && character
}

fn is_utf8() -> bool {
    // SAFETY: a name.
    let codeset = unsafe { ec_is_codeset(c"UTF-8".as_ptr()) } != 0;
    let character = ec_wide_upper(E_ACUTE.0) == E_ACUTE.1 && ec_bytes_per_character() > 1;
    ec_locale_is_global() == 0 && codeset && character
}

fn a_locale_stays_with_its_task() {
    if Used::new(c"C.UTF-8").is_none() {
        skip("this system has no locale C.UTF-8");
    }
    for _ in 0..2 {
        tasks(many(300), |i| {
            assert!(is_plain(), "a new task has another's locale");
            hop();
            match i % 3 {
                0 => {
                    let used = Used::new(c"C.UTF-8").expect("a locale");
                    for _ in 0..15 {
                        assert!(is_utf8(), "the task has lost its locale");
                        hop();
                    }
                    drop(used);
                }
                // Left in use at the task's end: nobody's business.
                1 => {
                    std::mem::forget(Used::new(c"C.UTF-8").expect("a locale"));
                    hop();
                    assert!(is_utf8(), "the task has lost its locale");
                    return;
                }
                _ => {}
            }
            for _ in 0..15 {
                assert!(is_plain(), "the task has another's locale");
                hop();
            }
        });
    }
    assert!(is_plain(), "the plain thread has a task's locale");
}

/// A German locale of one byte a character, made for this check; false if this system cannot.
fn make_german() -> Option<Place> {
    let place = Place(env::temp_dir().join(format!("ec-hostile-locale-{}", process::id())));
    fs::create_dir_all(&place.0).ok()?;
    let made = Command::new("localedef")
        .args(["-c", "-i", "de_DE", "-f", "ISO-8859-1"])
        .arg(place.0.join("de_DE"))
        .output()
        .is_ok_and(|output| output.status.success());
    // SAFETY: no other thread is there yet.
    unsafe { env::set_var("LOCPATH", &place.0) };
    made.then_some(place)
}

struct Place(std::path::PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const A_UMLAUT: (c_int, c_int) = (0xe4, 0xc4);

fn is_german() -> bool {
    // SAFETY: a text.
    let number = unsafe { ec_number(c"1,5".as_ptr()) };
    ec_upper(A_UMLAUT.0) == A_UMLAUT.1 && ec_is_alpha(A_UMLAUT.0) != 0 && number == 1.5
}

fn is_without_umlauts() -> bool {
    // SAFETY: a text.
    let number = unsafe { ec_number(c"1,5".as_ptr()) };
    ec_upper(A_UMLAUT.0) == A_UMLAUT.0 && ec_is_alpha(A_UMLAUT.0) == 0 && number == 1.0
}

fn character_tables_stay_with_their_task() {
    let Some(place) = make_german() else { skip("localedef cannot make de_DE in ISO-8859-1 here") };
    for _ in 0..2 {
        tasks(many(300), |i| {
            assert!(is_without_umlauts(), "a new task has another's character tables");
            let german = (i % 2 == 0).then(|| Used::new(c"de_DE").expect("the locale"));
            for _ in 0..15 {
                hop();
                if german.is_some() {
                    assert!(is_german(), "the task has lost its character tables");
                } else {
                    assert!(is_without_umlauts(), "the task has another's character tables");
                }
            }
            drop(german);
            assert!(is_without_umlauts());
            hop();
            assert!(is_without_umlauts());
        });
    }
    // SAFETY: no locale; only asks.
    assert!(!unsafe { ec_locale_use(ptr::null_mut()) }.is_null());
    drop(place);
}

/// As a new thread has, also if the process has changed it since the first task.
fn tables_of_the_present_locale() {
    // SAFETY: libc's table of the caller.
    let table = || unsafe { *__ctype_b_loc() } as usize;
    let before = spawn(table).join().expect("a task");
    // SAFETY: a name; no other thread asks for the locale at this moment.
    let set = unsafe { libc::setlocale(libc::LC_ALL, c"C.UTF-8".as_ptr()) };
    if set.is_null() {
        skip("there is no locale C.UTF-8 here");
    }
    let threads = std::thread::spawn(table).join().expect("a thread");
    assert_ne!(threads, before, "the locale has other tables");
    assert_eq!(spawn(table).join().expect("a task"), threads);
}
