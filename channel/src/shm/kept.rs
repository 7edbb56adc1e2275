//! Descriptors of records that are not released yet. The owner of the queue keeps them: so they are there still if the poster dies, and
//! again if a reader does.

use super::lane::{self, Memory};
use super::memory::Region;
use crate::closing::Outside;
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};

/// Of each lane, by the slot, the number of the record that lies there, and its descriptor. (Where one was before, that has been released.)
pub(crate) struct Kept(Vec<HashMap<usize, (u64, Outside)>>);

impl Kept {
    pub(crate) fn new(lanes: usize) -> Self {
        Kept((0..lanes).map(|_| HashMap::new()).collect())
    }

    /// For a record that is not posted yet. (No descriptor: it was lost on the way.)
    pub(crate) fn keep(&mut self, region: &Region, lane: usize, number: u64, descriptor: Option<Outside>) {
        let slot = region.numbers().slot(number);
        match descriptor {
            Some(descriptor) => self.0[lane].insert(slot, (number, descriptor)),
            None => self.0[lane].remove(&slot),
        };
    }

    pub(crate) fn find(&self, region: &Region, lane: usize, number: u64) -> Option<BorrowedFd<'_>> {
        let (of, descriptor) = self.0[lane].get(&region.numbers().slot(number))?;
        (*of == number).then(|| descriptor.as_fd())
    }

    /// A record has been released, it is said.
    pub(crate) fn done(&mut self, region: &Region, lane: usize, number: u64) {
        let slot = region.numbers().slot(number);
        if self.find(region, lane, number).is_some() && lane::is_over(region, lane, number) {
            self.0[lane].remove(&slot);
        }
    }

    /// Some have been, and it could not be said which.
    pub(crate) fn some_are_done(&mut self, region: &Region, lane: usize) {
        self.0[lane].retain(|_, (of, _)| !lane::is_over(region, lane, *of));
    }

    /// It may have released what it has not said, and not posted what it has announced.
    pub(crate) fn member_is_gone(&mut self, region: &Region, index: usize) {
        for lane in 0..self.0.len() {
            if lane == index {
                self.0[lane].retain(|_, (of, _)| lane::is_there(region, lane, *of));
            } else {
                self.some_are_done(region, lane);
            }
        }
    }
}
