//! Descriptors of records that are not released yet. The owner of the queue keeps them: so they are there still if the poster dies, and
//! again if a reader does.

use super::lane;
use super::memory::Region;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Of each lane the records' numbers and descriptors.
pub(crate) struct Kept(Vec<Vec<(u64, OwnedFd)>>);

impl Kept {
    pub(crate) fn new(lanes: usize) -> Self {
        Kept((0..lanes).map(|_| Vec::new()).collect())
    }

    /// For a record that is not posted yet. (No descriptor: it was lost on the way.) False: there are more than records can be.
    pub(crate) fn keep(
        &mut self,
        region: &Region,
        lane: usize,
        number: u64,
        descriptor: Option<OwnedFd>,
    ) -> bool {
        let most = region.layout.shape.slots;
        let kept = &mut self.0[lane];
        // The poster had not posted that, after all.
        kept.retain(|(of, _)| *of != number);
        if kept.len() >= most {
            kept.retain(|(of, _)| !lane::is_over(region, lane, *of));
        }
        if kept.len() >= most {
            return false;
        }
        kept.extend(descriptor.map(|descriptor| (number, descriptor)));
        true
    }

    pub(crate) fn find(&self, lane: usize, number: u64) -> Option<BorrowedFd<'_>> {
        self.0[lane].iter().find(|(of, _)| *of == number).map(|(_, descriptor)| descriptor.as_fd())
    }

    /// A record has been released, it is said.
    pub(crate) fn done(&mut self, region: &Region, lane: usize, number: u64) {
        if lane::is_over(region, lane, number) {
            self.0[lane].retain(|(of, _)| *of != number);
        }
    }

    /// It may have released what it has not said, and not posted what it has announced.
    pub(crate) fn member_is_gone(&mut self, region: &Region, index: usize) {
        for (lane, kept) in self.0.iter_mut().enumerate() {
            if lane == index {
                kept.retain(|(of, _)| lane::is_there(region, lane, *of));
            } else {
                kept.retain(|(of, _)| !lane::is_over(region, lane, *of));
            }
        }
    }
}
