//! The built-in scenarios, one file each.

/// Name in the address, and the file.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("hello", include_str!("../../scenarios/hello.toml")),
    ("load-balance", include_str!("../../scenarios/load-balance.toml")),
    ("redelivery", include_str!("../../scenarios/redelivery.toml")),
    ("unclean-election", include_str!("../../scenarios/unclean-election.toml")),
    ("rolling-restart", include_str!("../../scenarios/rolling-restart.toml")),
    ("reassignment", include_str!("../../scenarios/reassignment.toml")),
    ("controller-failover", include_str!("../../scenarios/controller-failover.toml")),
    ("split-network", include_str!("../../scenarios/split-network.toml")),
    ("power-failure", include_str!("../../scenarios/power-failure.toml")),
    ("disk-sequential-vs-random", include_str!("../../scenarios/disk-sequential-vs-random.toml")),
    ("zookeeper-vs-kraft", include_str!("../../scenarios/zookeeper-vs-kraft.toml")),
    ("notifications", include_str!("../../scenarios/notifications.toml")),
    ("replication-factor", include_str!("../../scenarios/replication-factor.toml")),
    ("acks-1-loses", include_str!("../../scenarios/acks-1-loses.toml")),
    ("retry-doubles", include_str!("../../scenarios/retry-doubles.toml")),
    ("slow-follower", include_str!("../../scenarios/slow-follower.toml")),
    ("kip-101", include_str!("../../scenarios/kip-101.toml")),
];

/// What opens when nothing else is asked for.
pub const DEFAULT: &str = "hello";

/// A built-in scenario's file.
pub fn file(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, file)| *file)
}
