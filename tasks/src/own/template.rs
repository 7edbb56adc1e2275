//! The template of every block: what a thread that has done nothing yet looks like.
//!
//! It is the memory of a helper thread, taken while the helper waits. Every pointer into that memory is made relative.
//! So libc itself has initialised it: stack and pointer guards, character tables, the list of modules.
//!
//! When a library with thread-locals is loaded, a new helper gives a new template. The initial values of what has come
//! into the static part are written to the blocks of all live tasks, as libc does for threads.

#![allow(unsafe_code)]

use std::array;
use std::mem;
use std::ptr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};

use super::facts::{Facts, word};
use super::helper::{self, Helper, Module};
use super::loading::loading;
use crate::here;
use crate::slab;
use crate::util::crossing::Crossing;

/// See the module. Indices count words from the low end of a block.
pub(super) struct Template {
    pub(super) words: Vec<usize>,
    /// The words that are relative to the thread pointer.
    pub(super) relative: Vec<u32>,
    /// Below this one all is zero, in every block that nothing was loaded into.
    pub(super) first_used: usize,
    pub(super) dtv: Vec<usize>,
    pub(super) relative_in_dtv: Vec<u32>,
    /// How many modules had been loaded when it was taken.
    adds: u64,
}

/// What is in force. Never changed: another one is put in its place.
#[derive(Clone)]
pub(super) struct Installed {
    facts: Arc<Facts>,
    template: Arc<Template>,
    /// Those that live blocks have the initial values of.
    modules: Arc<Vec<Module>>,
}

/// One of several that hold the same, so that workers that read at once do not meet: every start of a task reads one, on
/// whichever worker, and writers, who lock all, are rare.
#[repr(align(128))]
struct Shard(RwLock<Option<Installed>>);

const SHARDS: usize = 8;
static INSTALLED: [Shard; SHARDS] = [const { Shard(RwLock::new(None)) }; SHARDS];

/// Calls `f`, which calls nobody's code (an allocator, for one), with what is in force; nothing is put in its place meanwhile.
fn read<R>(f: impl FnOnce(Option<&Installed>) -> R) -> R {
    // Threads' own pointers lie some pages apart.
    let mixed = (here::thread_pointer() as u64 >> 12).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let shard = &INSTALLED[(mixed >> 32) as usize % SHARDS];
    let installed = shard.0.read().unwrap_or_else(PoisonError::into_inner);
    let _crossing = Crossing::enter("the template's lock");
    f(installed.as_ref())
}

/// Puts `new` in place when nobody reads, after `before`, which calls nobody's code.
fn replace(new: Installed, before: impl FnOnce()) {
    let mut new = array::from_fn::<_, SHARDS, _>(|_| Some(new.clone()));
    {
        let mut all = array::from_fn::<_, SHARDS, _>(|index| {
            INSTALLED[index].0.write().unwrap_or_else(PoisonError::into_inner)
        });
        let _crossing = Crossing::enter("the template's lock");
        before();
        all.iter_mut().zip(&mut new).for_each(|(place, new)| mem::swap(&mut **place, new));
    }
    // What was there is freed without the lock.
    drop(new);
}

/// A vector entry whose module has no memory in this thread yet.
const UNALLOCATED: usize = usize::MAX;

pub(super) fn install(installed: Installed) {
    replace(installed, || ());
}

/// Calls `f` with the present template; none is put in its place meanwhile. `f` calls nobody's code: no allocator.
pub(super) fn with<R>(f: impl FnOnce(&Template) -> R) -> Option<R> {
    read(|installed| installed.map(|installed| f(&installed.template)))
}

/// A library was loaded: the template is renewed if there is one and the library is not known to it. An error is to be
/// logged, not here.
pub(super) fn refresh() -> Result<(), String> {
    if crate::util::forked::forked() {
        // The lock may be held for ever; and libc knows this child's only block.
        return Ok(());
    }
    let unknown = || read(|installed| installed.cloned()).filter(|old| old.template.adds != adds());
    if unknown().is_none() {
        return Ok(());
    }
    // One at a time.
    loading(|| {
        let Some(old) = unknown() else { return Ok(()) };
        let renewed = Installed::take(old.facts.clone())?;
        let modules = renewed.modules.clone();
        replace(renewed, || {
            for module in modules.iter().filter(|module| !old.modules.contains(module)) {
                write_into_blocks(module);
            }
        });
        Ok(())
    })
}

fn write_into_blocks(module: &Module) {
    for slot in slab::all_cut() {
        // SAFETY: the head of a slot that was given out. A live block has room for all of the
        // static part, and nobody uses what belongs to a library whose loading has not
        // returned yet. (A block being built is not live yet, and its builder holds one of our locks.)
        unsafe {
            let live = (*slot.head()).block.live.load(Ordering::Acquire);
            if live != 0 {
                module.write_image(live);
            }
        }
    }
}

/// A library was unloaded: what is loaded next in its place begins anew. Inside [`loading`].
pub(super) fn forget_unloaded() {
    if crate::util::forked::forked() {
        return;
    }
    let Some(mut installed) = read(|installed| installed.cloned()) else { return };
    let loaded = helper::loaded();
    let is_there = |module: &&Module| loaded.contains(&(module.id, module.base));
    if !installed.modules.iter().all(|module| is_there(&module)) {
        installed.modules = Arc::new(installed.modules.iter().filter(is_there).cloned().collect());
        replace(installed, || ());
    }
}

impl Module {
    /// Writes the initial values into the block of `thread_pointer`.
    ///
    /// # Safety
    /// It is a block, and nobody uses this module's part of it.
    unsafe fn write_image(&self, thread_pointer: usize) {
        let place = thread_pointer.wrapping_add_signed(self.offset) as *mut u8;
        // SAFETY: the module is loaded, so its image can be read; the rest is the caller's promise.
        unsafe {
            ptr::copy_nonoverlapping(self.image.0 as *const u8, place, self.image.1);
            ptr::write_bytes(place.add(self.image.1), 0, self.size - self.image.1);
        }
    }

    /// Whether the block of `thread_pointer` has the initial values.
    ///
    /// # Safety
    /// It is a block that nobody uses.
    pub(super) unsafe fn is_initial_in(&self, thread_pointer: usize) -> bool {
        // SAFETY: as for `write_image`.
        unsafe {
            let place = thread_pointer.wrapping_add_signed(self.offset) as *const u8;
            let here = std::slice::from_raw_parts(place, self.size);
            let image = std::slice::from_raw_parts(self.image.0 as *const u8, self.image.1);
            here[..self.image.1] == *image && here[self.image.1..].iter().all(|byte| *byte == 0)
        }
    }
}

impl Installed {
    /// For the self-test's first look.
    pub(super) fn template(&self) -> &Template {
        &self.template
    }

    /// Takes the picture of a new helper.
    pub(super) fn take(facts: Arc<Facts>) -> Result<Installed, String> {
        let adds = adds();
        let helper = Helper::start(false)?;
        let thread_pointer = helper.seen().thread_pointer;
        let low = thread_pointer - facts.below;
        let block = low..thread_pointer + facts.above;
        let memory = helper.memory();
        // SAFETY: the helper's memory, which it leaves alone while it waits for us.
        let mut words: Vec<usize> =
            block.clone().step_by(8).map(|address| unsafe { word(address) }).collect();
        // SAFETY: the pointer that libc put there; before the vector lies its length.
        let mut dtv: Vec<usize> = unsafe {
            let vector = word(thread_pointer + facts.dtv);
            let length = word(vector - 16);
            if length > 1 << 20 {
                return Err(format!("a dynamic thread vector of {length} entries"));
            }
            (0..(length + 2) * 2).map(|index| word(vector - 16 + index * 8)).collect()
        };
        helper.go_on();
        let modules = helper.seen().modules.clone();
        drop(helper);

        let index = |offset: isize| ((offset + facts.below as isize) / 8) as usize;
        // What is not the thread's own: no error, no thread id, no list, no restartable sequences.
        let half = |words: &mut Vec<usize>, offset: isize| {
            words[index(offset)] &= !(0xffff_ffff << ((offset & 4) * 8))
        };
        half(&mut words, facts.errno);
        half(&mut words, facts.tid as isize);
        if let Some(rseq) = facts.rseq {
            // CPU numbers (first "0", then "not registered"), and the pointer to a sequence.
            words[index(rseq)] = 0xffff_ffff_0000_0000;
            words[index(rseq) + 1] = 0;
        }
        let mut relative = Vec::new();
        for (at, value) in words.iter_mut().enumerate() {
            if block.contains(value) {
                *value = value.wrapping_sub(thread_pointer);
                relative.push(at as u32);
            } else if memory.contains(value) {
                // Of the stack of a thread that will be gone.
                *value = 0;
            }
        }
        // Both ends of the list node point at the node, which is thereby a list of its own.
        for (at, value) in [(0, facts.list), (1, facts.list)] {
            let at = index(facts.list as isize) + at;
            words[at] = value;
            relative.push(at as u32);
        }
        words[index(facts.dtv as isize)] = 0;
        relative.retain(|&at| at as usize != index(facts.dtv as isize));
        let mut relative_in_dtv = Vec::new();
        for at in (4..dtv.len()).step_by(2) {
            if block.contains(&dtv[at]) {
                dtv[at] = dtv[at].wrapping_sub(thread_pointer);
                relative_in_dtv.push(at as u32);
            } else {
                dtv[at] = UNALLOCATED;
                dtv[at + 1] = 0;
            }
        }
        let used = modules.iter().map(|module| module.offset).chain(facts.rseq.filter(|&at| at < 0)).min();
        if used.is_some_and(|at| at < -(facts.below as isize)) {
            return Err("a library's thread-locals lie outside of what a block has room for".into());
        }
        let first_used = index(used.unwrap_or(0));
        // What the helper's first frames have left below is nobody's.
        words[..first_used].fill(0);
        relative.retain(|&at| at as usize >= first_used);
        let template = Template { words, relative, first_used, dtv, relative_in_dtv, adds };
        Ok(Installed { facts, template: Arc::new(template), modules: Arc::new(modules) })
    }
}

/// How many modules have ever been loaded.
fn adds() -> u64 {
    let mut adds = 0;
    helper::each_loaded(|info| {
        adds = info.dlpi_adds;
        true
    });
    adds
}

/// The initial values of each module but libc's own, compared with a block that nobody has used.
///
/// # Safety
/// `thread_pointer` is that of such a block.
pub(super) unsafe fn compare(thread_pointer: usize) -> Result<(), String> {
    let differs = read(|installed| {
        let Installed { facts, modules, .. } = installed?;
        let others = modules.iter().filter(|module| module.offset != facts.libc.0);
        // SAFETY: the caller's promise.
        others
            .filter(|module| !unsafe { module.is_initial_in(thread_pointer) })
            .map(|module| module.id)
            .next()
    });
    match differs {
        Some(id) => Err(format!("the thread-locals of module {id} are not the initial ones")),
        None => Ok(()),
    }
}
