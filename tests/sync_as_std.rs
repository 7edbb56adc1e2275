//! What a program sees of std's locks beside their calls: which traits they have, and what their panics say.

#![allow(non_upper_case_globals)] // named as the traits are

use ec_unkind as _;
use event_channel::sync::{
    LazyLock, Mutex, MutexGuard, Once, OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
use event_channel::task;
use std::any::Any;
use std::cell::Cell;
use std::marker::{PhantomData, PhantomPinned};
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::rc::Rc;
use std::{sync, thread};

struct Of<T>(PhantomData<T>);

/// `Of::<T>::Sync`: has `T` the trait? (What it has of its own goes before what all have.)
macro_rules! has {
    ($($name:ident: $trait:ident),*) => { $(
        trait $name {
            const $trait: bool = false;
        }
        impl<T> $name for Of<T> {}
        impl<T: $trait> Of<T> {
            const $trait: bool = true;
        }
    )* };
}

has!(IsSend: Send, IsSync: Sync, IsUnpin: Unpin, IsUnwindSafe: UnwindSafe, IsRefUnwindSafe: RefUnwindSafe);

macro_rules! traits {
    ($type:ty) => {
        [
            Of::<$type>::Send,
            Of::<$type>::Sync,
            Of::<$type>::Unpin,
            Of::<$type>::UnwindSafe,
            Of::<$type>::RefUnwindSafe,
        ]
    };
}

macro_rules! same {
    ($($content:ty),*) => { $(
        let with = stringify!($content);
        assert_eq!(traits!(Mutex<$content>), traits!(sync::Mutex<$content>), "{with}");
        assert_eq!(traits!(MutexGuard<'static, $content>), traits!(sync::MutexGuard<'static, $content>), "{with}");
        assert_eq!(traits!(RwLock<$content>), traits!(sync::RwLock<$content>), "{with}");
        assert_eq!(
            traits!(RwLockReadGuard<'static, $content>),
            traits!(sync::RwLockReadGuard<'static, $content>),
            "{with}"
        );
        assert_eq!(
            traits!(RwLockWriteGuard<'static, $content>),
            traits!(sync::RwLockWriteGuard<'static, $content>),
            "{with}"
        );
        assert_eq!(traits!(OnceLock<$content>), traits!(sync::OnceLock<$content>), "{with}");
        assert_eq!(traits!(LazyLock<$content>), traits!(sync::LazyLock<$content>), "{with}");
    )* };
}

#[test]
fn the_types_are_what_stds_are() {
    // `Send` and `Sync`; one of them; none. Not for who catches panics; pinned.
    same!(u8, Cell<u8>, sync::MutexGuard<'static, u8>, Rc<u8>, &'static mut u8, PhantomPinned);
    assert_eq!(traits!(Once), traits!(sync::Once));
    assert_eq!(traits!(Cell<u8>), [true, false, true, true, false], "it tells one from the other");
}

/// The words of the panic that `f` ends with: its payload is what a `panic!` without arguments has.
fn words<T>(f: impl FnOnce() -> T) -> &'static str {
    let payload: Box<dyn Any> = catch_unwind(AssertUnwindSafe(f)).err().expect("it should panic");
    payload.downcast_ref::<&'static str>().expect("a string that is no `String`")
}

fn fails() -> u8 {
    panic!("on purpose")
}

#[test]
fn what_is_poisoned_says_stds_words() {
    let (ours, stds) = (Once::new(), sync::Once::new());
    assert_eq!(words(|| ours.call_once(|| _ = fails())), words(|| stds.call_once(|| _ = fails())));
    assert_eq!(words(|| ours.call_once(|| ())), words(|| stds.call_once(|| ())));
    assert_eq!(words(|| ours.wait()), words(|| stds.wait()));
    let (ours, stds) = (LazyLock::new(fails), sync::LazyLock::new(fails));
    assert_eq!(words(|| *ours), words(|| *stds));
    // (Once std named the `Once` inside.)
    let says = [words(|| *stds), "LazyLock instance has previously been poisoned"];
    assert!(says.contains(&words(|| *ours)));
    let (ours, stds) = (Mutex::new(0), sync::Mutex::new(0));
    words(|| {
        let _held = ours.lock().unwrap();
        fails()
    });
    words(|| {
        let _held = stds.lock().unwrap();
        fails()
    });
    let says = (ours.lock().unwrap_err().to_string(), ours.try_lock().unwrap_err().to_string());
    assert_eq!(says, (stds.lock().unwrap_err().to_string(), stds.try_lock().unwrap_err().to_string()));
}

#[test]
fn the_panic_of_a_scope_is_a_str() {
    let ours = words(|| task::scope(|s| drop(s.spawn(fails))));
    let stds = words(|| thread::scope(|s| drop(s.spawn(fails))));
    assert_eq!(ours.replace("task", "thread"), stds);
}
