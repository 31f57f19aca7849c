//! Plugin types: what they are called, what they can be, and how instances of them are made.

use std::cell::Cell;
use std::ops::BitOr;
use std::sync::Arc;

use resources::{ParameterSchemas, PluginConfig};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::data::{Data, Need};
use crate::layer::Topology;
use crate::parameters::{self, ParameterFault};
use crate::settings::Setting;
use crate::{
    Admitter, Decider, Filter, HeaderReader, Keeper, Picker, PreRequest, Producer, ProfileHandler,
    Reporter, ResponseHeaders, Scorer, Screener, Slot, SourceId,
};

/// How far a plugin type can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stability {
    /// May change or go; must be allowed explicitly.
    Alpha,
    /// Stays as it is.
    Beta,
}

/// What instances of a plugin type can be used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles(u32);

impl Roles {
    /// Drops endpoints.
    pub const FILTER: Roles = Roles(1);
    /// Rates endpoints.
    pub const SCORER: Roles = Roles(1 << 1);
    /// Orders endpoints.
    pub const PICKER: Roles = Roles(1 << 2);
    /// Decides which profiles run.
    pub const HANDLER: Roles = Roles(1 << 3);
    /// Decides whether a request is split.
    pub const DECIDER: Roles = Roles(1 << 4);
    /// Confines requests to some endpoints.
    pub const SCREENER: Roles = Roles(1 << 5);
    /// Finds out about requests.
    pub const PRODUCER: Roles = Roles(1 << 6);
    /// Refuses requests.
    pub const ADMITTER: Roles = Roles(1 << 7);
    /// Reads request headers.
    pub const HEADERS: Roles = Roles(1 << 8);
    /// Acts before a request is sent.
    pub const PRE_REQUEST: Roles = Roles(1 << 9);
    /// Acts on the answer.
    pub const RESPONSE: Roles = Roles(1 << 10);
    /// Reads request bodies.
    pub const PARSER: Roles = Roles(1 << 11);
    /// Brings data about endpoints.
    pub const SOURCE: Roles = Roles(1 << 12);
    /// Reads what a source brings.
    pub const EXTRACTOR: Roles = Roles(1 << 13);
    /// Finds endpoints.
    pub const DISCOVERY: Roles = Roles(1 << 14);
    /// Tells how full a pool is.
    pub const DETECTOR: Roles = Roles(1 << 15);
    /// Shares a priority band between flows.
    pub const FAIRNESS: Roles = Roles(1 << 16);
    /// Orders the requests of a flow.
    pub const ORDERING: Roles = Roles(1 << 17);
    /// Limits how much of the pool a priority may use.
    pub const USAGE_LIMIT: Roles = Roles(1 << 18);
    /// Chooses running requests to end for others.
    pub const EVICTION: Roles = Roles(1 << 19);

    const NAMES: [(Roles, &'static str); 20] = [
        (Roles::FILTER, "filter"),
        (Roles::SCORER, "scorer"),
        (Roles::PICKER, "picker"),
        (Roles::HANDLER, "profile handler"),
        (Roles::DECIDER, "decider"),
        (Roles::SCREENER, "screener"),
        (Roles::PRODUCER, "data producer"),
        (Roles::ADMITTER, "admitter"),
        (Roles::HEADERS, "request header reader"),
        (Roles::PRE_REQUEST, "pre-request hook"),
        (Roles::RESPONSE, "response hook"),
        (Roles::PARSER, "parser"),
        (Roles::SOURCE, "data source"),
        (Roles::EXTRACTOR, "extractor"),
        (Roles::DISCOVERY, "endpoint discovery"),
        (Roles::DETECTOR, "saturation detector"),
        (Roles::FAIRNESS, "fairness policy"),
        (Roles::ORDERING, "ordering policy"),
        (Roles::USAGE_LIMIT, "usage-limit policy"),
        (Roles::EVICTION, "eviction policy"),
    ];

    /// Both.
    #[must_use]
    pub const fn and(self, other: Roles) -> Roles {
        Roles(self.0 | other.0)
    }

    /// Whether all of `other` is in it.
    #[must_use]
    pub const fn has(self, other: Roles) -> bool {
        self.0 & other.0 == other.0
    }

    /// Their names.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let known = Self::NAMES.into_iter();
        known
            .filter(move |(role, _)| self.has(*role))
            .map(|(_, name)| name)
    }
}

impl BitOr for Roles {
    type Output = Roles;

    fn bitor(self, other: Roles) -> Roles {
        self.and(other)
    }
}

/// One instance of a plugin type: an object for each of its roles.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "each field is named by the trait it holds")]
pub struct Instance {
    pub filter: Option<Arc<dyn Filter>>,
    pub scorer: Option<Arc<dyn Scorer>>,
    pub picker: Option<Arc<dyn Picker>>,
    pub handler: Option<Arc<dyn ProfileHandler>>,
    pub decider: Option<Arc<dyn Decider>>,
    pub screener: Option<Arc<dyn Screener>>,
    pub producer: Option<Arc<dyn Producer>>,
    pub admitter: Option<Arc<dyn Admitter>>,
    pub headers: Option<Arc<dyn HeaderReader>>,
    pub placed: Option<Arc<dyn PreRequest>>,
    pub answered: Option<Arc<dyn ResponseHeaders>>,
    pub reporter: Option<Arc<dyn Reporter>>,
    pub keeper: Option<Arc<dyn Keeper>>,
    /// What it tells the rim to do.
    pub setting: Option<Setting>,
    /// Data it reads that other plugins bring.
    pub needs: Vec<Need>,
    /// Data it brings, under its own name unless the entry says otherwise.
    pub provides: Vec<(Data, Option<&'static str>)>,
}

impl Instance {
    /// An instance that is a filter.
    pub fn filter(filter: impl Filter + 'static) -> Self {
        Self {
            filter: Some(Arc::new(filter)),
            ..Self::default()
        }
    }

    /// An instance that is a scorer.
    pub fn scorer(scorer: impl Scorer + 'static) -> Self {
        Self {
            scorer: Some(Arc::new(scorer)),
            ..Self::default()
        }
    }

    /// An instance that is a picker.
    pub fn picker(picker: impl Picker + 'static) -> Self {
        Self {
            picker: Some(Arc::new(picker)),
            ..Self::default()
        }
    }

    /// An instance that only tells the rim something.
    #[must_use]
    pub fn setting(setting: Setting) -> Self {
        Self {
            setting: Some(setting),
            ..Self::default()
        }
    }

    /// Needs this data too. Without a producer's name, that of the usual one.
    #[must_use]
    pub fn needing(mut self, data: Data, producer: &str) -> Self {
        self.needs.push(Need::required(data, producer));
        self
    }

    /// Brings this data too, under its own name.
    #[must_use]
    pub fn providing(mut self, data: Data) -> Self {
        self.provides.push((data, None));
        self
    }
}

/// A plugin type with its parameters: implemented by the type the parameters are decoded to.
pub trait PluginType: DeserializeOwned + Serialize + JsonSchema + Default {
    /// Makes an instance. What is wrong with the parameters is told to `build`; then the instance
    /// is thrown away.
    fn build(self, build: &mut Build<'_>) -> Instance;

    /// Names of other instances that it works with; they are made before it.
    fn references(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A row of the [`crate::Registry`].
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The type string.
    pub name: &'static str,
    /// What instances can be used as.
    pub roles: Roles,
    /// How far it can be relied on.
    pub stability: Stability,
    /// What to use instead, if it is deprecated.
    pub deprecated: Option<&'static str>,
    /// The type its instances say they are, where it differs from `name`.
    pub reports: Option<&'static str>,
    /// Unknown parameters are only warned about: the reference does not look at them.
    pub lenient: bool,
    /// Not part of the reference.
    pub ours: bool,
    build: fn(&mut Build<'_>) -> Instance,
    references: fn(&Value) -> Vec<String>,
    schema: fn(&mut ParameterSchemas, &str),
}

impl Kind {
    /// A stable type of the reference, with strict parameters of shape `P`.
    #[must_use]
    pub const fn new<P: PluginType>(name: &'static str, roles: Roles) -> Self {
        Self {
            name,
            roles,
            stability: Stability::Beta,
            deprecated: None,
            reports: None,
            lenient: false,
            ours: false,
            build: |build| match build.parameters::<P>() {
                Some(parameters) => parameters.build(build),
                None => Instance::default(),
            },
            references: |value| {
                let decoded = parameters::decode::<P>(value, &mut Vec::new());
                decoded.map_or_else(|_| Vec::new(), |parameters| parameters.references())
            },
            schema: |schemas, kind| schemas.add::<P>(kind),
        }
    }

    /// May change or go.
    #[must_use]
    pub const fn alpha(mut self) -> Self {
        self.stability = Stability::Alpha;
        self
    }

    /// On its way out.
    #[must_use]
    pub const fn deprecated(mut self, instead: &'static str) -> Self {
        self.deprecated = Some(instead);
        self
    }

    /// Its instances say they are of another type.
    #[must_use]
    pub const fn reporting(mut self, kind: &'static str) -> Self {
        self.reports = Some(kind);
        self
    }

    /// Unknown parameters are only warned about.
    #[must_use]
    pub const fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }

    /// Not part of the reference.
    #[must_use]
    pub const fn ours(mut self) -> Self {
        self.ours = true;
        self
    }

    pub(crate) fn make(&self, build: &mut Build<'_>) -> Instance {
        (self.build)(build)
    }

    pub(crate) fn references(&self, parameters: &Value) -> Vec<String> {
        (self.references)(parameters)
    }

    pub(crate) fn add_schema(&self, schemas: &mut ParameterSchemas) {
        (self.schema)(schemas, self.name);
    }
}

/// Names of prefix sources and numbers of slots, handed out while instances are made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handouts {
    /// Sources beside the pool's own, by name.
    pub(crate) sources: Vec<Arc<str>>,
    /// Plugins that keep a number during a run, by name.
    pub(crate) slots: Vec<Arc<str>>,
}

/// The making of one instance.
pub struct Build<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: &'static str,
    pub(crate) given: &'a Value,
    pub(crate) lenient: bool,
    pub(crate) plugins: &'a [PluginConfig],
    pub(crate) deciders: &'a dyn Fn(&str) -> Option<Arc<dyn Decider>>,
    pub(crate) handouts: &'a mut Handouts,
    pub(crate) faults: Vec<ParameterFault>,
    pub(crate) warnings: Vec<ParameterFault>,
    pub(crate) effective: Value,
    /// No other plugin was looked at.
    pub(crate) alone: Cell<bool>,
}

impl<'a> Build<'a> {
    /// The making of an instance that knows no others.
    pub(crate) fn alone(
        kind: &Kind,
        given: &'a Value,
        deciders: &'a dyn Fn(&str) -> Option<Arc<dyn Decider>>,
        handouts: &'a mut Handouts,
    ) -> Self {
        Self {
            name: kind.name,
            kind: kind.name,
            given,
            lenient: kind.lenient,
            plugins: &[],
            deciders,
            handouts,
            faults: Vec::new(),
            warnings: Vec::new(),
            effective: Value::Null,
            alone: Cell::new(true),
        }
    }
}

impl Build<'_> {
    /// Name of the instance.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name
    }

    /// The type it is made of; one [`PluginType`] may stand behind several.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Whether any parameters are given.
    #[must_use]
    pub fn has_parameters(&self) -> bool {
        !self.given.is_null()
    }

    fn parameters<P: PluginType>(&mut self) -> Option<P> {
        let mut unknown = Vec::new();
        let decoded = parameters::decode::<P>(self.given, &mut unknown);
        if self.lenient {
            self.warnings.append(&mut unknown);
        } else {
            self.faults.append(&mut unknown);
        }
        match decoded {
            Ok(parameters) => {
                self.effective = serde_json::to_value(&parameters).unwrap_or_default();
                Some(parameters)
            }
            Err(fault) => {
                self.faults.push(fault);
                None
            }
        }
    }

    /// Something is wrong with the parameter at `path`.
    pub fn fault(&mut self, path: &str, message: impl Into<String>) {
        self.faults.push(ParameterFault {
            path: path.to_owned(),
            message: message.into(),
        });
    }

    /// The parameter at `path` has no effect, or not the one it seems to have.
    pub fn warn(&mut self, path: &str, message: impl Into<String>) {
        self.warnings.push(ParameterFault {
            path: path.to_owned(),
            message: message.into(),
        });
    }

    /// Unless `holds`, says that the parameter at `path` must be `wanted`, and is not.
    pub fn require(
        &mut self,
        holds: bool,
        path: &str,
        given: impl std::fmt::Display,
        wanted: &str,
    ) {
        if !holds {
            self.fault(path, format!("{path} must be {wanted}, got {given}"));
        }
    }

    /// The decider of that name; a fault at `path` if there is none.
    pub fn decider(&mut self, path: &str, name: &str) -> Option<Arc<dyn Decider>> {
        self.alone.set(false);
        let found = (self.deciders)(name);
        if found.is_none() {
            self.fault(
                path,
                format!("'{name}' is not the name of a decider among the plugins"),
            );
        }
        found
    }

    /// The prefix source of that producer; an empty name is that of the usual one, whose index is
    /// the pool's own.
    pub fn prefix_source(&mut self, producer: &str) -> SourceId {
        if producer.is_empty() || producer == Data::PrefixMatch.usual_producer() {
            return SourceId::POOL;
        }
        let known = &mut self.handouts.sources;
        let place = known.iter().position(|name| **name == *producer);
        let place = place.unwrap_or_else(|| {
            known.push(producer.into());
            known.len() - 1
        });
        SourceId(u8::try_from(place + 1).unwrap_or(u8::MAX))
    }

    /// Names of the configured plugins of a type.
    #[must_use]
    pub fn names_of(&self, kind: &str) -> Vec<String> {
        self.alone.set(false);
        let plugins = self.plugins.iter();
        plugins
            .filter(|plugin| plugin.kind == kind)
            .map(|plugin| plugin.name.clone())
            .collect()
    }

    /// Which labels say where endpoints stand, by the extractor of that name; the usual labels if
    /// there is none.
    #[must_use]
    pub fn topology(&self, producer: &str) -> Topology {
        self.alone.set(false);
        let name = if producer.is_empty() {
            Data::Topology.usual_producer()
        } else {
            producer
        };
        let extractor = self.plugins.iter().find(|plugin| plugin.name == name);
        let decoded =
            extractor.map(|plugin| parameters::decode(&plugin.parameters, &mut Vec::new()));
        decoded.and_then(Result::ok).unwrap_or_default()
    }

    /// A place for a number that the plugin keeps during a run.
    pub fn slot(&mut self) -> Slot {
        let slots = &mut self.handouts.slots;
        let place = slots.iter().position(|name| **name == *self.name);
        let place = place.unwrap_or_else(|| {
            slots.push(self.name.into());
            slots.len() - 1
        });
        Slot(u16::try_from(place).unwrap_or(u16::MAX))
    }
}
