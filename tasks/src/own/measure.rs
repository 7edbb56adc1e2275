//! How this libc lays out a thread: measured on live threads, since none of it is public.
//!
//! Two helper threads are started one after the other. They run on stacks of ours, so that it is known where their
//! memory ends. While both live, their descriptors are compared. That finds:
//!
//! * the word that holds the thread id;
//! * the list node by which they point at each other;
//! * the words of libc's own segment that the locale and the list of destructors are in;
//! * the table of `pthread_setspecific`.
//!
//! [`establish`] measures twice, each time on two threads, and insists on the same answer. (If a third thread comes in
//! between, the measurement is repeated.) Where libc offers its debugger's
//! table (`_thread_db_*`), it insists on that, too.

#![allow(unsafe_code)]

use std::ffi::CStr;
use std::ptr;

use super::facts::{Facts, NAMES, static_tls_size, symbol, word};
use super::helper::{Helper, Seen};
use super::real;

/// Measures twice. `falsify` changes one fact in between, so that the comparison must refuse it.
pub(super) fn establish(falsify: Option<&str>) -> Result<Facts, String> {
    let mut facts = measure()?;
    if let Some(what) = falsify {
        facts.falsify(what);
    }
    let again = measure()?;
    let differing = facts.differing(&again);
    if !differing.is_empty() {
        return Err(format!("two measurements of a thread's layout differ in {}", differing.join(", ")));
    }
    facts.compare_with_debugger()?;
    Ok(facts)
}

fn measure() -> Result<Facts, String> {
    // The neighbourhood in libc's list is spoilt if another thread is started just between ours.
    let mut last = String::new();
    for _ in 0..20 {
        let keys = real::SecondLevelKey::new()?;
        let first = Helper::start(true)?;
        let second = Helper::start(true)?;
        first.go_on();
        second.go_on();
        drop(keys);
        match Facts::of(&first, &second) {
            Ok(facts) => return Ok(facts),
            Err(why) => last = why,
        }
    }
    Err(last)
}

impl Facts {
    fn of(first: &Helper, second: &Helper) -> Result<Facts, String> {
        let (one, two) = (first.seen(), second.seen());
        let (a, b) = (one.thread_pointer, two.thread_pointer);
        let above = first.top() - a;
        if above != second.top() - b || above > 1 << 16 {
            return Err(format!("descriptors of {above} and {} bytes", second.top() - b));
        }
        let words = || (0..above / 8).map(|index| index * 8);
        // SAFETY: both helpers wait, so their descriptors stay as they are; the offsets lie within.
        let at = |base: usize, offset: usize| unsafe { word(base + offset) };
        if at(a, 0) != a || at(a, 16) != a {
            return Err("a thread's descriptor does not begin with its own address".into());
        }
        let dtv = 8;
        let half = |base, offset: usize| (at(base, offset & !7) >> ((offset & 4) * 8)) as u32 as i32;
        let tid = only("thread ids", (0..above / 4).map(|index| index * 4), |offset| {
            half(a, offset) == one.tid && half(b, offset) == two.tid
        })?;
        let list = only("list nodes", words().take(above / 8 - 1), |offset| {
            (at(b, offset) == a + offset && at(a, offset + 8) == b + offset)
                || (at(a, offset) == b + offset && at(b, offset + 8) == a + offset)
        })?;
        let (Some((second_level, index)), true) = (one.second_level, one.second_level == two.second_level)
        else {
            return Err("the table of pthread_setspecific was not found".into());
        };
        let Some(specific) = second_level.checked_sub(index / 32 * 8) else {
            return Err("the table of pthread_setspecific lies outside the descriptor".into());
        };
        if !(a..a + above).contains(&at(a, specific)) {
            return Err("the table of pthread_setspecific does not begin inside the descriptor".into());
        }
        let relative = |what: &str, seen: &Seen, address: usize| {
            let offset = address.wrapping_sub(seen.thread_pointer) as isize;
            match offset {
                -0x4000_0000..0 => Ok(offset),
                _ => Err(format!("{what} does not lie among the static thread-locals")),
            }
        };
        let same = |what: &str, x: usize, y: usize| {
            let (x, y) = (relative(what, one, x)?, relative(what, two, y)?);
            if x == y { Ok(x) } else { Err(format!("{what} lies at {x} and at {y}")) }
        };
        let errno = same("errno", one.errno, two.errno)?;
        let libc = one
            .modules
            .iter()
            .map(|module| (module.offset, module.offset + module.size as isize))
            .find(|range| (range.0..range.1).contains(&errno))
            .ok_or("libc has no thread-locals among the static ones")?;
        let mut kept = vec![(errno, 4), (same("h_errno", one.h_errno, two.h_errno)?, 4)];
        for (x, y) in one.tables.iter().zip(&two.tables) {
            kept.push((same("a character table", *x, *y)?, 8));
        }
        if one.changed.len() != two.changed.len() || one.changed.len() < 2 {
            return Err("the locale and the destructors were not found among libc's thread-locals".into());
        }
        for (x, y) in one.changed.iter().zip(&two.changed) {
            kept.push((same("a thread-local of libc", *x, *y)?, 8));
        }
        // 18 bytes, wherever they begin.
        if let Ok(text) = same("the text of an address", one.address_text, two.address_text) {
            let start = text & !3;
            kept.push((start, (text + 18 - start) as usize));
        }
        kept.retain(|&(at, _)| (libc.0..libc.1).contains(&at));
        kept.sort_unstable();
        kept.dedup();
        let dlerror = match (one.dlerror, two.dlerror) {
            (Some(x), Some(y)) => Some(same("the text of dlerror", x, y)?),
            _ => None,
        };
        let here = same("the runtime's thread-local", one.here, two.here)?;
        let align = one.modules.iter().map(|module| module.align).fold(64, usize::max);
        let rseq = Facts::rseq(one)?;
        let stack_distance = (a - one.stack_pointer).next_multiple_of(64);
        let below = match static_tls_size() {
            // libc's number has the descriptor in it, but not what aligned that on this stack.
            Some(size) if size > above.min(4096) => {
                (size - above.min(size) + align - 64).next_multiple_of(64).min(stack_distance)
            }
            _ => stack_distance,
        };
        let needed = one.modules.iter().map(|module| module.offset).chain(rseq).chain([here, libc.0]).min();
        if below > stack_distance || needed.is_some_and(|offset| offset < -(below as isize)) {
            return Err(format!("{below} bytes of thread-locals are too few or too many"));
        }
        let (carried, freed) = (one.carried.clone(), one.freed.clone());
        if carried != two.carried || freed != two.freed {
            return Err("two threads differ in what libc keeps in their descriptors".into());
        }
        Ok(Facts {
            below,
            above,
            align,
            tid,
            list,
            specific,
            dtv,
            rseq,
            libc,
            errno,
            kept,
            dlerror,
            carried,
            freed,
            here,
        })
    }

    fn rseq(seen: &Seen) -> Result<Option<isize>, String> {
        let (Some(offset), Some(size)) = (symbol(c"__rseq_offset"), symbol(c"__rseq_size")) else {
            return Ok(None);
        };
        // SAFETY: libc's public constants: `ptrdiff_t` and `unsigned`.
        let (offset, size) = unsafe { (word(offset) as isize, ptr::read(size as *const u32)) };
        if size == 0 {
            return Ok(None);
        }
        // SAFETY: in the memory of a helper that waits.
        let cpu = unsafe { word(seen.thread_pointer.wrapping_add_signed(offset)) as u32 };
        // CPUs' numbers may have gaps; what else may lie there is a pointer, or minus one.
        if cpu >= 1 << 16 {
            return Err(format!("no CPU's number is where the restartable sequences should be ({cpu})"));
        }
        Ok(Some(offset))
    }

    fn falsify(&mut self, what: &str) {
        match what {
            "below" => self.below -= 64,
            "above" => self.above -= 64,
            "align" => self.align *= 2,
            "tid" => self.tid += 4,
            "list" => self.list += 8,
            "specific" => self.specific += 8,
            "dtv" => self.dtv += 8,
            "rseq" => self.rseq = self.rseq.map_or(Some(64), |offset| Some(offset + 32)),
            "libc" => self.libc.0 += 8,
            "errno" => self.errno += 4,
            "locale" => drop(self.kept.pop()),
            "dlerror" => self.dlerror = self.dlerror.map_or(Some(-8), |at| Some(at + 8)),
            "carried" => self.carried.push(8),
            "freed" => self.freed.push(8),
            _ => self.here += 8,
        }
    }

    fn differing(&self, other: &Facts) -> Vec<&'static str> {
        let same = [
            self.below == other.below,
            self.above == other.above,
            self.align == other.align,
            self.tid == other.tid,
            self.list == other.list,
            self.specific == other.specific,
            self.dtv == other.dtv,
            self.rseq == other.rseq,
            self.libc == other.libc,
            self.errno == other.errno,
            self.kept == other.kept,
            self.dlerror == other.dlerror,
            self.carried == other.carried,
            self.freed == other.freed,
            self.here == other.here,
        ];
        NAMES.iter().zip(same).filter(|(_, same)| !same).map(|(name, _)| *name).collect()
    }

    /// libc's table for debuggers, where it can be found: the same facts from another source.
    fn compare_with_debugger(&self) -> Result<(), String> {
        let number = |name: &CStr, index: usize| {
            // SAFETY: tables of `uint32_t`: one for a size; bits, elements and offset for a field.
            symbol(name).map(|table| unsafe { ptr::read((table as *const u32).add(index)) } as usize)
        };
        let fields = [
            ("tid", self.tid, number(c"_thread_db_pthread_tid", 2)),
            ("list", self.list, number(c"_thread_db_pthread_list", 2)),
            ("specific", self.specific, number(c"_thread_db_pthread_specific", 2)),
            ("dtv", self.dtv, number(c"_thread_db_pthread_dtvp", 2)),
        ];
        for (name, measured, told) in fields {
            if told.is_some_and(|told| told != measured) {
                return Err(format!("{name} lies at {measured}, but a debugger is told {told:?}"));
            }
        }
        match number(c"_thread_db_sizeof_pthread", 0) {
            Some(size) if self.above < size => {
                Err(format!("descriptors have {size} bytes, not {}", self.above))
            }
            _ => Ok(()),
        }
    }
}

fn only(
    what: &str,
    mut places: impl Iterator<Item = usize>,
    is: impl Fn(usize) -> bool,
) -> Result<usize, String> {
    let found = places.by_ref().find(|&offset| is(offset));
    match (found, places.find(|&offset| is(offset))) {
        (Some(offset), None) => Ok(offset),
        (None, _) => Err(format!("no {what} found in two threads' descriptors")),
        (Some(one), Some(two)) => Err(format!("{what} found at {one} and {two}")),
    }
}
