//! The channels in which tasks have waited. A runtime that ends and leaves tasks behind has each of them look who is gone.
//!
//! A task that is gone was perhaps called, or leads. Nobody else would come then: those that follow sleep.

use crate::fork;
use crate::line::{Line, Place};
use crate::lock::{Mutex, has_room, make_room};
use std::sync::{Arc, OnceLock, Weak};

/// What is listed.
pub(crate) trait PassOver: Send + Sync {
    /// Those that are gone are waited for no longer: others do what they were to do.
    fn pass_over_gone(&self);
}

static LIST: Mutex<Line<Weak<dyn PassOver>>> = Mutex::new(Line::new());

/// Where a channel stands in the list, if it does. It leaves the list when this is dropped.
#[derive(Default)]
pub(crate) struct Listed(OnceLock<Place>);

impl Listed {
    pub(crate) fn is_listed(&self) -> bool {
        self.0.get().is_some()
    }

    pub(crate) fn enter(&self, channel: Weak<dyn PassOver>) {
        loop {
            let mut list = LIST.lock();
            if self.is_listed() {
                return;
            }
            if has_room(&*list, 1) {
                let _ = self.0.set(list.join(channel));
                return;
            }
            drop(list);
            make_room(&LIST, |list| list, 1);
        }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        if let Some(place) = self.0.get()
            && !fork::is_child()
        {
            let mine = LIST.lock().leave(*place);
            // Not under the lock.
            drop(mine);
        }
    }
}

/// A runtime calls this when none of its tasks runs any more, and has left some behind: from now on [`Sleeper::is_gone`]
/// says so of them. In whatever channel they wait, others take their places.
///
/// [`Sleeper::is_gone`]: crate::Sleeper::is_gone
pub fn tasks_were_left() {
    if fork::is_child() {
        return;
    }
    let mut channels: Vec<Arc<dyn PassOver>> = Vec::new();
    loop {
        let list = LIST.lock();
        let wanted = list.queued();
        if wanted <= channels.capacity() {
            channels.extend(list.iter().filter_map(Weak::upgrade));
            break;
        }
        drop(list);
        channels.reserve(wanted);
    }
    // (One whose last pointer this is goes here, without the lock.)
    channels.into_iter().for_each(|channel| channel.pass_over_gone());
}
