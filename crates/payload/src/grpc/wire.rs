//! The Protocol Buffers wire format, as far as it takes to walk over the fields of a message.

use std::ops::Range;

/// A field's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Varint(u64),
    /// Where the bytes of a string, message or packed list stand in the message.
    Bytes(Range<usize>),
    /// A number of fixed width, not looked at.
    Fixed,
}

/// The fields of `message` in order; `None` once, and last, where it cannot be read.
pub(super) fn fields(message: &[u8]) -> impl Iterator<Item = Option<(u32, Value)>> + '_ {
    let mut at = Some(0);
    std::iter::from_fn(move || {
        let position = at.filter(|position| *position < message.len())?;
        let field = field(message, position);
        at = field.as_ref().map(|(_, _, next)| *next);
        Some(field.map(|(number, value, _)| (number, value)))
    })
}

fn field(message: &[u8], at: usize) -> Option<(u32, Value, usize)> {
    let (key, at) = varint(message, at)?;
    let number = u32::try_from(key >> 3).ok().filter(|number| *number > 0)?;
    let (value, next) = match key & 7 {
        0 => {
            let (value, next) = varint(message, at)?;
            (Value::Varint(value), next)
        }
        1 => (Value::Fixed, at.checked_add(8)?),
        2 => {
            let (length, start) = varint(message, at)?;
            let end = start.checked_add(usize::try_from(length).ok()?)?;
            (Value::Bytes(start..end), end)
        }
        5 => (Value::Fixed, at.checked_add(4)?),
        // Groups were never part of proto3.
        _ => return None,
    };
    (next <= message.len()).then_some((number, value, next))
}

fn varint(message: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for (index, byte) in message.get(at..)?.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if *byte < 0x80 {
            return Some((value, at + index + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_walked_and_broken_ones_end_the_walk() {
        let message = [
            0x08, 0x96, 0x01, 0x12, 0x02, b'h', b'i', 0x1d, 1, 2, 3, 4, 0x21, 0, 0, 0, 0, 0, 0, 0,
            0,
        ];
        let all: Vec<_> = fields(&message).collect();
        assert_eq!(
            all,
            [
                Some((1, Value::Varint(150))),
                Some((2, Value::Bytes(5..7))),
                Some((3, Value::Fixed)),
                Some((4, Value::Fixed)),
            ]
        );
        for broken in [
            &[0x08][..],
            &[0x12, 0x05, b'x'],
            &[0x0b],
            &[0x00, 0x00],
            &[0xff; 12],
            &[
                0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
            ],
        ] {
            assert_eq!(fields(broken).last(), Some(None), "{broken:?}");
        }
        assert_eq!(fields(&[]).next(), None);
    }
}
