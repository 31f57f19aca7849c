//! Comparisons by one name: workload, fleet and loads that belong together.

/// Everything that a preset settles; options given beside it win.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Preset {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) source: Source,
    pub(crate) fleet: &'static str,
    pub(crate) loads: &'static [f64],
    pub(crate) routers: u16,
    pub(crate) timeline: &'static [&'static str],
}

/// Where requests come from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    Trace(&'static str),
    Synthetic(&'static str),
}

const PLAIN: Preset = Preset {
    name: "",
    about: "",
    source: Source::Trace("mooncake-conversation"),
    fleet: "16x70b",
    loads: &[],
    routers: 1,
    timeline: &[],
};

/// The six workloads of the comparison, then the situations.
pub(crate) const PRESETS: &[Preset] = &[
    Preset {
        name: "conversation-70b",
        about: "Mooncake conversation, 16 servers of 70B on 8 H100 each",
        loads: &[4.0, 6.0, 8.0, 9.0],
        ..PLAIN
    },
    Preset {
        name: "conversation-8b",
        about: "Mooncake conversation, 16 servers of 8B on one H100 each",
        fleet: "16x8b",
        loads: &[4.0, 6.0, 8.0, 10.0],
        ..PLAIN
    },
    Preset {
        name: "synthetic",
        about: "Mooncake synthetic, 16 servers of 70B",
        source: Source::Trace("mooncake-synthetic"),
        loads: &[4.0, 6.0, 8.0, 10.0],
        ..PLAIN
    },
    Preset {
        name: "shared-prefix",
        about: "llm-d's shared-prefix benchmark up to saturation, 8 servers of 32B",
        source: Source::Synthetic("shared-prefix"),
        fleet: "8x32b",
        loads: &[0.6, 0.8, 0.9, 1.0],
        ..PLAIN
    },
    Preset {
        name: "servegen",
        about: "ServeGen reasoning requests without prefixes, 16 servers of 70B",
        source: Source::Trace("servegen-r1"),
        loads: &[1.0, 2.0, 2.5, 3.0],
        ..PLAIN
    },
    Preset {
        name: "azure",
        about: "Azure conversation without prefixes, 16 servers of 8B",
        source: Source::Trace("azure-conversation"),
        fleet: "16x8b",
        loads: &[20.0, 40.0, 60.0, 80.0],
        ..PLAIN
    },
    Preset {
        name: "several-routers",
        about: "conversation-70b through three routers that know nothing of each other",
        loads: &[4.0, 6.0, 8.0],
        routers: 3,
        ..PLAIN
    },
    Preset {
        name: "scaling",
        about: "conversation-70b while eight of sixteen servers join, and four leave again",
        loads: &[4.0, 6.0],
        timeline: &["120:+8", "420:-4"],
        ..PLAIN
    },
    Preset {
        name: "faults",
        about: "conversation-70b with a crash, a hang, a slow server, stale metrics and errors",
        loads: &[4.0, 6.0],
        timeline: &[
            "60:crash=3,60",
            "150:hang=5,10",
            "200:slow=7,2.5,120",
            "250:stale=9,60",
            "300:errors=11,0.5,30",
        ],
        ..PLAIN
    },
    Preset {
        name: "hot-tenant",
        about: "one tenant doubles the load for a third of the time, 8 servers of 70B",
        source: Source::Synthetic("hot-tenant"),
        fleet: "8x70b",
        loads: &[4.0, 6.0, 8.0],
        ..PLAIN
    },
    Preset {
        name: "lora-churn",
        about: "64 adapters whose popularity moves on, 8 servers of 8B",
        source: Source::Synthetic("lora-churn"),
        fleet: "8x8b",
        loads: &[2.0, 4.0, 6.0],
        ..PLAIN
    },
    Preset {
        name: "agents",
        about: "bursts of agents that wait for their tools, 8 servers of 70B",
        source: Source::Synthetic("agents"),
        fleet: "8x70b",
        loads: &[1.0, 2.0, 3.0],
        ..PLAIN
    },
];

pub(crate) fn named(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}
