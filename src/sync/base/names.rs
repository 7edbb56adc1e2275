//! Names of locks, channels and the like, for dumps.
//!
//! A dump asks a task what it waits for while the task may go on, and what it waited for may be gone by then. So a wait is announced by
//! a number alone: the address of what it waits for, and in the bits above that the number of its name. Names are few, and never
//! forgotten.

use ec_tasks::lock::{ForkMutex, Forked};
use ec_tasks::room::lock_with_room;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

/// The name of one thing, or none.
pub(crate) struct Name {
    text: Option<&'static str>,
    /// Its number, once it was asked for; 0 before.
    number: AtomicU32,
}

/// All names that were waited for. The first one has the number 1.
static NAMES: ForkMutex<Names> = ForkMutex::new(Names(Vec::new()));

struct Names(Vec<&'static str>);

impl Forked for Names {
    /// None. (Nobody asks for them there: a forked child has no tasks.)
    fn left_half() -> Self {
        Names(Vec::new())
    }
}

/// Addresses have so many bits.
const ADDRESS: u32 = 48;
const MOST: usize = (1 << (u64::BITS - ADDRESS)) - 1;

impl Name {
    pub(crate) const fn none() -> Name {
        Name { text: None, number: AtomicU32::new(0) }
    }

    pub(crate) const fn new(text: &'static str) -> Name {
        Name { text: Some(text), number: AtomicU32::new(0) }
    }

    pub(crate) fn text(&self) -> Option<&'static str> {
        self.text
    }

    /// What is announced by who waits for `what`, which has this name.
    pub(crate) fn detail<T: ?Sized>(&self, what: &T) -> u64 {
        let address = std::ptr::from_ref(what).cast::<()>().addr() as u64;
        address & ((1 << ADDRESS) - 1) | u64::from(self.number()) << ADDRESS
    }

    /// By which it is announced. 0: there is none.
    #[inline]
    pub(crate) fn number(&self) -> u32 {
        self.text.map_or(0, |text| self.number_of_text(text))
    }

    #[cold]
    fn number_of_text(&self, text: &'static str) -> u32 {
        match self.number.load(Ordering::Relaxed) {
            0 => {
                let number = number_of(text);
                self.number.store(number, Ordering::Relaxed);
                number
            }
            number => number,
        }
    }
}

/// For `Debug`: the name, if there is one.
pub(crate) fn show(name: Option<&'static str>, all: &mut fmt::DebugStruct<'_, '_>) {
    if let Some(name) = name {
        all.field("name", &name);
    }
}

/// 0: there are too many names.
fn number_of(text: &'static str) -> u32 {
    let mut guard = lock_with_room(&NAMES, |names| &mut names.0);
    let names = &mut guard.0;
    if let Some(place) = names.iter().position(|name| *name == text) {
        return place as u32 + 1;
    }
    if names.len() == MOST {
        return 0;
    }
    names.push(text);
    names.len() as u32
}

/// The name that has this [number](Name::number).
pub(crate) fn text_of(number: u64) -> Option<&'static str> {
    let place = usize::try_from(number).ok()?.checked_sub(1)?;
    NAMES.lock().0.get(place).copied()
}

/// The words of a dump for what [`Name::detail`] gave.
pub(crate) fn describe(_token: u64, detail: u64) -> String {
    let (number, address) = (detail >> ADDRESS, detail & ((1 << ADDRESS) - 1));
    match text_of(number) {
        Some(name) => format!("'{name}' at {address:#x}"),
        None => format!("at {address:#x}"),
    }
}
