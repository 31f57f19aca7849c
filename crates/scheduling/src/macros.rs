//! Small repetitions.

/// The parameters of a plugin type that takes none.
#[macro_export]
#[doc(hidden)]
macro_rules! parameterless {
    ($name:ident) => {
        /// Takes no parameters.
        #[derive(
            Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
        )]
        pub(crate) struct $name {}
    };
}
