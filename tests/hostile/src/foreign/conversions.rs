//! What libc says and converts in tasks: error texts, character sets.

use super::hop_in_callback;
use crate::check::Check;
use crate::support::{hop, many, skip, tasks};
use std::ffi::{CStr, CString, c_char, c_int, c_uchar, c_uint, c_void};
use std::io;

pub const CHECKS: &[Check] = &[
    Check::new("error_texts_are_those_of_the_error", error_texts_are_those_of_the_error),
    Check::new("error_texts_are_kept_over_suspensions", error_texts_are_kept_over_suspensions),
    Check::new("an_address_text_is_kept_over_suspensions", an_address_text_is_kept_over_suspensions),
    Check::new("dlerror_is_kept_over_suspensions", dlerror_is_kept_over_suspensions),
    Check::new("a_conversion_goes_on_over_suspensions", a_conversion_goes_on_over_suspensions),
];

unsafe extern "C" {
    fn ec_describe(error: c_int, buffer: *mut c_char, size: usize) -> c_int;
    safe fn ec_text_of_error(error: c_int) -> *const c_char;
    safe fn ec_text_of_signal(signal: c_int) -> *const c_char;
    safe fn ec_text_of_address(address: c_uint) -> *const c_char;
    fn ec_text_is(text: *const c_char, expected: *const c_char) -> c_int;
    fn ec_dlerror_after(name: *const c_char, callback: extern "C" fn()) -> c_int;
    safe fn ec_iconv_open() -> *mut c_void;
    fn ec_iconv_byte(handle: *mut c_void, byte: c_uchar) -> c_int;
    fn ec_iconv_close(handle: *mut c_void) -> c_int;
}

fn described(error: c_int) -> String {
    let mut buffer = [0 as c_char; 128];
    // SAFETY: a buffer of that size, which gets a text with an end.
    unsafe {
        ec_describe(error, buffer.as_mut_ptr(), buffer.len());
        CStr::from_ptr(buffer.as_ptr()).to_string_lossy().into_owned()
    }
}

fn error_texts_are_those_of_the_error() {
    let known: Vec<_> = (1..134).map(described).collect();
    assert!(known[libc::ENOENT as usize - 1].starts_with("No such file"));
    tasks(many(300), move |i| {
        for n in 0..10 {
            let error = (i * 7 + n) % known.len();
            let text = described(error as c_int + 1);
            // Of a number that is no error, with a text of its own for each.
            let strange = described(5000 + i as c_int);
            let of_std = io::Error::from_raw_os_error(error as c_int + 1);
            hop();
            assert_eq!(text, known[error]);
            assert_eq!(strange, format!("Unknown error {}", 5000 + i));
            assert!(of_std.to_string().starts_with(&text), "{of_std} is not {text}");
        }
    });
}

/// Does a text that libc has given still say this?
fn says(text: *const c_char, expected: &str) -> bool {
    let expected = CString::new(expected).expect("no NUL");
    // SAFETY: libc keeps its text until the caller's next call of the kind.
    unsafe { ec_text_is(text, expected.as_ptr()) != 0 }
}

fn error_texts_are_kept_over_suspensions() {
    // Numbers without a meaning, whose texts libc makes and keeps for the thread.
    for round in 0..2 {
        tasks(many(300), move |i| {
            for n in 0..5 {
                let number = 5000 + 1000 * round + 10 * i as c_int + n;
                let (error, signal) = (ec_text_of_error(number), ec_text_of_signal(number));
                hop();
                assert!(says(error, &format!("Unknown error {number}")));
                assert!(says(signal, &format!("Unknown signal {number}")));
            }
        });
    }
}

fn an_address_text_is_kept_over_suspensions() {
    tasks(many(300), |i| {
        for n in 0..5 {
            let text = ec_text_of_address(0x0a00_0000 + 256 * (i as c_uint % 256) + n);
            hop();
            assert!(says(text, &format!("10.0.{}.{n}", i % 256)), "it is another task's");
        }
    });
}

fn dlerror_is_kept_over_suspensions() {
    tasks(many(200), |i| {
        for n in 0..5 {
            let name = CString::new(format!("none-{i}-{n}.so")).expect("no NUL");
            // SAFETY: a name, and a callback that may be called.
            let right = unsafe { ec_dlerror_after(name.as_ptr(), hop_in_callback) } != 0;
            assert!(right, "the error that dlerror tells is not that of {name:?}");
        }
    });
}

struct Conversion(*mut c_void);

impl Conversion {
    /// None if the system lacks the character sets.
    fn new() -> Option<Conversion> {
        let handle = ec_iconv_open();
        (handle.addr() != usize::MAX).then_some(Conversion(handle))
    }

    fn byte(&self, byte: u8) -> c_int {
        // SAFETY: an open handle.
        unsafe { ec_iconv_byte(self.0, byte) }
    }
}

impl Drop for Conversion {
    fn drop(&mut self) {
        // SAFETY: closed once.
        assert_eq!(unsafe { ec_iconv_close(self.0) }, 0);
    }
}

fn a_conversion_goes_on_over_suspensions() {
    // libc loads a module for it, by itself: in a task first, not here.
    tasks(many(100), |_| {
        let Some(conversion) = Conversion::new() else { return };
        for _ in 0..10 {
            assert_eq!(conversion.byte(0xa4), 0x20ac, "the euro sign of ISO 8859-15");
            hop();
            assert_eq!(conversion.byte(b'a'), c_int::from(b'a'));
        }
    });
    if Conversion::new().is_none() {
        skip("this libc has no conversion from ISO-8859-15 to UTF-16LE");
    }
}
