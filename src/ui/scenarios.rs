//! The built-in scenarios, one file each, in the order in which one learns.

/// Scenarios that belong together: name in the address, and the file.
pub struct Chapter {
    pub title: &'static str,
    pub scenarios: &'static [(&'static str, &'static str)],
}

/// All of them.
pub const CHAPTERS: &[Chapter] = &[
    Chapter {
        title: "First steps",
        scenarios: &[
            ("hello", include_str!("../../scenarios/hello.toml")),
            ("load-balance", include_str!("../../scenarios/load-balance.toml")),
            ("fan-out", include_str!("../../scenarios/fan-out.toml")),
            ("payment-outage", include_str!("../../scenarios/payment-outage.toml")),
            ("redelivery", include_str!("../../scenarios/redelivery.toml")),
            ("notifications", include_str!("../../scenarios/notifications.toml")),
        ],
    },
    Chapter {
        title: "Consumers",
        scenarios: &[
            ("replay", include_str!("../../scenarios/replay.toml")),
            ("slow-consumer", include_str!("../../scenarios/slow-consumer.toml")),
            ("gc-pause", include_str!("../../scenarios/gc-pause.toml")),
            ("poison-pill", include_str!("../../scenarios/poison-pill.toml")),
            ("share-group", include_str!("../../scenarios/share-group.toml")),
        ],
    },
    Chapter {
        title: "Rebalances",
        scenarios: &[
            ("scale-out", include_str!("../../scenarios/scale-out.toml")),
            ("eager-vs-cooperative", include_str!("../../scenarios/eager-vs-cooperative.toml")),
            ("rolling-deploy", include_str!("../../scenarios/rolling-deploy.toml")),
            ("rebalance-storm", include_str!("../../scenarios/rebalance-storm.toml")),
        ],
    },
    Chapter {
        title: "Replication",
        scenarios: &[
            ("replication-factor", include_str!("../../scenarios/replication-factor.toml")),
            ("acks-1-loses", include_str!("../../scenarios/acks-1-loses.toml")),
            ("slow-follower", include_str!("../../scenarios/slow-follower.toml")),
            ("unclean-election", include_str!("../../scenarios/unclean-election.toml")),
            ("rolling-restart", include_str!("../../scenarios/rolling-restart.toml")),
            ("reassignment", include_str!("../../scenarios/reassignment.toml")),
        ],
    },
    Chapter {
        title: "Controllers",
        scenarios: &[
            ("controller-failover", include_str!("../../scenarios/controller-failover.toml")),
            ("zookeeper-vs-kraft", include_str!("../../scenarios/zookeeper-vs-kraft.toml")),
        ],
    },
    Chapter {
        title: "Storage",
        scenarios: &[
            ("power-failure", include_str!("../../scenarios/power-failure.toml")),
            ("disk-sequential-vs-random", include_str!("../../scenarios/disk-sequential-vs-random.toml")),
        ],
    },
    Chapter {
        title: "Network",
        scenarios: &[
            ("split-network", include_str!("../../scenarios/split-network.toml")),
            ("retry-doubles", include_str!("../../scenarios/retry-doubles.toml")),
        ],
    },
    Chapter {
        title: "How it once was",
        scenarios: &[
            ("kip-101", include_str!("../../scenarios/kip-101.toml")),
            ("kip-279", include_str!("../../scenarios/kip-279.toml")),
        ],
    },
];

/// What opens when nothing else is asked for.
pub const DEFAULT: &str = "hello";

/// Every scenario's name and file.
pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    CHAPTERS.iter().flat_map(|chapter| chapter.scenarios).copied()
}

/// A built-in scenario's file.
pub fn file(name: &str) -> Option<&'static str> {
    all().find(|(known, _)| *known == name).map(|(_, file)| file)
}
