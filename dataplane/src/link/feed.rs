//! News in order, for readers that each go at their own pace.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// So many of the last news are kept; a reader that is further behind has to begin anew.
const KEPT_MAX: usize = 1 << 16;

/// The last news, numbered from 0.
#[derive(Debug)]
pub(crate) struct Feed<T>(Mutex<Kept<T>>);

#[derive(Debug)]
struct Kept<T> {
    first: u64,
    news: VecDeque<T>,
}

impl<T: Copy> Feed<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Kept {
            first: 0,
            news: VecDeque::new(),
        }))
    }

    fn kept(&self) -> MutexGuard<'_, Kept<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, news: T) {
        let mut kept = self.kept();
        if kept.news.len() >= KEPT_MAX {
            kept.news.pop_front();
            kept.first += 1;
        }
        kept.news.push_back(news);
    }

    /// The number that the next news will have.
    pub(crate) fn end(&self) -> u64 {
        let kept = self.kept();
        kept.first + kept.news.len() as u64
    }

    /// At most `most` news from number `at` on, and the number behind them; `None` if some of them are gone.
    pub(crate) fn since(&self, at: u64, most: usize) -> Option<(Vec<T>, u64)> {
        let kept = self.kept();
        let skip = usize::try_from(at.checked_sub(kept.first)?).ok()?;
        let news: Vec<T> = kept.news.iter().skip(skip).take(most).copied().collect();
        let behind = at + news.len() as u64;
        Some((news, behind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_gets_everything_once_and_in_order_or_is_told_that_it_is_too_late() {
        let feed = Feed::new();
        (0..10).for_each(|n| feed.push(n));
        assert_eq!(feed.since(0, 4), Some((vec![0, 1, 2, 3], 4)));
        assert_eq!(feed.since(4, 100), Some((vec![4, 5, 6, 7, 8, 9], 10)));
        assert_eq!((feed.since(10, 100), feed.end()), (Some((vec![], 10)), 10));
        (0..KEPT_MAX).for_each(|n| feed.push(n));
        assert_eq!(feed.since(9, 1), None);
        assert_eq!(feed.since(10, 1), Some((vec![0], 11)));
    }
}
