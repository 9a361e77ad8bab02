//! What the books must say when somebody reads them: sums add up, and what was promised of records was kept.

use super::{Attendance, Checks, Violation};
use crate::kafka::ids::{ClientId, TopicPartition};
use crate::sim::books::{Books, Found};
use crate::time::Instant;

/// One producer's records of one partition, as its books and the log that speaks for it have them.
#[derive(Clone, Debug)]
pub struct Account {
    pub producer: ClientId,
    pub name: String,
    pub partition: TopicPartition,
    pub found: Found,
    /// It waits for every in-sync replica, and always has.
    pub waits_for_all: bool,
}

impl Checks {
    /// Every promise that the books break. `fact` is the last one there was.
    pub fn audit(
        &self,
        (at, fact): (Instant, u64),
        books: &Books,
        accounts: &[Account],
        groups: &[Attendance],
        name: impl Fn(TopicPartition) -> String,
        old_rules: bool,
    ) -> Vec<Violation> {
        let mut broken = Vec::new();
        let mut report = |name, what| broken.push(Violation { name, at, what, fact });
        for (id, account) in books.producers() {
            if account.acked + account.failed > account.sent {
                report(
                    "LedgerAddsUp",
                    format!("client {id} sent {}, acked {}, failed {}", account.sent, account.acked, account.failed),
                );
            }
        }
        for (id, account) in books.consumers().iter().filter(|(_, account)| account.processed > account.polled) {
            report("LedgerAddsUp", format!("client {id} polled {}, processed {}", account.polled, account.processed));
        }
        for (group, account) in books.groups().iter().filter(|(_, account)| account.distinct > account.processed) {
            report("LedgerAddsUp", format!("{group} processed {}, distinct {}", account.processed, account.distinct));
        }
        for account in accounts.iter().filter(|account| !self.is_forgiven(account.partition)) {
            let Account { name, found, .. } = account;
            if account.waits_for_all && found.lost > 0 && !old_rules {
                let what = format!("{name}: {} of {} acknowledged records are lost", found.lost, found.acked);
                report("AckedRecordsSurvive", what);
            }
            if !self.wiped
                && self.idempotent.get(&account.producer) == Some(&true)
                && (found.duplicated > 0 || found.disordered)
            {
                let order = if found.disordered { ", out of order" } else { "" };
                let what = format!("{name}: {} records are there twice{order}", found.duplicated);
                report("IdempotentProducersDoNotRepeat", what);
            }
        }
        for (name, what) in self.peace.audit(at, groups, &self.verdict, name) {
            report(name, what);
        }
        broken
    }
}
