//! What every assignor promises, and what its tests share.

use std::rc::Rc;

use super::*;

/// A dynamic member that owns nothing.
pub(super) fn member(id: &str, topics: &str) -> Member {
    let topics = topics.split_whitespace().map(Name::from).collect();
    let subscription = Rc::new(Subscription { topics, ..Subscription::default() });
    Member { id: id.into(), instance_id: None, subscription }
}

pub(super) fn topics(sizes: &[(&str, u32)]) -> Topics {
    sizes.iter().map(|(name, partitions)| ((*name).into(), Topic::of(*partitions))).collect()
}

/// What each member got, as `a: t-0 t-1`.
pub(super) fn assign(assignor: Assignor, topics: &Topics, members: &[Member]) -> Vec<String> {
    let list = |partitions: &[(Name, u32)]| -> String {
        partitions.iter().map(|(topic, partition)| format!(" {topic}-{partition}")).collect()
    };
    assignor.assign(topics, members).iter().map(|(id, partitions)| format!("{id}:{}", list(partitions))).collect()
}

#[test]
fn names_are_unique_and_lead_back() {
    for assignor in Assignor::ALL {
        assert_eq!(Assignor::by_name(assignor.name()), Some(*assignor));
        if assignor.is_on_server() {
            assert_eq!(Assignor::on_server(assignor.protocol_name()), Some(*assignor));
        }
    }
    assert_eq!(Assignor::on_server("sticky"), None);
}
