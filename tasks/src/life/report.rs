//! Telling that a task has panicked.

#![allow(unsafe_code)]

use std::any::Any;

use crate::task::Header;

/// The words of a panic's payload.
pub(crate) fn message_of(payload: &(dyn Any + Send)) -> String {
    if let Some(words) = payload.downcast_ref::<&'static str>() {
        (*words).to_owned()
    } else if let Some(words) = payload.downcast_ref::<String>() {
        words.clone()
    } else {
        "Box<dyn Any>".to_owned()
    }
}

/// Tells on stderr, in one write, that a task has panicked.
pub(crate) fn report(header: &Header, message: &str, unobserved: bool) {
    let more = if unobserved { ", and nobody joined it" } else { "" };
    let words = format!("{} panicked: {message}{more}\n", header.title());
    // SAFETY: the bytes of a live string. Not std's stderr: its lock belongs to a thread.
    unsafe { libc::write(2, words.as_ptr().cast(), words.len()) };
}
