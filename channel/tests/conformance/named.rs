//! What the rows of kinds that name files have in common.

use crate::common::Scratch;
use crate::observed::Got;
use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use ec_channel::{EventKind, Request};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// It waits for nobody: a cancel comes before it has begun, or too late.
pub const EITHER: &[Outcome] = &[Outcome::Done, Outcome::Cancelled];

/// The row of such a kind.
pub const fn row(
    kind: EventKind,
    make: fn() -> Scene,
    fails: fn() -> Scene,
    errno: &'static [Outcome],
    inputs: &'static [Input],
) -> Row {
    Row {
        kind,
        on_descriptor: true,
        completes: Cell::Can { make, allowed: &[Outcome::Done] },
        fails: Cell::Can { make: fails, allowed: errno },
        cancelled: Cell::Can { make, allowed: EITHER },
        races: Cell::Can { make, allowed: EITHER },
        shut_down: Cell::Can { make, allowed: EITHER },
        inputs,
    }
}

/// In a folder of its own, of which `prepare` makes what it needs.
pub fn scene(prepare: impl FnOnce(&Path), request: impl FnOnce(&Path) -> Request) -> Scene {
    effect(prepare, request, |_| true, |_| true)
}

/// As [`scene`]. Afterwards it is as `after` says exactly if it is done, and else as `before` says.
pub fn effect(
    prepare: impl FnOnce(&Path),
    request: impl FnOnce(&Path) -> Request,
    after: impl FnOnce(&Path) -> bool + 'static,
    before: impl FnOnce(&Path) -> bool + 'static,
) -> Scene {
    let folder = Scratch::quick();
    prepare(&folder);
    Scene::new(request(&folder)).check(move |_, outcome| {
        let names = || std::fs::read_dir(&*folder).unwrap().map(|entry| entry.unwrap().file_name());
        let (is_done, names) = (outcome == Outcome::Done, names().collect::<Vec<_>>());
        let is_so = if is_done { after(&folder) } else { before(&folder) };
        ensure(is_so, || format!("{outcome}, and there is {names:?}"))
    })
}

/// With one more thing to look at, while the folder is there.
pub fn looked_at(
    scene: Scene,
    check: impl FnOnce(&mut Got, Outcome) -> Result<(), String> + 'static,
) -> Scene {
    let first = scene.check;
    let both = move |got: &mut Got, outcome| {
        check(got, outcome)?;
        first(got, outcome)
    };
    Scene { check: Box::new(both), ..scene }
}

/// A name that is longer than any may be.
pub fn too_long() -> String {
    "x".repeat(256)
}

pub fn fifo(path: &Path) {
    let name = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: a string that ends.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
}

pub fn write(path: impl AsRef<Path>) {
    std::fs::write(path, "content").unwrap();
}

/// Why this machine cannot show what becomes of such a request.
pub fn missing(kind: EventKind) -> Option<&'static str> {
    let needs = matches!(
        kind,
        EventKind::GetXattr | EventKind::ListXattr | EventKind::SetXattr | EventKind::RemoveXattr
    );
    let folder = Scratch::quick();
    let has_none = needs && !colour(&folder);
    has_none.then_some("the file system of temporary files has no extended attributes")
}

/// An attribute, as the file has it.
pub fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let (path, name) = (CString::new(path.as_os_str().as_bytes()).unwrap(), CString::new(name).unwrap());
    let mut value = vec![0; 64];
    // SAFETY: two strings that end, and room for as many bytes as said.
    let n = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    value.truncate(usize::try_from(n).ok()?);
    Some(value)
}

/// A file with such an attribute.
pub fn coloured(path: &Path) {
    write(path);
    assert!(colour(path));
}

/// Gives it an attribute, if it can have one.
fn colour(path: &Path) -> bool {
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: two strings that end, and as many bytes as said.
    unsafe { libc::setxattr(path.as_ptr(), c"user.colour".as_ptr(), "green".as_ptr().cast(), 5, 0) == 0 }
}
