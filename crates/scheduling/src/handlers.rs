//! Profile handlers, one a file.

mod data_parallel;
mod disagg;
mod disagg_headers;
mod header;
mod pd;
mod single;

pub(crate) use single::Single;

use crate::Kind;

pub(crate) const KINDS: &[&[Kind]] = &[
    &[
        data_parallel::KIND,
        disagg::KIND,
        header::KIND,
        pd::KIND,
        single::KIND,
    ],
    disagg_headers::KINDS,
];
